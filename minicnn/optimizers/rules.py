"""The rules: stochastic gradient descent and those that scale it by running averages."""

from collections.abc import Iterable

from minicnn.errors import ArgumentError
from minicnn.kernels import update
from minicnn.optimizers.base import Optimizer, fraction, positive
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
        Whether to look ahead; needs momentum.

    Raises
    ------
    ArgumentError
        As `Optimizer`, or if a setting is out of range.
    """

    default_lr = 0.03
    kinds, rule = ("velocity",), staticmethod(update.sgd)

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ):
        super().__init__(parameters, lr, weight_decay)
        self.momentum = momentum
        self.nesterov = bool(nesterov)
        if self.nesterov and not self.momentum:
            raise ArgumentError("SGD: nesterov needs a momentum above 0, such as 0.9.")
        if self.momentum:
            self._allocate("velocity")

    def numbers(self, decay: float) -> tuple[float, ...]:
        """The settings, as :func:`minicnn.kernels.update.sgd` takes them."""
        return self.lr, self.momentum, decay, self.nesterov


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


class Adam(Optimizer):
    """Momentum and RMSProp in one, both corrected for their start at zero.

    ::

        g <- g + weight_decay w
        m <- beta1 m + (1 - beta1) g           m_hat = m / (1 - beta1^t)
        v <- beta2 v + (1 - beta2) g²          v_hat = v / (1 - beta2^t)
        w <- w - lr m_hat / (√v_hat + eps)

    Kingma & Ba, *Adam: a method for stochastic optimization*, ICLR 2015 (arXiv 1412.6980).

    Parameters
    ----------
    parameters, lr, weight_decay : see `Optimizer`
    betas : pair of float
        Share of each average that a step keeps, in [0, 1). The first is this rule's
        momentum; ``beta1`` and ``beta2`` may be set at any time.
    eps : float
        Above 0, and a normal number of the parameters' dtype; keeps the divisor from zero.

    Raises
    ------
    ArgumentError
        As `Optimizer`, or if a setting is out of range.
    """

    default_lr = 0.001
    kinds, rule = ("first_moment", "second_moment"), staticmethod(update.adam)
    decoupled = False
    beta1 = fraction()
    beta2 = fraction()
    eps = positive(normal=True)

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(parameters, lr, weight_decay)
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ArgumentError(
                f"{type(self).__name__}: betas must be a pair such as (0.9, 0.999), got {betas!r}."
            )
        self.beta1, self.beta2 = betas
        self.eps = eps
        self._allocate("first_moment")
        self._allocate("second_moment")

    def numbers(self, decay: float) -> tuple[float, ...]:
        """The settings, as :func:`minicnn.kernels.update.adam` takes them."""
        corrections = (1 / (1 - beta**self.steps) for beta in (self.beta1, self.beta2))
        decays = (0.0, self.lr * decay) if self.decoupled else (decay, 0.0)
        return self.lr, self.beta1, self.beta2, self.eps, *corrections, *decays


class AdamW(Adam):
    """Adam whose weight decay is not divided by the size of the gradients.

    ::

        w <- w - lr weight_decay w, then Adam without weight decay

    Loshchilov & Hutter, *Decoupled weight decay regularization*, ICLR 2019 (arXiv
    1711.05101). Parameters as in `Adam`.
    """

    decoupled = True

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        super().__init__(parameters, lr, betas, eps, weight_decay)
