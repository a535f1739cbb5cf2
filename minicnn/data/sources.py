"""Data sets by name, as the command line gives them."""

import os
from pathlib import Path
from typing import Any

from minicnn.checks import takes
from minicnn.data.dataset import Dataset
from minicnn.data.folder import from_arrays, load_folder
from minicnn.data.mnist import load_mnist
from minicnn.errors import DataError, unknown
from minicnn.paths import expand
from minicnn.plugins import lookup

SOURCES = {"mnist": load_mnist}


def names() -> list[str]:
    """The names that `load` knows, as a list."""
    return list(SOURCES)


def is_own(name: Any) -> bool:
    """Whether a name is that of a user's function, see `load`; any folder that exists is not."""
    return lookup.is_own(name) and not os.path.isdir(os.path.expanduser(name))


@takes(name=(str, os.PathLike, type(None)))
def load(name: str | os.PathLike[str]) -> tuple[Dataset, Dataset]:
    """The training and the test set that a name or a folder stands for.

    Parameters
    ----------
    name : str or Path
        One of `names`, or a folder with four IDX files named as MNIST's are; anything with
        a path separator in it, and any folder that exists, is taken for a folder.
        ``PATH.py:NAME`` or ``package.module:NAME`` is a user's own: a function that returns the
        training and the test set, each a Dataset, or each a pair of images and labels.

    Returns
    -------
    train, test : Dataset
        Both normalized with the mean and standard deviation of the training set, unless a user's
        function made Datasets.

    Raises
    ------
    ArgumentError
        For a name that is neither known nor a folder.
    DataError
        If files are missing or damaged.
    """
    if isinstance(name, str) and name in SOURCES:
        return SOURCES[name]()
    text, separators = str(name), [s for s in ("/", os.sep, os.altsep) if s]
    if is_own(name):
        return _own(lookup.parse(text, "data"))
    folder = expand(text, "the data set or folder")
    is_path = isinstance(name, Path) or any(s in text for s in separators)
    if is_path or (text and os.path.exists(folder)):
        return load_folder(folder)
    raise unknown("data set or folder", text, SOURCES)


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
