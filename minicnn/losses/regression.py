"""Losses of numbers: squares, absolute values, and what lies between them."""

import numpy as np

from minicnn import checks
from minicnn.errors import ArgumentError
from minicnn.kernels import elementwise_loss as kernels
from minicnn.losses.base import Buffers, Loss
from minicnn.losses.labels import check_numeric_targets


class Elementwise(Loss):
    """Base of losses that compare each score with a target of its own.

    The targets t may be given as an array ``(N, K)``, or, otherwise than in PyTorch, as classes
    ``(N,)``, which become one-hot: 1 for the true class and 0 elsewhere. With one output,
    ``K = 1``, an array ``(N,)`` has the targets themselves.

    The mean is over samples and outputs, N K numbers.

    Parameters
    ----------
    reduction : str
        ``"mean"`` or ``"sum"``.
    """

    _loop: str  # in `minicnn.kernels.elementwise_loss.LOOPS`

    def targets(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The targets as an array ``(N, K)`` of the dtype of the scores."""
        numbers = check_numeric_targets(targets, scores.shape[1])
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and so is E
            return np.ascontiguousarray(numbers, scores.dtype)

    def write_settings(self, kept: Buffers, targets: np.ndarray) -> None:
        """Write what the sum is divided by."""
        numbers = len(targets) * kept.scores.shape[1]
        kept.settings[0] = numbers if self.reduction == "mean" else 1

    def compute(self, kept: Buffers) -> None:
        """Fill the value and the gradient."""
        kernels.LOOPS[self._loop](*kept.arguments)


class MeanSquaredError(Elementwise):
    """Mean squared difference, over samples and outputs; PyTorch's ``MSELoss``.

    ::

        E = 1 / (N K) sum over n, k of (s_nk - t_nk)²          dE/ds = 2 (s - t) / (N K)

    Targets are (N, K), or classes (N,), which become one-hot rows; with one output (N,) are the
    targets. For a reduction ``"sum"`` nothing is divided.
    """

    _loop = "squares"


class SmoothL1Loss(Elementwise):
    """Squares near 0 and absolute values elsewhere, whose slopes are at most 1.

    ::

        l(d) = d² / (2 beta) if |d| < beta else |d| - beta / 2        d = s - t
        E = 1 / (N K) sum over n, k of l(s_nk - t_nk)

    Targets are as for `MeanSquaredError`. In PyTorch `reduction` stands first.
    Source: Girshick, *Fast R-CNN*, ICCV 2015.

    Parameters
    ----------
    beta : float
        At least 0; for 0 it is `L1Loss`.
    reduction : str
        ``"mean"`` or ``"sum"``.

    Raises
    ------
    ArgumentError
        If `beta` is negative or not finite, or for another reduction.
    """

    _loop = "smooth-l1"

    def __init__(self, beta: float = 1.0, reduction: str = "mean"):
        super().__init__(reduction)
        if not (checks.is_finite(beta) and beta >= 0):
            raise ArgumentError(f"beta must be a finite number from 0 on, got {beta!r}.")
        self.beta = float(beta)

    def write_settings(self, kept: Buffers, targets: np.ndarray) -> None:
        """Write what the sum is divided by, and beta."""
        super().write_settings(kept, targets)
        kept.settings[1] = self.beta


class L1Loss(SmoothL1Loss):
    """Mean absolute difference, over samples and outputs.

    ::

        E = 1 / (N K) sum over n, k of |s_nk - t_nk|          dE/ds = sign(s - t) / (N K)

    The gradient is 0 where s = t. Targets are as for `MeanSquaredError`.

    Parameters
    ----------
    reduction : str
        ``"mean"`` or ``"sum"``.
    """

    def __init__(self, reduction: str = "mean"):
        super().__init__(0.0, reduction)


class HuberLoss(Elementwise):
    """Squares near 0 and absolute values elsewhere, whose slopes are at most delta.

    ::

        l(d) = d² / 2 if |d| < delta else delta (|d| - delta / 2)        d = s - t
        E = 1 / (N K) sum over n, k of l(s_nk - t_nk)

    This is delta times `SmoothL1Loss` with beta = delta. In PyTorch `reduction` stands first.
    Targets are as for `MeanSquaredError`. Source: Huber, *Robust
    estimation of a location parameter*, Annals of Mathematical Statistics 35, 1964.

    Parameters
    ----------
    delta : float
        Above 0.
    reduction : str
        ``"mean"`` or ``"sum"``.

    Raises
    ------
    ArgumentError
        If `delta` is not above 0, or for another reduction.
    """

    _loop = "smooth-l1"

    def __init__(self, delta: float = 1.0, reduction: str = "mean"):
        super().__init__(reduction)
        self.delta = checks.check_positive(delta, "delta")

    def write_settings(self, kept: Buffers, targets: np.ndarray) -> None:
        """Write what the sum is divided by, and delta."""
        super().write_settings(kept, targets)
        kept.settings[0] /= self.delta
        kept.settings[1] = self.delta
