"""A folder with the four IDX files of MNIST, or of one of the data sets shaped like it."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from minicnn.checks import check_items, check_path, check_text, takes
from minicnn.data.dataset import Dataset, normalization, warn_of_empty_classes
from minicnn.data.idx import read_idx
from minicnn.errors import ArgumentError, DataError
from minicnn.paths import is_locked

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

LOCKED = "it, or a folder around it, may not be searched. Give the right to it"


@takes(folder=check_path)
def find_files(folder: str | os.PathLike[str]) -> list[Path | None]:
    """Where each of the four files is, in the order of `FILES`; None for one that is missing.

    Each may be compressed or not, and spelled ``train-images-idx3-ubyte`` or
    ``train-images.idx3-ubyte``. The compressed one is preferred: it carries a checksum.

    Parameters
    ----------
    folder : str or Path
        It need not exist.

    Returns
    -------
    list of Path or None
    """
    found = []
    for name in FILES:
        spellings = (name, name.replace("-idx", ".idx"))
        paths = [Path(folder, s + ending) for ending in (".gz", "") for s in spellings]
        found.append(next(filter(os.path.isfile, paths), None))
    return found


def load_folder(
    folder: str | os.PathLike[str], name: str | None = None, classes: int | None = None
) -> tuple[Dataset, Dataset]:
    """The training and the test set of a folder, both normalized as the training set needs.

    Parameters
    ----------
    folder : str or Path
    name : str, optional
        Of the data set; by default the folder's.
    classes : int, optional
        How many there are; by default the largest label of both sets + 1, with a UserWarning if
        one of them has no training image.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    DataError
        If a file is missing or damaged, or what is in them does not fit together.
    """
    folder = check_path(folder, "folder")
    name = None if name is None else check_text(name, "name")
    paths = find_files(folder)
    if None in paths:
        raise DataError(missing_files(folder))
    arrays = [_read_bytes(path, 3 if "images" in name else 1) for path, name in zip(paths, FILES)]
    name = name or Path(folder).name
    return from_arrays(name, arrays[:2], arrays[2:], classes)


def _check_two(value, what):
    both = check_items(value, what)
    if len(both) != 2:
        raise ArgumentError(f"{what} must be a pair of images and labels, got {len(both)} things.")
    return both


@takes(train=_check_two, test=_check_two)
def from_arrays(
    name: str,
    train: Sequence[npt.ArrayLike],
    test: Sequence[npt.ArrayLike],
    classes: int | None = None,
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

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    DataError
        If an array is not as `Dataset` needs it, or the images of the two differ in shape.
    """
    given, labels = classes, [np.asarray(labels) for _, labels in (train, test)]
    if given is None and all(array.dtype.kind in "iu" for array in labels):  # else refused below
        classes = max(int(array.max(initial=0)) for array in labels) + 1
    first = Dataset(train[0], train[1], classes, name=f"{name} training set")
    second = Dataset(test[0], test[1], classes, name=f"{name} test set")
    if first.shape != second.shape:
        raise DataError(
            f"{name}: training images are of shape {first.shape}, test images of {second.shape}:"
            " expected the same."
        )
    if given is None:
        warn_of_empty_classes(first)
    scaling = normalization(first)
    return first.with_normalization(*scaling), second.with_normalization(*scaling)


@takes(folder=check_path)
def missing_files(folder: str | os.PathLike[str]) -> str:
    """A sentence that says which of the four files a folder lacks."""
    folder = Path(folder)
    if not os.path.isdir(folder):
        found = "this is no folder" if os.path.exists(folder) else "no such folder"
        return f"{folder}: {LOCKED if is_locked(folder) else found}."
    if is_locked(folder / FILES[0]):
        return f"{folder}: {LOCKED}."
    missing = [name for name, path in zip(FILES, find_files(folder)) if path is None]
    return f"{folder}: found no {', '.join(missing)}, with or without .gz."


def _read_bytes(path, dimensions):
    array = read_idx(path)
    if array.dtype != np.uint8 or array.ndim != dimensions:
        raise DataError(
            f"{path}: expected unsigned bytes in {dimensions} dimension(s), found {array.dtype}"
            f" of shape {array.shape}."
        )
    return array
