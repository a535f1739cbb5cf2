"""Losses of classes: cross-entropy, the negative log-likelihood and the focal loss.

All are weighted sums of terms in log p_nk. What multiplies them, the coefficients c_nk, holds the
true class or the probabilities of the classes, the classes' weights, the smoothing, and zeros for
samples that are ignored.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from minicnn import checks
from minicnn.errors import ArgumentError
from minicnn.kernels import loss as kernels
from minicnn.losses.base import Buffers, Loss
from minicnn.losses.labels import (
    check_labels,
    check_length,
    check_probabilities,
    check_weights,
    whole_numbers,
)

IGNORED = -100  # PyTorch's default


class ClassLoss(Loss):
    """Base of losses of classes, with weights w_k of the classes, 1 by default.

    For true classes y the coefficients are, with those of ignored samples 0::

        c_nk = w_k ((1 - smoothing) [k = y_n] + smoothing / K)          D = sum over n of w_{y_n}

    and for probabilities t of the classes::

        c_nk = w_k ((1 - smoothing) t_nk + smoothing / K)               D = N

    A subclass divides by D if the reduction is ``"mean"``.

    Parameters
    ----------
    weight : array_like of float, shape (K,), optional
    ignore_index : int
        The label of samples that do not count. It may be outside of the classes.
    reduction : str
        ``"mean"`` or ``"sum"``.

    Raises
    ------
    ArgumentError
        If a setting is not as it should be.
    """

    label_smoothing = 0.0

    def __init__(self, weight: Any = None, ignore_index: int = IGNORED, reduction: str = "mean"):
        super().__init__(reduction)
        self.weight = check_weights(weight, "weight", zeros=False)
        self.ignore_index = checks.check_count(ignore_index, "ignore_index", least=-(2**63))

    def targets(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The coefficients c, (N, K) of float64."""
        classes = scores.shape[1]
        check_length(self.weight, classes, "weight")
        if targets.ndim == 1:
            labels = whole_numbers(targets)
            counted = labels != self.ignore_index
            labels = np.where(counted, labels, 0)
            shares = np.zeros((len(labels), classes))
            shares[np.arange(len(labels)), check_labels(labels, classes)] = 1.0
        else:
            shares, counted = check_probabilities(targets, classes), None
        if self.label_smoothing:
            shares = (1 - self.label_smoothing) * shares + self.label_smoothing / classes
        if self.weight is not None:
            shares = shares * self.weight
        return shares if counted is None else shares * counted[:, None]

    def write_settings(self, kept: Buffers, targets: np.ndarray) -> None:
        """Write what the sum is divided by."""
        kept.settings[0] = 1 if self.reduction == "sum" else self.batch_weight(targets)
        if kept.settings[0] == 0:
            raise ArgumentError(
                f"no sample of the batch counts: each label is ignore_index, {self.ignore_index},"
                " or of a class with weight 0, so there is no mean. Leave such a batch out, or use"
                ' reduction="sum", which gives 0.'
            )

    def batch_weight(self, targets: npt.ArrayLike) -> float:
        """The sum of the weights of the true classes of samples that count; N for probabilities."""
        given = checks.as_array(targets)
        if given.ndim != 1:
            return super().batch_weight(given)
        if self.weight is None:
            return float(np.count_nonzero(given != self.ignore_index))
        labels = check_labels(given[given != self.ignore_index], len(self.weight))
        return float(self.weight[labels].sum())


