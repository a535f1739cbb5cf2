"""Lion: steps of one size, in the sign of a running average."""

from collections.abc import Iterable

from minicnn.kernels import update
from minicnn.optimizers.adam import as_pair
from minicnn.optimizers.base import Optimizer, fraction
from minicnn.parameter import Parameter


class Lion(Optimizer):
    """The sign of a momentum, so that each weight moves by the learning rate.

    ::

        c = beta1 m + (1 - beta1) g
        w <- w - lr (sign(c) + weight_decay w)          sign(0) = 0
        m <- beta2 m + (1 - beta2) g

    Chen et al., *Symbolic discovery of optimization algorithms*, 2023 (arXiv 2302.06675); PyTorch
    has no such rule. As no step is shorter than the learning rate, the paper takes a rate that
    is 3 to 10 times smaller than that of `AdamW`, and a weight decay that is as much larger. The
    default here is 3 times smaller; the 1e-4 of the authors is slow in trainings of a few epochs.

    Parameters
    ----------
    parameters, lr, weight_decay : see `Optimizer`
    betas : pair of float
        Shares of m in the step and in what is kept, in [0, 1); ``beta1`` and ``beta2`` may be set
        at any time.

    Raises
    ------
    ArgumentError
        As `Optimizer`, or if a setting is out of range.
    """

    default_lr = 0.0003
    kinds, rule = ("first_moment",), staticmethod(update.lion)
    beta1 = fraction()
    beta2 = fraction()

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ):
        super().__init__(parameters, lr, weight_decay)
        self.beta1, self.beta2 = as_pair(betas, "Lion")
        self._allocate("first_moment")

    def numbers(self, decay: float) -> tuple[float, ...]:
        """The settings, as :func:`minicnn.kernels.update.lion` takes them."""
        return self.lr, self.beta1, self.beta2, self.lr * decay
