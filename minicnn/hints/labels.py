"""Labels: what to do with an array that should hold the class of each sample."""

from typing import Any

import numpy as np

from minicnn.checks import check_numbers, takes

LARGEST = 2**31 - 1  # a label beyond it is an identifier, and no class


@takes(labels=np.ndarray)
def advice_on_labels(labels: np.ndarray, name: str = "labels") -> str:
    """What to do with an array called `name` that should be whole numbers of shape (N,)."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        return f"Use {name}[:, 0]."
    if labels.ndim == 2 and len(labels) == 1:
        return f"Use {name}[0]."
    if labels.ndim == 2 and _are_one_hot(labels):
        return f"Use {name}.argmax(axis=1) for one-hot rows."
    if labels.ndim != 1:
        return "Give one class for each sample."
    if labels.dtype.kind == "f":
        whole = np.isfinite(labels) & (labels == np.floor(labels))
        if not whole.all():
            first = int(np.argmin(whole))
            return f"{labels[first]} at index {first} is no class."
    if labels.dtype.kind in "bf":
        return f"Use {name}.astype(np.int64)."
    return f"Use np.unique({name}, return_inverse=True)[1], which numbers them from 0."


def _are_one_hot(rows):
    if rows.dtype.kind not in "biuf":
        return False
    return bool(((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all())


@takes(labels=check_numbers)
def first_beyond(labels: Any) -> int | None:
    """The index of the first label that is too large for a class, or None."""
    wrong = (labels.astype(np.float64) if labels.dtype.kind == "f" else labels) > LARGEST
    return int(wrong.argmax()) if wrong.any() else None
