"""Metrics against counts by hand and against plain loops."""

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.metrics import accuracy, confusion_matrix, predicted_classes, top_k_accuracy

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 20, 300)
PREDICTED = np.where(RNG.random(300) < 0.5, LABELS, RNG.integers(0, 20, 300))


def test_accuracy():
    assert accuracy([0, 1, 2, 3], [0, 1, 2, 2]) == 0.75
    assert accuracy([1], [0]) == 0
    assert accuracy(LABELS.astype(np.uint8), LABELS) == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint64])
def test_confusion_matrix_counts_each_pair(dtype):
    matrix = confusion_matrix(LABELS.astype(dtype), PREDICTED.astype(dtype), 21)
    assert matrix.dtype == np.int64 and matrix.shape == (21, 21)
    for i in range(21):
        for j in range(21):
            assert matrix[i, j] == ((LABELS == i) & (PREDICTED == j)).sum()


def test_confusion_matrix_rows_are_the_true_class():
    np.testing.assert_array_equal(
        confusion_matrix([0, 0, 2], [0, 1, 1], 3), [[1, 1, 0], [0, 0, 0], [0, 1, 0]]
    )


def test_diagonal_of_the_confusion_matrix_is_the_accuracy():
    matrix = confusion_matrix(LABELS, PREDICTED, 20)
    assert np.trace(matrix) / matrix.sum() == accuracy(PREDICTED, LABELS)


def test_predicted_classes():
    assert predicted_classes([3, 3, 3]) == 1
    assert predicted_classes([0, 2, 0, 9]) == 3


@pytest.mark.parametrize("k", [1, 2, 5, 20])
def test_top_k_is_membership_among_the_largest(k):
    scores = RNG.normal(size=(300, 20))
    largest = np.argsort(-scores, axis=1)[:, :k]
    expected = np.mean([label in row for label, row in zip(LABELS, largest)])
    assert top_k_accuracy(scores, LABELS, k) == pytest.approx(expected, abs=1e-15)


def test_top_1_is_the_accuracy_of_arg_max_even_in_ties():
    scores = RNG.integers(0, 3, (300, 20)).astype(np.float32)
    assert top_k_accuracy(scores, LABELS, 1) == accuracy(scores.argmax(axis=1), LABELS)
    assert top_k_accuracy(np.zeros((2, 4)), [1, 2], 2) == 0.5


def test_top_k_takes_no_answer_from_nan():
    scores = np.array([[np.nan, 1.0], [0.0, 1.0], [np.nan, np.nan]])
    assert top_k_accuracy(scores, [1, 1, 0], 2) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accuracy([], []), "N at least 1"),
        (lambda: accuracy([1, 2], [1]), "2 predicted for 1 labels"),
        (lambda: accuracy([1.0], [1]), "float64"),
        (lambda: accuracy(np.zeros((3, 10)), [1, 2, 3]), r"argmax\(axis=1\)"),
        (lambda: accuracy([1], [[1]]), r"shape \(1, 1\)"),
        (lambda: predicted_classes(np.zeros(3)), "whole numbers"),
        (lambda: confusion_matrix([0, 3], [0, 1], 3), "labels must be from 0 to 2, got 0 to 3"),
        (lambda: confusion_matrix([0, 1], [-1, 1], 3), "predicted must be from 0 to 2, got -1"),
        (lambda: confusion_matrix([0], [0, 1], 3), "2 predicted for 1"),
        (lambda: top_k_accuracy(np.zeros(3), [1, 2, 0], 1), r"\(N, K\)"),
        (lambda: top_k_accuracy(np.zeros((2, 3)), [1], 1), "2 scores for 1 labels"),
        (lambda: top_k_accuracy(np.zeros((1, 3)), [3], 1), "from 0 to 2"),
        (lambda: top_k_accuracy(np.zeros((1, 3)), [-1], 1), "from 0 to 2"),
        (lambda: top_k_accuracy(np.zeros((1, 3)), [0], 0), "k must be"),
        (lambda: top_k_accuracy(np.zeros((1, 3)), [0], 4), "k must be"),
        (lambda: top_k_accuracy(np.zeros((1, 3)), [0], 1.5), "k must be an integer"),
        (lambda: accuracy([1], [[1], [2]]), r"Use labels\[:, 0\]"),
        (lambda: accuracy(np.zeros((3, 1), int), [1, 2, 3]), r"Use predicted\[:, 0\]"),
        (lambda: accuracy([1, 0], np.eye(2)), r"labels.argmax\(axis=1\)"),
        (
            lambda: accuracy(np.array([2**64 - 1], np.uint64), [-1]),
            "index 0 is 18446744073709551615",
        ),
        (lambda: confusion_matrix([0], [0], 1.5), "classes must be an integer"),
    ],
)
def test_input_that_cannot_work(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