class SoftmaxCrossEntropy(ClassLoss):
    """Cross-entropy between the softmax of the scores and the true classes.

    This is PyTorch's ``CrossEntropyLoss``, which has another order of arguments. For one sample
    with scores s, true class y and K classes::

        p = exp(s) / sum over k of exp(s_k)
        q_k = (1 - smoothing) [k = y] + smoothing / K
        E = - sum over k of q_k log p_k          dE/ds = p - q

    (with probabilities t of the classes in place of y, q_k = (1 - smoothing) t_k + smoothing / K),
    both divided by N and summed over the samples. Each keeps its relative precision where p is
    near 0 or 1, and only where p is near q, which is neither, is the gradient as exact as p. A NaN
    or +infinity among the scores of a sample makes the value NaN, and that sample's gradient.

    With weights w of the classes, E is the sum of - w_k q_k log p_k, divided by the sum of the true
    classes' weights; for probabilities it is divided by N. Samples with the label `ignore_index`
    do not count. With weights, ignored samples, probabilities or ``"sum"`` the gradient is exact
    relative to the largest weight.

    Label smoothing: Szegedy et al., *Rethinking the Inception architecture for computer vision*,
    CVPR 2016, §7.

    Parameters
    ----------
    label_smoothing : float
        In [0, 1).
    weight : array_like of float, shape (K,), optional
        Of the classes, such as N / (K N_k) for classes with N_k of N samples.
    ignore_index : int
        The label of samples that do not count. A `Dataset` has no negative labels; there it is one
        of the classes, and counts in the accuracy.
    reduction : str
        ``"mean"`` or ``"sum"``.

    Raises
    ------
    ArgumentError
        If a setting is out of range; when called, also if there are not K weights or no sample
        counts.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        weight: Any = None,
        ignore_index: int = IGNORED,
        reduction: str = "mean",
    ):
        super().__init__(weight, ignore_index, reduction)
        if not (checks.is_finite(label_smoothing) and 0 <= label_smoothing < 1):
            raise ArgumentError(f"label_smoothing must be in [0, 1), got {label_smoothing!r}.")
        self.label_smoothing = float(label_smoothing)

    def targets(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The labels as int64 if all count alike, else the coefficients c, (N, K) of float64."""
        if self.weight is None and self.reduction == "mean":
            classes = scores.shape[1]
            if targets.ndim == 1 and not 0 <= self.ignore_index < classes:
                labels = whole_numbers(targets)
                if kernels.are_classes(labels, classes):
                    return labels
        return super().targets(scores, targets)

    def write_settings(self, kept: Buffers, targets: np.ndarray) -> None:
        """Write the smoothing for labels, or what the sum is divided by."""
        if kept.targets is not None and kept.targets.ndim == 1:
            kept.settings[0] = self.label_smoothing
        else:
            super().write_settings(kept, targets)

    def compute(self, kept: Buffers) -> None:
        """Fill the value and the gradient."""
        hard = kept.targets is None or kept.targets.ndim == 1
        kernel = kernels.softmax_cross_entropy if hard else kernels.weighted_cross_entropy
        kernel(*kept.arguments)


class NLLLoss(ClassLoss):
    """Negative log-likelihood of the true classes, for scores that are log p.

    A model for it ends in a logarithm of a softmax; `SoftmaxCrossEntropy` of the scores before it
    is the same, and more exact. With weights w, 1 by default::

        E = - sum over n of w_{y_n} s_{n, y_n} / D          D = sum over n of w_{y_n}
        dE/ds_nk = - w_k [k = y_n] / D

    Unlike PyTorch's it also takes probabilities (N, K) as targets, as mixed images have them, with
    D = N.

    Parameters
    ----------
    weight : array_like of float, shape (K,), optional
        Of the classes.
    ignore_index : int
        The label of samples that do not count.
    reduction : str
        ``"mean"`` or ``"sum"``.

    Raises
    ------
    ArgumentError
        If a setting is out of range; when called, also if there are not K weights or no sample
        counts.
    """

    def compute(self, kept: Buffers) -> None:
        """Fill the value and the gradient."""
        kernels.negative_log_likelihood(*kept.arguments)


class FocalLoss(ClassLoss):
    """Cross-entropy in which samples that are classified well count less.

    With p the softmax of the scores and y the true class::

        E = - (1/N) sum over n of alpha_y (1 - p_y)^gamma log p_y

    As commonly defined for many classes, the mean is over the number of samples, whatever alpha.
    With gamma = 0 and no alpha it is the cross-entropy. For probabilities t of the classes, the sum
    is over all classes, each with t_k. Lin et al., *Focal loss for dense object detection*, ICCV
    2017, have it for sigmoids, as torchvision's ``sigmoid_focal_loss``; PyTorch has none.

    Parameters
    ----------
    gamma : float
        At least 0.
    alpha : float or array_like of float, shape (K,), optional
        The weight of all classes or of each.
    ignore_index : int
        The label of samples that do not count.
    reduction : str
        ``"mean"`` or ``"sum"``.

    Raises
    ------
    ArgumentError
        If a setting is out of range; when called, also if there are not K weights or no sample
        counts.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: Any = None,
        ignore_index: int = IGNORED,
        reduction: str = "mean",
    ):
        super().__init__(None, ignore_index, reduction)
        if not (checks.is_finite(gamma) and gamma >= 0):
            raise ArgumentError(f"gamma must be a finite number from 0 on, got {gamma!r}.")
        self.gamma = float(gamma)
        one = checks.is_finite(alpha)
        self.alpha = check_weights([alpha] if one else alpha, "alpha", zeros=False)

    def targets(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The coefficients c, (N, K) of float64, with alpha."""
        shares = super().targets(scores, targets)
        if self.alpha is None:
            return shares
        if self.alpha.size > 1:
            check_length(self.alpha, scores.shape[1], "alpha")
        return shares * self.alpha

    def write_settings(self, kept: Buffers, targets: np.ndarray) -> None:
        """Write what the sum is divided by, and gamma."""
        super().write_settings(kept, targets)
        kept.settings[1] = self.gamma

    def compute(self, kept: Buffers) -> None:
        """Fill the value and the gradient."""
        kernels.weighted_cross_entropy(*kept.arguments)
