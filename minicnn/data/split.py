"""Splits: one data set in two, class by class, the same on every machine."""

from typing import Any

import numpy as np

from minicnn.checks import check_seed, shown, takes
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError

SPLIT = 4  # keeps a split's random numbers apart from those of other parts of the seed


@takes(dataset=Dataset)
def split(
    dataset: Dataset, part: int | float, seed: int = 0, what: str = "the part"
) -> tuple[Dataset, Dataset]:
    """A data set without a part of it, and that part, drawn at random within each class.

    Each class gives the share of its images that the whole gives, rounded so that the counts add
    up. Images keep their order and are not copied.

    Parameters
    ----------
    dataset : Dataset
    part : int or float
        How many images, from 1 to all but one; or which share of them, between 0 and 1.
    seed : int
        Another seed draws another part.
    what : str
        What an error calls the part.

    Returns
    -------
    rest, part : Dataset

    Raises
    ------
    ArgumentError
        If nothing would be left on one side, or `part` is no number.
    """
    count = _count(part, len(dataset), what)
    rng = np.random.default_rng([check_seed(seed), SPLIT])
    # Shuffled, then sorted by class: a class begins where the ones before it end.
    order = rng.permutation(len(dataset))
    order = order[np.argsort(dataset.labels[order], kind="stable")]
    sizes = np.bincount(dataset.labels, minlength=dataset.classes)
    exact = sizes * (count / len(dataset))
    counts = np.floor(exact).astype(np.int64)
    largest = np.argsort(counts - exact, kind="stable")  # the largest remainders first
    counts[largest[: count - counts.sum()]] += 1
    begins = np.cumsum(sizes) - sizes
    chosen = np.concatenate([order[b : b + n] for b, n in zip(begins, counts)])
    rest = np.setdiff1d(np.arange(len(dataset)), chosen, assume_unique=True)
    return dataset.take(rest), dataset.take(np.sort(chosen))


def check_part(part: Any, what: str) -> int | float:
    """`part` if it is a number of images or a share of them, else an ArgumentError."""
    number = isinstance(part, (int, float, np.integer, np.floating)) and not isinstance(part, bool)
    if not number or not (0 < part < 1 or (part > 1 and part == int(part))):
        raise ArgumentError(
            f"{what} must be a number of images from 2 on, such as 5000, or a share of them between"
            f" 0 and 1, such as 0.1, got {shown(part)}."
        )
    return part


def _count(part, length, what):
    part = check_part(part, what)
    count = round(part * length) if part < 1 else int(part)
    if not 0 < count < length:
        raise ArgumentError(
            f"{what} of {part} is {count} of {length} images: both sides of the split need at"
            " least one."
        )
    return count
