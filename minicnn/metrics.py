"""Metrics: how good a classifier's answers are.

Classes are whole numbers from 0; N is the number of samples, at least 1, and K that of classes.
`predicted` is the answer for each sample, the arg-max over its class scores. An ArgumentError tells
of arrays that are empty, not of whole numbers, or of shapes that do not fit, and of what is out of
range.
"""

from typing import Any

import numpy as np

from minicnn import allocation
from minicnn.checks import check_count, check_numbers
from minicnn.errors import ArgumentError
from minicnn.hints.labels import advice_on_labels, first_beyond


def accuracy(predicted: Any, labels: Any) -> float:
    """Fraction of samples whose predicted class is the true one.

    Parameters
    ----------
    predicted, labels : ndarray of int, shape (N,)
        N at least 1.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ArgumentError
        If the arrays are empty, not of whole numbers, or differ in shape.
    """
    predicted, labels = _classes("predicted", predicted), _classes("labels", labels)
    _same_length("predicted", predicted, labels)
    return float(np.mean(predicted == labels))


def top_k_accuracy(scores: Any, labels: Any, k: int) -> float:
    """Fraction of samples whose true class is among the k with the largest scores.

    Of equal scores the lower class goes first, as in ``argmax``, so that k = 1 is the
    accuracy. A sample with a NaN among its scores counts as wrong.

    Parameters
    ----------
    scores : ndarray of float, shape (N, K)
    labels : ndarray of int, shape (N,)
        In [0, K).
    k : int
        In [1, K].

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ArgumentError
        If a shape does not fit or a label or `k` is out of range.
    """
    scores, labels = check_numbers(scores, "scores"), _classes("labels", labels)
    if scores.ndim != 2:
        raise ArgumentError(f"scores must have shape (N, K), got {scores.shape}.")
    _same_length("scores", scores, labels)
    classes = scores.shape[1]
    _in_range("labels", labels, classes)
    if check_count(k, "k") > classes:
        raise ArgumentError(f"k must be from 1 to the {classes} classes, got {k}.")
    true_score = np.take_along_axis(scores, labels[:, None], axis=1)
    earlier = np.arange(classes) < labels[:, None]
    ahead = (scores > true_score) | ((scores == true_score) & earlier)
    valid = ~np.isnan(scores).any(axis=1)
    return float(np.mean(valid & (ahead.sum(axis=1) < k)))


def confusion_matrix(labels: Any, predicted: Any, classes: int) -> np.ndarray:
    """Count how often each true class was taken for each class.

    Parameters
    ----------
    labels, predicted : ndarray of int, shape (N,)
        In [0, classes).
    classes : int
        K, an integer of at least 1.

    Returns
    -------
    ndarray of int64, shape (K, K)
        Element [i, j] counts the samples of class i that were predicted as j.

    Raises
    ------
    ArgumentError
        If a shape does not fit or a class is out of range.
    """
    labels, predicted = _classes("labels", labels), _classes("predicted", predicted)
    classes = check_count(classes, "classes")
    _same_length("predicted", predicted, labels)
    _in_range("labels", labels, classes)
    _in_range("predicted", predicted, classes)
    with allocation.asked(8 * classes**2, f"int64 of shape {classes, classes}"):
        matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def predicted_classes(predicted: Any) -> int:
    """How many distinct classes are predicted: 1 shows a network that ignores its input.

    Parameters
    ----------
    predicted : ndarray of int, shape (N,)

    Returns
    -------
    int

    Raises
    ------
    ArgumentError
        If the array is empty, not of whole numbers, or not one-dimensional.
    """
    return int(np.unique(_classes("predicted", predicted)).size)


def entropy(frequencies: Any) -> float:
    """``- sum of f ln f``: the least mean cross-entropy of an answer that ignores the image.

    Parameters
    ----------
    frequencies : array_like, shape (K,)
        f, of the classes; they sum to 1, and 0 ln 0 is 0.

    Returns
    -------
    float
        In nats; ln K if all classes are equally frequent.
    """
    present = check_numbers(frequencies, "frequencies", ndim=1).astype(np.float64)
    present = present[present > 0]
    return float(-(present @ np.log(present))) + 0.0


def _classes(name, array):
    array = np.asarray(array)
    if array.ndim != 1 or array.size == 0 or not np.issubdtype(array.dtype, np.integer):
        scores = name == "predicted" and array.ndim == 2 and array.shape[1] > 1
        advice = "Of scores, take argmax(axis=1)." if scores else advice_on_labels(array, name)
        raise ArgumentError(
            f"{name} must be a class for each sample, whole numbers of shape (N,) with N at "
            f"least 1, got {array.dtype} of shape {array.shape}. {advice}"
        )
    if (first := first_beyond(array)) is not None:
        raise ArgumentError(f"{name} at index {first} is {array[first]}, too large for a class.")
    return array.astype(np.int64)


def _same_length(name, array, labels):
    if len(array) != len(labels):
        raise ArgumentError(f"{len(array)} {name} for {len(labels)} labels: expected one for each.")


def _in_range(name, array, classes):
    if array.min() < 0 or array.max() >= classes:
        raise ArgumentError(
            f"{name} must be from 0 to {classes - 1}, got {array.min()} to {array.max()}."
        )
