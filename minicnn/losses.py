"""Losses: how wrong the scores are, and in which direction to change them.

A loss is called as ``loss(scores, labels)`` with the scores in lanes, ``(G, K, 16)``, and
returns the value, averaged over the samples that are there, with its gradient dE/d(scores)
of the same shape, which is where the backward pass begins.
"""

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from minicnn import checks
from minicnn.errors import ArgumentError
from minicnn.hints.habits import Habits, no_such_name
from minicnn.hints.labels import advice_on_labels
from minicnn.kernels import loss as kernels
from minicnn.lanes import LANES, check_samples, group_count

TOLERANCE = 1e-5  # of a sum of probabilities, which may have been float32
FLOATS = np.dtype(np.float32), np.dtype(np.float64)


class Buffers:
    """What a loss computes with: the arrays that its kernel reads and writes.

    Attributes
    ----------
    scores, gradient : ndarray, shape (G, K, 16)
    targets : ndarray or None
        As the kernel takes them; another array for another number of samples.
    settings, value : ndarray of float64, shape (1,)
    """

    __slots__ = ("gradient", "scores", "settings", "targets", "value")

    def __init__(self, scores: np.ndarray, gradient: np.ndarray):
        self.scores, self.gradient = scores, gradient
        self.targets: np.ndarray | None = None
        self.settings, self.value = np.zeros(1), np.zeros(1)


class Loss(Habits):
    """Base of all losses; a subclass has `targets`, which checks, and `compute`, a kernel's call.

    The gradient lives in a buffer that the loss owns and overwrites at its next call in the
    same thread.
    """

    _made = "_kept"

    def __init__(self):
        self._kept: dict[int, Buffers] = {}  # by thread; an ended one's identifier is used again

    def __call__(self, scores: np.ndarray, targets: npt.ArrayLike) -> tuple[float, np.ndarray]:
        """Value and gradient.

        Parameters
        ----------
        scores : ndarray, shape (G, K, 16)
            In lanes, float32 or float64.
        targets : ndarray of int, shape (N,)
            The class of each sample, in [0, K), with ``G = ceil(N / 16)``.

        Returns
        -------
        value : float
            Mean over the N samples; not finite if a score is NaN or +infinite.
        gradient : ndarray, shape (G, K, 16)
            dE/d(scores), exactly 0 in spare lanes.

        Raises
        ------
        ArgumentError
            If a shape does not fit or a label is outside the classes.
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


class SoftmaxCrossEntropy(Loss):
    """Cross-entropy between the softmax of the scores and the true classes.

    For one sample with scores s, true class y and K classes::

        p = exp(s) / sum over k of exp(s_k)
        q_k = (1 - smoothing) [k = y] + smoothing / K
        E = - sum over k of q_k log p_k          dE/ds = p - q

    (with probabilities t of the classes in place of y, q_k = (1 - smoothing) t_k + smoothing / K),
    both divided by N and summed over the samples. Each keeps its relative precision where p is
    near 0 or 1, and only where p is near q, which is neither, is the gradient as exact as p. A NaN
    or +infinity among the scores of a sample makes the value NaN, and that sample's gradient.
    Label smoothing: Szegedy et al., *Rethinking the Inception architecture for computer vision*,
    CVPR 2016, §7.

    Parameters
    ----------
    label_smoothing : float
        In [0, 1).

    Raises
    ------
    ArgumentError
        If `label_smoothing` is out of range.
    """

    def __init__(self, label_smoothing: float = 0.0):
        super().__init__()
        if not (checks.is_finite(label_smoothing) and 0 <= label_smoothing < 1):
            raise ArgumentError(f"label_smoothing must be in [0, 1), got {label_smoothing!r}.")
        self.label_smoothing = float(label_smoothing)

    def load(self, kept: Buffers, targets: npt.ArrayLike) -> None:
        """Check the labels of a batch and write them, and the smoothing, to the buffers."""
        super().load(kept, targets)
        kept.settings[0] = self.label_smoothing

    def targets(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The labels as int64, or the probabilities as float64."""
        classes = scores.shape[1]
        if targets.ndim == 1:
            return check_labels(targets, classes)
        return _check_probabilities(targets, classes)

    def compute(self, kept: Buffers) -> None:
        """Fill the value and the gradient."""
        hard = kept.targets is None or kept.targets.ndim == 1
        kernel = kernels.softmax_cross_entropy if hard else kernels.soft_cross_entropy
        kernel(kept.scores, kept.targets, kept.settings, kept.gradient, kept.value)


class MeanSquaredError(Loss):
    """Mean squared difference, over samples and outputs.

    ::

        E = 1 / (N K) sum over n, k of (s_nk - t_nk)²          dE/ds = 2 (s - t) / (N K)

    The targets t may be given as an array ``(N, K)``, or as classes ``(N,)``, which become
    one-hot: 1 for the true class and 0 elsewhere.
    """

    def targets(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The targets as an array ``(N, K)`` of the dtype of the scores."""
        outputs = scores.shape[1]
        if targets.ndim == 1:
            targets = np.eye(outputs, dtype=scores.dtype)[check_labels(targets, outputs)]
        if targets.shape[1:] != (outputs,):
            raise ArgumentError(
                f"expected targets of shape (N, {outputs}) or (N,), got {targets.shape}."
            )
        if targets.dtype.kind not in "fiub":
            raise ArgumentError(f"expected targets that are numbers, got {targets.dtype}.")
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and so is E
            return np.ascontiguousarray(targets, scores.dtype)

    def compute(self, kept: Buffers) -> None:
        """Fill the value and the gradient."""
        kernels.mean_squared_error(kept.scores, kept.targets, kept.gradient, kept.value)


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


def check_labels(labels: npt.ArrayLike, classes: int) -> np.ndarray:
    """`labels` as int64.

    Raises
    ------
    ArgumentError
        If they are not whole numbers of shape (N,) from 0 to ``classes - 1``.
    """
    labels = labels if type(labels) is np.ndarray else checks.as_array(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ArgumentError(
            f"labels must be whole numbers of shape (N,), got {labels.dtype} of {labels.shape}."
            f" {advice_on_labels(labels)}"
        )
    classes = classes if type(classes) is int else checks.check_count(classes, "classes")
    whole = np.ascontiguousarray(labels, np.int64)
    if not kernels.are_classes(whole, classes):
        raise ArgumentError(
            f"labels must be from 0 to {classes - 1}, as the model gives {classes} scores,"
            f" got {labels.min()} to {labels.max()}."
        )
    return whole


def _check_probabilities(targets, classes):
    """Probabilities (N, K) of the classes as float64, or an ArgumentError."""
    if targets.shape[1:] != (classes,) or targets.dtype.kind != "f":
        raise ArgumentError(
            "targets must be whole numbers of shape (N,), the classes, or floating-point"
            f" probabilities of shape (N, {classes}), got {targets.dtype} of shape {targets.shape}."
        )
    wide = np.ascontiguousarray(targets, np.float64)
    if not (wide.min() >= 0 and np.abs(wide.sum(1) - 1).max() <= TOLERANCE):
        raise ArgumentError(
            "targets of shape (N, K) must be probabilities: from 0 on, with the sum 1 for each"
            " sample."
        )
    return wide


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


def __getattr__(name):
    raise no_such_name("minicnn.losses", name)
