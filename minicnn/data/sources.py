"""Data sets by name, as the command line gives them."""

import os
from pathlib import Path

from minicnn.data.folder import load_folder
from minicnn.data.mnist import load_mnist
from minicnn.errors import unknown
from minicnn.paths import expand

SOURCES = {"mnist": load_mnist}


def names():
    """The names that `load` knows, as a list."""
    return list(SOURCES)


def load(name):
    """The training and the test set that a name or a folder stands for.

    Parameters
    ----------
    name : str or Path
        One of `names`, or a folder with four IDX files named as MNIST's are; anything with
        a path separator in it, and any folder that exists, is taken for a folder.

    Returns
    -------
    train, test : Dataset
        Both normalized with the mean and standard deviation of the training set.

    Raises
    ------
    ArgumentError
        For a name that is neither known nor a folder.
    DataError
        If files are missing or damaged.
    """
    if name in SOURCES:
        return SOURCES[name]()
    text, separators = str(name), {"/", os.sep, os.altsep} - {None}
    folder = expand(text, "the data set or folder")
    is_path = isinstance(name, Path) or any(s in text for s in separators)
    if is_path or (text and os.path.exists(folder)):
        return load_folder(folder)
    raise unknown("data set or folder", text, SOURCES)
