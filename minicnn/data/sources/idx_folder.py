"""A folder with the four IDX files of MNIST, or of one of the data sets shaped like it."""

import os
from pathlib import Path

import numpy as np

from minicnn.checks import check_path, check_text, takes
from minicnn.data.dataset import Dataset
from minicnn.data.idx import read_idx
from minicnn.data.sources.assemble import Pairs, from_arrays
from minicnn.errors import DataError
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


@takes(folder=check_path)
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
    name = check_text(Path(folder).name if name is None else name, "name")
    return from_arrays(name, *read_arrays(folder), classes)


@takes(folder=check_path)
def read_arrays(folder: str | os.PathLike[str]) -> Pairs:
    """Images and labels of the training set, and those of the test set.

    Raises
    ------
    DataError
        As `load_folder` does.
    """
    paths = find_files(folder)
    if None in paths:
        raise DataError(missing_files(folder))
    arrays = [_read_bytes(path, 3 if "images" in name else 1) for path, name in zip(paths, FILES)]
    return (arrays[0], arrays[1]), (arrays[2], arrays[3])


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
