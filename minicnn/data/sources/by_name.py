"""Data sets by name, as the command line gives them."""

import os
from pathlib import Path
from typing import Any

from minicnn import extras
from minicnn.checks import check_flag, takes
from minicnn.data.dataset import Dataset
from minicnn.data.sources import cifar, images, listing, numpy_files
from minicnn.data.sources.assemble import from_arrays, split_in_two
from minicnn.data.sources.idx_folder import find_files, load_folder, missing_files
from minicnn.data.sources.published import PUBLISHED, load_published
from minicnn.errors import DataError, unknown
from minicnn.paths import expand
from minicnn.plugins import lookup

ARRAYS = (".npz", ".npy")


def names() -> list[str]:
    """The names that `load` knows, as a list."""
    return [*PUBLISHED, "digits"]


def is_own(name: Any) -> bool:
    """Whether a name is that of a user's function, see `load`; any folder that exists is not."""
    return lookup.is_own(name) and not os.path.isdir(os.path.expanduser(name))


@takes(name=(str, os.PathLike, type(None)), skip_bad=check_flag)
def load(
    name: str | os.PathLike[str], image_size: Any = None, skip_bad: bool = False
) -> tuple[Dataset, Dataset]:
    """The training and the test set that a name, a folder or a file stands for.

    Parameters
    ----------
    name : str or Path
        One of `names`; a folder with four IDX files named as MNIST's are, with the files of
        CIFAR-10 or CIFAR-100, with ``.npy`` files, or with images in a folder for each class; or a
        file ``.npz``. Anything with a path separator in it, and whatever exists, is taken for one.
        ``PATH.py:NAME`` or ``package.module:NAME`` is a user's own: a function that returns the
        training and the test set, each a Dataset, or each a pair of images and labels.
    image_size : int or pair of int, optional
        Of a folder of images, see `images.load_images`.
    skip_bad : bool
        Of a folder of images, likewise.

    Returns
    -------
    train, test : Dataset
        Both normalized with the mean and standard deviation of the training set, unless a user's
        function made Datasets.

    Raises
    ------
    ArgumentError
        For a name that is neither known nor a folder or file.
    DataError
        If files are missing or damaged, or cannot be fetched.
    """
    text = str(name)
    if isinstance(name, str) and name in PUBLISHED:
        return load_published(name)
    if name == "digits":
        return _digits()
    if is_own(name):
        return _own(lookup.parse(text, "data"))
    separators = [s for s in ("/", os.sep, os.altsep) if s]
    path = expand(text, "the data set or folder")
    is_path = isinstance(name, Path) or any(s in text for s in separators)
    if not is_path and not (text and os.path.exists(path)):
        raise unknown("data set or folder", text, names())
    if os.path.isfile(path):
        if path.suffix in ARRAYS:
            return numpy_files.load_arrays(path)
        raise DataError(
            f"{path}: expected a folder, or a file {' or '.join(ARRAYS)}; your own function that"
            " reads others is --data './file.py:load'."
        )
    return _folder(path, image_size, skip_bad)


def _folder(path, image_size, skip_bad):
    if not os.path.isdir(path) or any(find_files(path)):
        return load_folder(path)
    if cifar.is_folder(path):
        train, test, class_names = cifar.read(path)
        return from_arrays(path.name, train, test, class_names=class_names)
    if numpy_files.is_folder(path):
        return numpy_files.load_arrays(path)
    if listing.is_folder(path):
        return images.load_images(path, image_size, skip_bad)
    raise DataError(
        f"{missing_files(path)[:-1]}, nor the files of CIFAR, nor x_train.npy and its siblings, nor"
        " a folder of images for each class."
    )


def _digits():
    """1,797 handwritten digits of 8 x 8 pixels, which scikit-learn carries."""
    data = extras.load("sklearn.datasets", "the data set digits", "data").load_digits()
    pixels = (data.images * 15).astype("uint8")  # from 0 to 16
    return split_in_two(Dataset(pixels, data.target, 10, name="digits"))


def _own(reference):
    """The sets that a user's function returns."""
    function = reference.load()
    if not callable(function):
        raise reference.error(
            f"expected a function that returns a training and a test set, got {function!r}."
        )
    both = reference.call(function, error=DataError)
    if _is_pair(both) and all(isinstance(one, Dataset) for one in both):
        return tuple(both)
    if _is_pair(both) and all(map(_is_pair, both)):
        return from_arrays(reference.name, *both)
    raise reference.error(
        "expected a training and a test set, each a Dataset or a pair of images and labels, got"
        f" {_kinds(both)}.",
        DataError,
    )


def _is_pair(value):
    return isinstance(value, (tuple, list)) and len(value) == 2


def _kinds(value):
    """What a value is, and what is in it, by the names of the types."""
    name = type(value).__name__
    few = isinstance(value, (tuple, list)) and len(value) < 10
    return f"{name} of {', '.join(type(one).__name__ for one in value)}" if few and value else name
