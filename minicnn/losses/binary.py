"""Binary cross-entropy: each score answers a question of its own, with yes or no."""

from typing import Any

import numpy as np

from minicnn.errors import ArgumentError
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
