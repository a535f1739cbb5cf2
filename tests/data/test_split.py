"""A split takes from every class alike, loses nothing, and depends on its seed alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.data import Batches, Dataset, split
from minicnn.errors import ArgumentError


def dataset(labels):
    labels = np.asarray(labels)
    images = np.arange(len(labels), dtype=np.float32)[:, None, None]
    return Dataset(images, labels, classes=max(int(labels.max()) + 1, 1), mean=3.0)


@given(
    labels=st.lists(st.integers(0, 4), min_size=2, max_size=60),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 5),
)
def test_counts_add_up_and_every_class_gives_its_share(labels, share, seed):
    whole, count = dataset(labels), round(share * len(labels))
    if not 0 < count < len(labels):
        return
    rest, part = split(whole, share, seed)
    assert len(part) == count
    both = np.concatenate([one.images.ravel() for one in (rest, part)])
    np.testing.assert_array_equal(np.sort(both), np.arange(len(labels)))
    for one in (rest, part):
        np.testing.assert_array_equal(one.labels, whole.labels[one.images.ravel().astype(int)])
        assert (np.diff(one.images.ravel()) > 0).all() and one.classes == whole.classes
    exact = np.bincount(labels, minlength=5) * (count / len(labels))
    taken = np.bincount(part.labels, minlength=5)
    assert (np.abs(taken - exact) < 1).all()


def test_the_seed_alone_decides():
    whole = dataset(np.arange(100) % 7)
    one, same, other = (split(whole, 30, seed)[1].images for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_parts_read_the_same_memory():
    whole = dataset(np.arange(100) % 7)
    for part in split(whole, 0.3):
        assert part.storage is whole.storage
        inner = split(part, 0.5)[0]
        np.testing.assert_array_equal(inner.labels, inner.images.ravel().astype(int) % 7)
        [batch] = Batches(inner, len(inner))
        found = np.moveaxis(batch.x, -1, 1).reshape(-1)[: len(inner)]
        np.testing.assert_array_equal(found, inner.images.ravel() - 3)


@pytest.mark.parametrize("part", [0, 1, 0.0, 1.0, -5, 1.5, float("nan"), "10%", None, True, 100])
def test_parts_that_cannot_be(part):
    with pytest.raises(ArgumentError, match="the validation set"):
        split(dataset(np.arange(100) % 7), part, what="the validation set")


def test_take():
    whole = dataset([0, 1, 2, 0, 1])
    chosen = whole.take([4, 1, 1])
    np.testing.assert_array_equal(chosen.images.ravel(), [4, 1, 1])
    np.testing.assert_array_equal(chosen.take([2, 0]).images.ravel(), [1, 4])
    np.testing.assert_array_equal(chosen.normalized([0]).ravel(), [1])
    assert np.shares_memory(whole.take([0, 1, 2]).images, whole.images)
    for indices in ([], [5], [[0]], "a", [0.5]):
        with pytest.raises(ArgumentError):
            whole.take(indices)
