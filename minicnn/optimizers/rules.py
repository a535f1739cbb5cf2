"""Stochastic gradient descent, and the rules that divide its gradient by its size."""

from collections.abc import Iterable

from minicnn.checks import check_flag
from minicnn.errors import ArgumentError
from minicnn.kernels import update
from minicnn.optimizers.base import Optimizer, Setting, fraction, positive
from minicnn.optimizers.runs import Run
from minicnn.parameter import Parameter


class _WithMomentum(Optimizer):
    """A rule that may have a momentum, and then keeps a velocity."""

    momentum = fraction()

    def load(self) -> list[Run]:
        """Begin a step; a momentum that was set since needs a velocity."""
        if self.momentum:
            self._allocate("velocity")
        return super().load()


class SGD(_WithMomentum):
    """Stochastic gradient descent, with momentum if wanted.

    ::

        g <- g + weight_decay w
        v <- momentum v + g
        w <- w - lr v                     classical momentum
        w <- w - lr (g + momentum v)      Nesterov

    With dampening, v <- momentum v + (1 - dampening) g, but in the first step v = g.

    Momentum: Polyak, *Some methods of speeding up the convergence of iteration methods*,
    1964. Nesterov, *A method of solving a convex programming problem with convergence
    rate O(1/k²)*, 1983, in the form of Sutskever et al., *On the importance of
    initialization and momentum in deep learning*, ICML 2013, with v in units of gradients.

    Parameters
    ----------
    parameters, lr, weight_decay : see `Optimizer`
    momentum : float
        In [0, 1); may be set at any time. At 0 no velocity is kept.
    nesterov : bool
        Whether to look ahead; needs momentum, and no dampening.
    dampening : float
        In [0, 1]; may be set at any time. Without momentum it does nothing. The last parameter
        here, while PyTorch's stands behind the momentum.

    Raises
    ------
    ArgumentError
        As `Optimizer`, or if a setting is out of range.
    """

    default_lr = 0.03
    kinds, rule = ("velocity",), staticmethod(update.sgd)
    dampening = Setting(lambda x: 0 <= x <= 1, "a number in [0, 1]")

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        dampening: float = 0.0,
    ):
        super().__init__(parameters, lr, weight_decay)
        self.momentum, self.dampening = momentum, dampening
        self.nesterov = check_flag(nesterov, "SGD: nesterov")
        if self.nesterov and not self.momentum:
            raise ArgumentError("SGD: nesterov needs a momentum above 0, such as 0.9.")
        self._check_dampening()
        self._damped = self._begins = False
        if self.momentum:
            self._allocate("velocity")

    def load(self) -> list[Run]:
        """Begin a step; where dampening begins or ends, another kernel takes over."""
        self._check_dampening()
        damped = bool(self.dampening and self.momentum)
        if damped != self._damped:
            self._damped, self._runs = damped, None
        self._begins = not self.steps or "velocity" not in self._averages
        return super().load()

    def numbers(self, decay: float) -> tuple[float, ...]:
        """The settings, as the kernels in :mod:`minicnn.kernels.update` take them."""
        if self._damped:
            return self.lr, self.momentum, decay, 1.0 if self._begins else 1 - self.dampening
        return self.lr, self.momentum, decay, self.nesterov

    def _change(self, run):
        if self._damped:
            update.damped_sgd(run.value, run.grad, run.averages["velocity"], run.numbers)
        else:
            super()._change(run)

    def _check_dampening(self):
        if self.nesterov and self.dampening:
            raise ArgumentError(
                f"SGD: nesterov takes no dampening, got {self.dampening}: leave out one of them."
            )


class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares.

    ::

        g <- g + weight_decay w
        s <- s + g²
        w <- w - lr / (1 + (t - 1) lr_decay) g / (√s + eps)

    Duchi, Hazan & Singer, *Adaptive subgradient methods for online learning and stochastic
    optimization*, JMLR 2011.

    Parameters
    ----------
    parameters, lr, weight_decay : see `Optimizer`
    lr_decay : float
        At least 0; the learning rate falls with the steps by this, beside any schedule.
    initial_accumulator_value : float
        What s starts at; 0 or a normal number of the parameters' dtype.
    eps : float
        Above 0, and a normal number of the parameters' dtype; keeps the divisor from zero.
    """

    default_lr = 0.01
    kinds, rule = ("square_sum",), staticmethod(update.adagrad)
    lr_decay = Setting(lambda x: x >= 0, "a number of at least 0")
    initial_accumulator_value = Setting(lambda x: x >= 0, "a number of at least 0", normal=True)
    eps = positive(normal=True)

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ):
        super().__init__(parameters, lr, weight_decay)
        self.lr_decay, self.eps = lr_decay, eps
        self.initial_accumulator_value = initial_accumulator_value
        self._allocate("square_sum")
        for array in self._averages["square_sum"]:
            array.fill(initial_accumulator_value)

    def numbers(self, decay: float) -> tuple[float, ...]:
        """The settings, as :func:`minicnn.kernels.update.adagrad` takes them."""
        return self.lr / (1 + (self.steps - 1) * self.lr_decay), self.eps, decay


class RMSProp(_WithMomentum):
    """Gradients divided by a running average of their size.

    ::

        g <- g + weight_decay w
        s <- alpha s + (1 - alpha) g²
        v <- momentum v + g / (√s + eps)
        w <- w - lr v

    Hinton, *Neural networks for machine learning*, lecture 6e, 2012.

    Parameters
    ----------
    parameters, lr, weight_decay : see `Optimizer`
    alpha : float
        Share of the average that a step keeps, in [0, 1).
    eps : float
        Above 0, and a normal number of the parameters' dtype; keeps the divisor from zero.
    momentum : float
        In [0, 1); may be set at any time. At 0 no velocity is kept.
    """

    default_lr = 0.001
    kinds, rule = ("square_average", "velocity"), staticmethod(update.rmsprop)
    alpha = fraction()
    eps = positive(normal=True)

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ):
        super().__init__(parameters, lr, weight_decay)
        self.alpha, self.eps, self.momentum = alpha, eps, momentum
        self._allocate("square_average")
        if self.momentum:
            self._allocate("velocity")

    def numbers(self, decay: float) -> tuple[float, ...]:
        """The settings, as :func:`minicnn.kernels.update.rmsprop` takes them."""
        return self.lr, self.alpha, self.eps, self.momentum, decay
