"""Weights of classes from a text: one for each class, or such that all classes count alike."""

import numpy as np

from minicnn.checks import check_kind, check_text, takes
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError
from minicnn.losses.labels import check_length, check_weights

BALANCED = "balanced"


@takes(text=check_text)
def from_string(text: str, train: Dataset | None = None) -> np.ndarray | None:
    """The weights w_k that a text stands for.

    Parameters
    ----------
    text : str
        Numbers between commas, as ``1,0.5,2``, or ``balanced``: w_k = N / (K N_k) for N_k of N
        samples, as scikit-learn has it, and 0 for a class without samples.
    train : Dataset, optional
        Whose classes are weighted. Without it the text alone is checked.

    Returns
    -------
    ndarray of float64, shape (K,), or None
        None for ``balanced`` without a data set.

    Raises
    ------
    ArgumentError
        If the text is neither, or there are not as many numbers as classes.
    """
    if train is not None:
        check_kind(train, Dataset, "class_weights: train")
    if text == BALANCED:
        return None if train is None else _balanced(train)
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        raise ArgumentError(
            f"class_weights must be {BALANCED} or numbers between commas, as 1,0.5,2, got {text!r}."
        ) from None
    weights = check_weights(numbers, "class_weights", zeros=False)
    if train is not None:
        check_length(weights, train.classes, "class_weights")
    return weights


def _balanced(train):
    counts = np.bincount(train.labels, minlength=train.classes)
    shares = len(train) / (train.classes * np.maximum(counts, 1))
    return np.where(counts > 0, shares, 0.0)
