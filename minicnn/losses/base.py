"""What all losses share: the buffers they compute in, their call, and checks of scores."""

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from minicnn import checks
from minicnn.errors import ArgumentError
from minicnn.hints.habits import Habits
from minicnn.kernels import loss as kernels
from minicnn.lanes import LANES, check_samples, group_count
from minicnn.losses.reduction import check_reduction

FLOATS = np.dtype(np.float32), np.dtype(np.float64)


class Buffers:
    """What a loss computes with: the arrays that its kernel reads and writes.

    Attributes
    ----------
    scores, gradient : ndarray, shape (G, K, 16)
    targets : ndarray or None
        As the kernel takes them; another array for another number of samples.
    settings : ndarray of float64, shape (2,)
        What the kernel reads beside them, such as what the value is divided by.
    value : ndarray of float64, shape (1,)
    """

    __slots__ = ("gradient", "scores", "settings", "targets", "value")

    def __init__(self, scores: np.ndarray, gradient: np.ndarray):
        self.scores, self.gradient = scores, gradient
        self.targets: np.ndarray | None = None
        self.settings, self.value = np.zeros(2), np.zeros(1)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """All of them, in the order in which the kernels take them."""
        return self.scores, self.targets, self.settings, self.gradient, self.value


class Loss(Habits):
    """Base of all losses; a subclass has `targets`, which checks, and `compute`, a kernel's call.

    The gradient lives in a buffer that the loss owns and overwrites at its next call in the
    same thread.

    Parameters
    ----------
    reduction : str
        ``"mean"`` divides the sum over the samples by `batch_weight`, ``"sum"`` does not. PyTorch's
        ``"none"`` is refused: a backward pass starts from one value.

    Raises
    ------
    ArgumentError
        For another reduction.
    """

    _made = "_kept"
    reduction = "mean"

    def __init__(self, reduction: str = "mean"):
        self.reduction = check_reduction(reduction)
        self._kept: dict[int, Buffers] = {}  # by thread; an ended one's identifier is used again

    def __call__(self, scores: np.ndarray, targets: npt.ArrayLike) -> tuple[float, np.ndarray]:
        """Value and gradient.

        Parameters
        ----------
        scores : ndarray, shape (G, K, 16)
            In lanes, float32 or float64.
        targets : ndarray, shape (N,) or (N, K)
            What each sample's scores should be, with ``G = ceil(N / 16)``: its class in [0, K), or
            what the loss says.

        Returns
        -------
        value : float
            The mean over the N samples, or their sum; NaN if a score is NaN.
        gradient : ndarray, shape (G, K, 16)
            dE/d(scores), exactly 0 in spare lanes.

        Raises
        ------
        ArgumentError
            If a shape does not fit, a target is not what the loss takes, or no sample counts.
        """
        thread = threading.get_ident()
        kept = self._kept.get(thread)
        if kept is None or scores is not kept.scores:  # in training the same array in every step
            check_scores(scores, "a loss")
            kept = self._kept[thread] = Buffers(scores, _gradient_like(scores, kept))
        self.load(kept, targets)
        self.compute(kept)
        return float(kept.value[0]), kept.gradient

    def load(self, kept: Buffers, targets: npt.ArrayLike) -> None:
        """Check the targets of a batch and write them, and settings, to where the kernel reads."""
        scores, array = kept.scores, checks.as_array(targets)
        if array.ndim == 0 or len(array) == 0 or group_count(len(array)) != len(scores):
            raise ArgumentError(
                f"scores of shape {scores.shape} hold {len(scores)} groups of up to 16 samples;"
                f" targets of shape {array.shape} do not fit."
            )
        checked = self.targets(scores, array)
        if kept.targets is None or kept.targets.shape != checked.shape:
            kept.targets = checked.copy()
        else:
            kept.targets[...] = checked
        self.write_settings(kept, array)

    def write_settings(self, kept: Buffers, targets: np.ndarray) -> None:
        """Write the numbers that the kernel reads for these targets, as they were given."""

    def batch_weight(self, targets: npt.ArrayLike) -> float:
        """How much a batch counts in a mean over several: its number of samples, if all count.

        Targets that are no array with a row for each sample are an ArgumentError.
        """
        array = checks.as_array(targets)
        if array.ndim == 0:
            raise ArgumentError(
                f"targets must have a row for each sample, got {checks.shown(targets)}."
            )
        return float(len(array))

    def targets(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The targets as the kernel takes them, or an ArgumentError."""
        raise NotImplementedError(
            f"{type(self).__name__} needs methods targets(self, scores, targets) and"
            " compute(self, kept), or a method __call__(self, scores, targets) of its own that"
            " returns the value and the gradient."
        )

    def compute(self, kept: Buffers) -> None:
        """Fill the value and the gradient: the kernel, and nothing else."""
        raise NotImplementedError


def _gradient_like(scores, kept):
    """A buffer like `scores`; it only grows, so a smaller last batch allocates nothing."""
    if kept is not None:
        whole = kept.gradient if kept.gradient.base is None else kept.gradient.base
        if whole.dtype == scores.dtype and whole.shape[1:] == scores.shape[1:]:
            if len(whole) >= len(scores):
                return whole if len(whole) == len(scores) else whole[: len(scores)]
    return np.zeros_like(scores)


def check_scores(scores: Any, who: str) -> None:
    """Raise an ArgumentError unless `scores` is a ``(G, K, 16)`` that kernels can read."""
    if not isinstance(scores, np.ndarray):
        raise ArgumentError(f"{who} needs an array of scores, got {checks.described(scores)}.")
    if scores.ndim != 3 or scores.shape[-1] != LANES:
        raise ArgumentError(
            f"{who} needs scores in lanes, (G, K, {LANES}), got shape {scores.shape}: the model"
            " must end in a vector of scores, as Dense gives it."
        )
    if scores.dtype not in FLOATS or not checks.is_array(scores, scores.shape, scores.dtype):
        raise ArgumentError(
            f"{who} needs a C-contiguous array of scores in float32 or float64, got"
            f" {checks.described(scores)}."
        )


def predicted_classes(scores: np.ndarray, samples: int) -> np.ndarray:
    """The class with the largest score, the first of equals.

    Parameters
    ----------
    scores : ndarray, shape (G, K, 16)
        In lanes.
    samples : int
        How many lanes hold a sample.

    Returns
    -------
    ndarray of int64, shape (samples,)

    Raises
    ------
    ArgumentError
        If `scores` are not in lanes, or there are fewer samples.
    """
    check_scores(scores, "a prediction")
    check_samples(scores, samples)
    classes = np.empty(samples, np.int64)
    kernels.predict(scores, classes)
    return classes


def check_result(result: Any, scores: np.ndarray) -> tuple[float, np.ndarray]:
    """What a loss has returned for scores, or an ArgumentError if it is no value and gradient."""
    check_scores(scores, "a loss")
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise ArgumentError(
            f"a loss must return a value and a gradient, got {checks.shown(result)}."
        )
    value, gradient = result
    if not checks.is_array(gradient, scores.shape, scores.dtype):
        raise ArgumentError(
            f"the loss must give a gradient like the scores, {scores.dtype} of shape"
            f" {scores.shape}, got {checks.described(gradient)}."
        )
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    return checks.check_number(value, "the value that a loss returns"), gradient
