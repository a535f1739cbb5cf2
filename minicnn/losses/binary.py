"""Binary cross-entropy: each score answers a question of its own, with yes or no."""

from typing import Any

import numpy as np

from minicnn.checks import is_finite, shown
from minicnn.errors import ArgumentError
from minicnn.losses.base import Buffers
from minicnn.losses.labels import check_length, check_numeric_targets, check_weights
from minicnn.losses.regression import Elementwise


class BCEWithLogitsLoss(Elementwise):
    """Binary cross-entropy of the sigmoid of the scores.

    With weights w and v of the outputs, 1 by default, p = 1 / (1 + exp(-s)) and targets t in
    [0, 1]::

        l = -w (v t log p + (1 - t) log(1 - p))          dl/ds = w ((1 - t) p - v t (1 - p))
        E = 1 / (N K) sum over n, k of l_nk

    The value and the gradient are exact for scores of any size; no exponential overflows. As in
    PyTorch the mean is over all N K numbers, whatever the weights.

    Targets are (N, K), or classes (N,), which become one-hot rows; with one output, ``K = 1``, (N,)
    are the targets.

    Parameters
    ----------
    weight : array_like of float, shape (K,), optional
        Of each output. PyTorch also takes one of each number of a batch.
    reduction : str
        ``"mean"`` or ``"sum"``.
    pos_weight : array_like of float, shape (K,), optional
        v, of the targets that are 1: above 1 it finds more of them, with more false alarms.

    Raises
    ------
    ArgumentError
        If weights are negative, all 0 (`weight`), or no vector, or for another reduction; when
        called, if they are not K or a target is outside of [0, 1].
    """

    _loop = "logistic"

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None):
        super().__init__(reduction)
        self.weight = check_weights(weight, "weight", zeros=False)
        self.pos_weight = check_weights(pos_weight, "pos_weight")

    def targets(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Shares of yes and no, (N, K, 2) of float64: w v t and w (1 - t)."""
        return _shares(scores.shape[1], targets, self.weight, self.pos_weight)


class SigmoidFocalLoss(Elementwise):
    """Binary cross-entropy in which answers that are right already count less.

    With p = 1 / (1 + exp(-s)), targets t in [0, 1], and alpha_t = alpha t + (1 - alpha) (1 - t)::

        q = p (1 - t) + (1 - p) t
        l = -alpha_t q^gamma (t log p + (1 - t) log(1 - p))
        E = 1 / (N K) sum over n, k of l_nk

    It is torchvision's ``sigmoid_focal_loss``, whose own reduction is none. With gamma = 0 and no
    alpha it is `BCEWithLogitsLoss`; `FocalLoss` is the same of a softmax. Targets are as there.
    Lin et al., *Focal loss for dense object detection*, ICCV 2017.

    Parameters
    ----------
    alpha : float, optional
        From 0 to 1: the weight of targets that are 1, and 1 less this number that of the others.
        None for no weights, which torchvision writes as -1.
    gamma : float
        At least 0: how much less right answers count.
    reduction : str
        ``"mean"`` or ``"sum"``.

    Raises
    ------
    ArgumentError
        If a setting is out of range; when called, if a target is outside of [0, 1].
    """

    _loop = "sigmoid-focal"

    def __init__(self, alpha: float | None = 0.25, gamma: float = 2.0, reduction: str = "mean"):
        super().__init__(reduction)
        if alpha is not None and not (is_finite(alpha) and 0 <= alpha <= 1):
            raise ArgumentError(
                f"alpha must be a number from 0 to 1, or None for no weights, got {shown(alpha)}."
            )
        if not (is_finite(gamma) and gamma >= 0):
            raise ArgumentError(f"gamma must be a finite number from 0 on, got {shown(gamma)}.")
        self.alpha, self.gamma = None if alpha is None else float(alpha), float(gamma)

    def targets(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Targets and their weights, (N, K, 2) of float64: t and alpha_t."""
        shares = _shares(scores.shape[1], targets, None, None)
        yes, no = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        shares[:, :, 1] = yes * shares[:, :, 0] + no * shares[:, :, 1]
        return shares

    def write_settings(self, kept: Buffers, targets: np.ndarray) -> None:
        """Write what the sum is divided by, and gamma."""
        super().write_settings(kept, targets)
        kept.settings[1] = self.gamma


class BCELoss(Elementwise):
    """Binary cross-entropy of probabilities, as a sigmoid layer gives them.

    With weights w of the outputs, 1 by default, scores p and targets t in [0, 1]::

        l = -w (t log p + (1 - t) log(1 - p))          dl/dp = w (p - t) / (p (1 - p))
        E = 1 / (N K) sum over n, k of l_nk

    As in PyTorch the logarithms are at least -100, and p (1 - p) at least 1e-12. A p outside of
    [0, 1], which PyTorch refuses, makes the value NaN. `BCEWithLogitsLoss`, on scores without the
    sigmoid, is more exact. Targets are as there.

    Parameters
    ----------
    weight : array_like of float, shape (K,), optional
        Of each output. PyTorch also takes one of each number of a batch.
    reduction : str
        ``"mean"`` or ``"sum"``.

    Raises
    ------
    ArgumentError
        If weights are negative, all 0, or no vector, or for another reduction; when called, if
        they are not K or a target is outside of [0, 1].
    """

    _loop = "bernoulli"

    def __init__(self, weight: Any = None, reduction: str = "mean"):
        super().__init__(reduction)
        self.weight = check_weights(weight, "weight", zeros=False)

    def targets(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Shares of yes and no, (N, K, 2) of float64: w t and w (1 - t)."""
        return _shares(scores.shape[1], targets, self.weight, None)


def _shares(outputs, targets, weight, pos_weight):
    check_length(weight, outputs, "weight")
    check_length(pos_weight, outputs, "pos_weight")
    t = check_numeric_targets(targets, outputs).astype(np.float64)
    if not (t.size and t.min() >= 0 and t.max() <= 1):
        raise ArgumentError(
            f"targets must be from 0 to 1, got {t.min():g} to {t.max():g}."
            if t.size
            else f"expected targets of at least one sample, got shape {t.shape}."
        )
    shares = np.stack([t, 1 - t], axis=2)
    if pos_weight is not None:
        shares[:, :, 0] *= pos_weight
    return shares if weight is None else shares * weight[:, None]
