"""Adam and its kin: a running average of gradients over one of their squares."""

from collections.abc import Iterable

from minicnn.checks import check_flag
from minicnn.errors import ArgumentError
from minicnn.kernels import update
from minicnn.optimizers.base import Optimizer, Setting, fraction, positive
from minicnn.parameter import Parameter

LEAST = 2.0**-54  # 1 minus this is 1 in float64


def as_pair(betas: tuple[float, float], who: str) -> tuple[float, float]:
    """The two `betas` of the optimizer `who`, or an ArgumentError."""
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ArgumentError(f"{who}: betas must be a pair such as (0.9, 0.999), got {betas!r}.")
    return betas[0], betas[1]


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
        self.beta1, self.beta2 = as_pair(betas, type(self).__name__)
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


class NAdam(Adam):
    """Adam with Nesterov's momentum, which grows in the course of training.

    ::

        mu_t <- beta1 (1 - 0.96^(t momentum_decay) / 2)
        M_t  <- mu_1 mu_2 ... mu_t
        m_hat = mu_(t + 1) m / (1 - M_(t + 1)) + (1 - mu_t) g / (1 - M_t)

    and with this m_hat as `Adam`, or with decoupled weight decay as `AdamW`. Dozat, *Incorporating
    Nesterov momentum into Adam*, ICLR workshop 2016. PyTorch multiplies up M_t with the settings of
    each step, here M_t is that of the present ones, as all corrections are; once M_t is below
    1e-17, after some 50 steps, it makes no difference.

    Parameters
    ----------
    parameters, lr, weight_decay : see `Optimizer`
    betas, eps : see `Adam`
    momentum_decay : float
        At least 0; may be set at any time.
    decoupled_weight_decay : bool
        Whether weight decay is apart from the gradient, as in `AdamW`.
    """

    default_lr = 0.002
    rule = staticmethod(update.nadam)
    momentum_decay = Setting(lambda x: x >= 0, "a number of at least 0")

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
    ):
        super().__init__(parameters, lr, betas, eps, weight_decay)
        self.momentum_decay = momentum_decay
        self.decoupled = check_flag(decoupled_weight_decay, "NAdam: decoupled_weight_decay")
        self._product = (self.beta1, self.momentum_decay, 0, 1.0)

    def numbers(self, decay: float) -> tuple[float, ...]:
        """The settings, as :func:`minicnn.kernels.update.nadam` takes them."""
        t, product = self.steps, self._momentum_product()
        after = self._momentum(t + 1)
        rates = (
            self.lr * (1 - self._momentum(t)) / (1 - product),
            self.lr * after / (1 - product * after),
        )
        correction = 1 / (1 - self.beta2**t)
        decays = (0.0, self.lr * decay) if self.decoupled else (decay, 0.0)
        return *rates, self.beta1, self.beta2, self.eps, correction, *decays

    def _momentum(self, t):
        """mu_t."""
        return self.beta1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))

    def _momentum_product(self):
        """M_t of this step: the one before times mu_t, unless settings or steps were set anew."""
        beta1, momentum_decay, t, product = self._product
        if (beta1, momentum_decay) != (self.beta1, self.momentum_decay) or t > self.steps:
            t, product = 0, 1.0
        while t < self.steps and product > LEAST:
            t += 1
            product *= self._momentum(t)
        self._product = self.beta1, self.momentum_decay, t, product
        return product
