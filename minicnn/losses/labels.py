"""Targets of a loss, checked: classes, probabilities, numbers, and weights of classes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from minicnn import checks
from minicnn.errors import ArgumentError
from minicnn.hints.labels import advice_on_labels
from minicnn.kernels import loss as kernels

TOLERANCE = 1e-5  # of a sum of probabilities, which may have been float32


def whole_numbers(labels: npt.ArrayLike) -> np.ndarray:
    """`labels` as int64, or an ArgumentError if they are not whole numbers of shape (N,)."""
    labels = labels if type(labels) is np.ndarray else checks.as_array(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ArgumentError(
            f"labels must be whole numbers of shape (N,), got {labels.dtype} of {labels.shape}."
            f" {advice_on_labels(labels)}"
        )
    return np.ascontiguousarray(labels, np.int64)


def check_labels(labels: npt.ArrayLike, classes: int) -> np.ndarray:
    """`labels` as int64.

    Raises
    ------
    ArgumentError
        If they are not whole numbers of shape (N,) from 0 to ``classes - 1``.
    """
    whole = whole_numbers(labels)
    classes = classes if type(classes) is int else checks.check_count(classes, "classes")
    if not kernels.are_classes(whole, classes):
        given = checks.as_array(labels)
        raise ArgumentError(
            f"labels must be from 0 to {classes - 1}, as the model gives {classes} scores,"
            f" got {given.min()} to {given.max()}."
        )
    return whole


@checks.takes(targets=np.ndarray, classes=checks.check_count)
def check_probabilities(targets: np.ndarray, classes: int) -> np.ndarray:
    """Probabilities (N, K) of the classes as float64, or an ArgumentError."""
    if targets.shape[1:] != (classes,) or targets.dtype.kind != "f":
        raise ArgumentError(
            "targets must be whole numbers of shape (N,), the classes, or floating-point"
            f" probabilities of shape (N, {classes}), got {targets.dtype} of shape {targets.shape}."
        )
    wide = np.ascontiguousarray(targets, np.float64)
    if not (wide.size and wide.min() >= 0 and np.abs(wide.sum(1) - 1).max() <= TOLERANCE):
        raise ArgumentError(
            "targets of shape (N, K) must be probabilities: from 0 on, with the sum 1 for each"
            " sample."
        )
    return wide


@checks.takes(targets=np.ndarray, outputs=checks.check_count)
def check_numeric_targets(targets: np.ndarray, outputs: int) -> np.ndarray:
    """Targets (N, K) that are numbers.

    Classes (N,) become one-hot rows, if there is more than one output; for one output, (N,) are the
    numbers themselves.

    Raises
    ------
    ArgumentError
        If the shape does not fit, or they are no numbers.
    """
    if targets.ndim == 1 and outputs == 1:
        targets = targets[:, None]
    if targets.ndim == 1:
        targets = np.eye(outputs, dtype=np.int8)[check_labels(targets, outputs)]
    if targets.shape[1:] != (outputs,):
        raise ArgumentError(
            f"expected targets of shape (N, {outputs}) or (N,), got {targets.shape}."
        )
    if targets.dtype.kind not in "fiub":
        raise ArgumentError(f"expected targets that are numbers, got {targets.dtype}.")
    return targets


def check_weights(weights: Any, name: str, zeros: bool = True) -> np.ndarray | None:
    """Weights of the K classes or outputs as float64, None for none.

    Raises
    ------
    ArgumentError
        If they are no vector of finite numbers from 0 on, or, unless `zeros`, all are 0.
    """
    if weights is None:
        return None
    found = checks.as_array(weights)
    if found.ndim != 1 or not found.size or found.dtype.kind not in "fiu":
        raise ArgumentError(
            f"{name} must be a vector of K numbers, one for each score, got"
            f" {checks.shown(weights)}."
        )
    found = found.astype(np.float64)
    if not (np.isfinite(found).all() and found.min() >= 0):
        wrong = found[~(np.isfinite(found) & (found >= 0))][0]
        raise ArgumentError(f"{name} must hold finite numbers from 0 on, got {wrong:g}.")
    if not zeros and not found.any():
        raise ArgumentError(f"{name} must have a sum above 0: with zeros alone nothing counts.")
    return found


def check_length(weights: np.ndarray | None, outputs: int, name: str) -> None:
    """Raise an ArgumentError unless there are as many weights, if any, as scores."""
    if weights is not None and len(weights) != outputs:
        raise ArgumentError(
            f"{name} must have a number for each of the {outputs} scores, got {len(weights)}."
        )
