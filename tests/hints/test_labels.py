"""Advice on labels makes labels of them, and is not given where it would not."""

import numpy as np
import pytest

from minicnn.hints.labels import advice_on_labels, first_beyond

LABELS = np.array([2, 0, 1, 2])


@pytest.mark.parametrize("given", [
    LABELS[:, None], LABELS[None], np.eye(3)[LABELS], np.eye(3, dtype=bool)[LABELS],
    LABELS.astype(float), LABELS.astype(object), np.array(list("cabc")),
])  # fmt: skip
def test_what_it_says_gives_the_labels(given):
    code = (
        advice_on_labels(given).removeprefix("Use ").partition(" for ")[0].partition(", which")[0]
    )
    found = eval(code.rstrip("."), {"labels": given, "np": np})
    np.testing.assert_array_equal(found, LABELS)


def test_booleans_are_two_classes():
    assert "astype(np.int64)" in advice_on_labels(LABELS > 0)


@pytest.mark.parametrize("given", [np.eye(4) + 0.1, np.ones((4, 3)), np.zeros((4, 3)),
                                   np.zeros((4, 2, 2)), np.array(5)])  # fmt: skip
def test_no_argmax_of_what_is_not_one_hot(given):
    assert advice_on_labels(given) == "Give one class for each sample."


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, -0.1])
def test_numbers_that_are_no_classes(value):
    assert advice_on_labels(np.array([0.0, 1.0, value])) == f"{value} at index 2 is no class."


def test_labels_that_are_too_large():
    assert first_beyond(np.array([3, 2**31 - 1])) is None
    assert first_beyond(np.array([3, 2**63, 1], np.uint64)) == 1
