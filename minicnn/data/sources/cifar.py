"""CIFAR-10 and CIFAR-100, in the folders that are published: binary, and pickled for Python.

Krizhevsky, *Learning multiple layers of features from tiny images* (2009).
"""

import os
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minicnn.checks import check_path, takes
from minicnn.errors import DataError

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32


class _Layout(NamedTuple):
    """Names of a published folder's files, and what is in a record or a dict of them."""

    train: tuple[str, ...]
    test: str
    meta: str
    labels: str  # the key of a pickled dict
    label_bytes: int  # before the pixels of a binary record; the last one is the class
    names: str  # the key of the pickled names


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
LAYOUTS = (
    _Layout(_BATCHES, "test_batch", "batches.meta", "labels", 1, "label_names"),
    _Layout(("train",), "test", "meta", "fine_labels", 2, "fine_label_names"),
)


@takes(folder=check_path)
def is_folder(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder has files that are named as those of CIFAR."""
    return _found(folder) is not None


@takes(folder=check_path)
def read(folder: str | os.PathLike[str]) -> tuple[Any, Any, tuple[str, ...] | list[str]]:
    """Images and labels of the training set, those of the test set, and the classes' names.

    A pickled file is read without executing anything in it: whatever it names becomes an inert
    object, and only arrays, numbers, texts, lists and dicts are taken.

    Parameters
    ----------
    folder : str or Path
        With the files as published, all of them.

    Raises
    ------
    DataError
        If a file is missing or damaged, or a pickled one names what no data has.
    """
    folder, found = Path(folder), _found(folder)
    if found is None:
        raise DataError(f"{folder}: found no files of CIFAR, such as data_batch_1.bin.")
    layout, ending = found
    missing = [f for f in (*layout.train, layout.test) if not os.path.isfile(folder / (f + ending))]
    if missing:
        raise DataError(
            f"{folder}: found no {', '.join(f + ending for f in missing)}: CIFAR has all of them."
        )
    one = _binary if ending else _pickled
    parts = [one(folder / (name + ending), layout) for name in layout.train]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts))
    test = one(folder / (layout.test + ending), layout)
    most = max(int(labels.max()), int(test[1].max())) + 1
    names = _names(folder, layout, ending) or map(str, range(most))
    return (images, labels), test, tuple(names)


def _found(folder):
    """The layout of a folder, and the ending of its files' names; None if it has none."""
    for layout in LAYOUTS:
        for ending in (".bin", ""):
            if os.path.isfile(os.path.join(folder, layout.train[0] + ending)):
                return layout, ending
    return None


def _binary(path, layout):
    size = layout.label_bytes + PIXELS
    data = np.fromfile(path, np.uint8)
    if not data.size or data.size % size:
        raise DataError(
            f"{path}: expected records of {size} bytes, found {data.size} bytes: the file is cut"
            " off, or of another data set. Fetch it again."
        )
    records = data.reshape(-1, size)
    return records[:, layout.label_bytes :].reshape(-1, *SHAPE), records[
        :, layout.label_bytes - 1
    ].astype(np.int64)


def _pickled(path, layout):
    found = unpickle(path)
    try:
        data = np.asarray(found["data"], np.uint8).reshape(-1, *SHAPE)
        labels = np.asarray(found[layout.labels], np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: expected a dict with 'data' of shape (N, {PIXELS}) and {layout.labels!r}:"
            f" {error}."
        ) from error
    return data, labels


def _names(folder, layout, ending):
    """The classes' names, or None if nothing tells them."""
    file = f"{layout.names}.txt" if layout.label_bytes == 2 else f"{layout.meta}.txt"
    path = folder / (file if ending else layout.meta)
    if not path.is_file():
        return None
    if ending:
        return path.read_text("utf-8", "replace").split()
    return unpickle(path)[layout.names]


@takes(path=check_path)
def unpickle(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The dict in a pickled file of CIFAR, with text for its keys; nothing in it is executed.

    Raises
    ------
    DataError
        If the file is damaged, holds no dict, or names anything but an array's parts.
    """
    try:
        with open(path, "rb") as file:
            found = _Inert(file, encoding="bytes").load()
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # a damaged pickle can raise any
        raise DataError(f"{path}: it cannot be read as a pickle of CIFAR: {error!r}.") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected a dict, found {type(found).__name__}.")
    return {_text(key): _plain(value) for key, value in found.items()}


class _Inert(pickle.Unpickler):
    """Makes of what a pickle names objects of ours, which only hold what they are given."""

    def find_class(self, module, name):
        parts = {"_reconstruct": _Array, "ndarray": _Array, "dtype": _Kind}
        if name in parts and module.split(".")[0] == "numpy":
            return parts[name]
        if (module, name) == ("_codecs", "encode"):  # bytes, as Python 3 writes them for Python 2
            return _encoded
        raise DataError(f"it names {module}.{name}, which is no part of an array: it is refused.")


class _Kind:
    """A dtype: its name."""

    def __init__(self, name, *_):
        self.name = _text(name)

    def __setstate__(self, state):
        """The byte order, which bytes have none of."""


class _Array:
    """An array of bytes: its shape and what is in it."""

    def __init__(self, *_):
        self.array = np.empty(0, np.uint8)

    def __setstate__(self, state):
        _, shape, kind, columns_first, content = state
        if kind.name != "u1" or columns_first:
            raise DataError(f"it has an array of {kind.name}: expected bytes, row by row.")
        self.array = np.frombuffer(content, np.uint8).reshape(shape)


def _encoded(text, encoding):
    return text.encode("latin-1" if _text(encoding) == "latin1" else "ascii")


def _text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _plain(value):
    if isinstance(value, _Array):
        return value.array
    return [_text(one) for one in value] if isinstance(value, list) else _text(value)
