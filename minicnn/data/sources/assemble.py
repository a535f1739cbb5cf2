"""A training and a test set of arrays, normalized alike; or of one set that is split."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from minicnn.checks import check_items, list_of, takes
from minicnn.data.dataset import Dataset, warn_of_empty_classes
from minicnn.data.split import split
from minicnn.data.statistics import normalization
from minicnn.errors import ArgumentError, DataError

Pairs = tuple[tuple[Any, Any], tuple[Any, Any]]  # images and labels, twice

Moments = tuple[npt.ArrayLike, npt.ArrayLike]  # mean and standard deviation

TEST_SHARE = 0.2  # of a set that is split: the same images whatever the run's seed
MANY = 1000  # classes from which on several images of each are expected


def _check_two(value, what):
    both = check_items(value, what)
    if len(both) != 2:
        raise ArgumentError(f"{what} must be a pair, got {len(both)} things.")
    return both


@takes(train=_check_two, test=_check_two)
def from_arrays(
    name: str,
    train: Sequence[npt.ArrayLike],
    test: Sequence[npt.ArrayLike],
    classes: int | None = None,
    class_names: Iterable[str] | None = None,
    moments: Moments | None = None,
) -> tuple[Dataset, Dataset]:
    """Both sets of pairs of images and labels, normalized as the training set needs.

    Parameters
    ----------
    name : str
        Of the data set.
    train, test : pair of array_like
        Images and labels, see `Dataset`.
    classes : int, optional
        How many there are; by default the largest label of both sets + 1.
    class_names : iterable of str, optional
        As many as there are classes.
    moments : pair of array_like, optional
        Mean and standard deviation of the training set, if they are known.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    DataError
        If an array is not as `Dataset` needs it, or the images of the two differ in shape.
    """
    names = None if class_names is None else list_of(str)(class_names, "class_names")
    known = classes if names is None else len(names)
    labels = [np.asarray(labels) for _, labels in (train, test)]
    if known is None and all(array.dtype.kind in "iu" for array in labels):  # else refused below
        classes = max(int(array.max(initial=0)) for array in labels) + 1
    else:
        classes = known
    first, second = (
        Dataset(images, labels, classes, name=f"{name} {which} set", class_names=names)
        for which, (images, labels) in (("training", train), ("test", test))
    )
    if first.shape != second.shape:
        raise DataError(
            f"{name}: training images are of shape {first.shape}, test images of {second.shape}:"
            " expected the same."
        )
    check_classes(first)
    if known is None:
        warn_of_empty_classes(first)
    scaling = normalization(first) if moments is None else _check_two(moments, "moments")
    return first.with_normalization(*scaling), second.with_normalization(*scaling)


@takes(whole=Dataset)
def split_in_two(whole: Dataset, moments: Moments | None = None) -> tuple[Dataset, Dataset]:
    """A training and a test set of one set, normalized as the training set needs.

    The split is the same in every run; the notes of both say it.

    Parameters
    ----------
    whole : Dataset
    moments : pair of array_like, optional
        As in `from_arrays`.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    DataError
        If there are too few images.
    """
    check_classes(whole)
    if len(whole) < 2:
        raise DataError(
            f"{whole.name} has {len(whole)} image and no test set: expected at least two to split."
        )
    train, test = split(whole, TEST_SHARE if len(whole) > 2 else 0.5, what="the test set")
    note = (
        f"{whole.name} has no test set: {len(test):,} of its {len(whole):,} images, drawn from"
        " each class, are kept for it."
    )
    scaling = normalization(train) if moments is None else _check_two(moments, "moments")
    for part, which in ((train, "training"), (test, "test")):
        part.name, part.notes = f"{whole.name} {which} set", (*whole.notes, note)
    return train.with_normalization(*scaling), test.with_normalization(*scaling)


@takes(dataset=Dataset)
def check_classes(dataset: Dataset) -> None:
    """Raise a DataError for so many classes that they can only be numbers of images."""
    if dataset.classes > MANY and len(dataset) < 2 * dataset.classes:
        raise DataError(
            f"{dataset.name}: {dataset.classes:,} classes for {len(dataset):,} images: expected"
            " several images of each class. Are the labels the numbers of the images?"
        )
