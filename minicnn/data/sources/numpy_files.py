"""Arrays in NumPy's own files: one ``.npz``, or a folder of ``.npy`` files."""

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.checks import check_path, takes
from minicnn.data.dataset import Dataset
from minicnn.data.sources.assemble import from_arrays, split_in_two
from minicnn.errors import DataError

#: Names of images and labels: of the training set and the test set, or of one set to split.
PAIRS = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("X_train", "y_train", "X_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("train_x", "train_y", "test_x", "test_y"),
)
SINGLES = (("images", "labels"), ("x", "y"), ("X", "y"), ("data", "target"), ("data", "labels"))


@takes(folder=check_path)
def is_folder(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder has ``.npy`` files of images and labels under names known here."""
    return _names(_Folder(folder)) is not None


@takes(path=check_path)
def load_arrays(path: str | os.PathLike[str]) -> tuple[Dataset, Dataset]:
    """The training and the test set in an ``.npz`` file or a folder of ``.npy`` files.

    The arrays are called as in one line of `PAIRS`, or of `SINGLES`, which are split. Files of
    ``.npy`` are mapped into memory, so that they may be larger than it; float images that are all
    whole numbers from 0 to 255 become bytes. Labels may be text: then they name the classes.

    Parameters
    ----------
    path : str or Path
        A file ``.npz``, a folder, or a ``.npy`` file in such a folder.

    Raises
    ------
    DataError
        If it cannot be read, has arrays of other names, or holds pickled objects, which are
        refused: they could execute anything.
    """
    path = Path(path)
    is_there = os.path.isdir(path)  # not path.is_dir(), which raises for a name that is too long
    name, folder = path.stem, path if is_there else path.parent
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return _load(name, path, file)
        return _load(folder.name, folder, _Folder(folder))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        if "pickle" in str(error).lower() and "allow_pickle" in str(error):
            raise DataError(
                f"{path}: it holds Python objects, which are refused, as reading them could execute"
                " anything: save arrays of numbers, images.astype(np.uint8) and"
                " labels.astype(np.int64)."
            ) from error
        raise DataError(f"{path}: cannot be read: {error}.") from error


class _Folder(Mapping[str, Any]):
    """A folder's ``.npy`` files as a mapping of names to arrays on disk."""

    def __init__(self, folder):
        self._folder = folder

    def __getitem__(self, name):
        return np.load(Path(self._folder, f"{name}.npy"), mmap_mode="r", allow_pickle=False)

    def __iter__(self):
        return (file[:-4] for file in os.listdir(self._folder) if file.endswith(".npy"))

    def __len__(self):
        return sum(1 for _ in self)


def _names(arrays):
    """The line of `PAIRS` or `SINGLES` whose names are all there, or None."""
    there = set(arrays)
    return next((line for line in (*PAIRS, *SINGLES) if there.issuperset(line)), None)


def _load(name, path, arrays):
    line = _names(arrays)
    if line is None:
        found = ", ".join(sorted(arrays)) or "nothing"
        known = "; ".join(", ".join(names) for names in (*PAIRS[:1], *PAIRS[2:3], *SINGLES[:2]))
        raise DataError(
            f"{path}: found arrays called {found}: expected images and labels under names such as"
            f" {known}."
        )
    images = [_bytes(arrays[key]) for key in line[::2]]
    labels, class_names = _numbered(path, [_column(arrays[key]) for key in line[1::2]])
    if len(line) == 4:
        train, test = zip(images, labels)
        return from_arrays(name, train, test, class_names=class_names)
    classes = None if class_names is None else len(class_names)
    whole = Dataset(images[0], labels[0], classes, name=name, class_names=class_names)
    return split_in_two(whole)


def _bytes(images):
    """Float images that hold bytes, as bytes."""
    if images.dtype.kind != "f" or not images.size or not 1 < images.max() <= 255:
        return images
    whole = images.min() >= 0 and (images == np.rint(images)).all()
    return images.astype(np.uint8) if whole else images


def _column(labels):
    """Labels of shape (N, 1), as Keras and MedMNIST have them, without that axis."""
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _numbered(path, labels):
    """Labels as numbers, and the names of the classes if they were text."""
    if any(array.dtype.kind not in "US" for array in labels):
        return labels, None
    names, first = np.unique(labels[0].astype(str), return_inverse=True)
    rest = []
    for array in labels[1:]:
        wrong = ~np.isin(array.astype(str), names)
        if wrong.any():
            raise DataError(
                f"{path}: the test set has the class {str(array[wrong][0])!r}, of which the"
                " training set has no image."
            )
        rest.append(np.searchsorted(names, array.astype(str)))
    return [first, *rest], tuple(map(str, names))
