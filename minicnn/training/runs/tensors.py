"""Files of tensors: safetensors with plain values beside them, and a digest over both.

The format holds arrays and text and can hold no code, so a file may come from anywhere. The
metadata has one entry, ``"minicnn"``: JSON of the plain values, with the digest among them.

For the package itself: it checks nothing of what it is handed.
"""

import hashlib
import json
import os
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from minicnn.errors import DataError
from minicnn.paths import is_locked
from minicnn.training.runs.files import to_json

ENTRY = "minicnn"
DIGEST = "digest"
MOST_TENSORS = 2**16
MOST_HEADER = 2**24  # bytes of names, shapes and plain values


def encode(arrays: dict[str, np.ndarray], about: dict[str, Any]) -> bytes:
    """The bytes of a file of C-contiguous arrays and of plain values by name, but ``"digest"``.

    The same for the same content: one metadata entry, since the library keeps several in no fixed
    order.
    """
    text = to_json({**about, DIGEST: _digest(arrays, about)})
    return safetensors.numpy.save(arrays, {ENTRY: text})


def read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and plain values of a file, whole and checked; no values if others made it.

    A file that is missing, damaged, or not one of numbers is a DataError.
    """
    _check_size(path)
    try:
        with safe_open(path, "np") as file:
            if len(file.keys()) > MOST_TENSORS:
                raise DataError(f"{path} has more than {MOST_TENSORS:,} tensors.")
            text = (file.metadata() or {}).get(ENTRY)
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}.") from error
    except SafetensorError as error:
        raise DataError(f"{path} is damaged or no safetensors file: {error}.") from error
    except (AttributeError, TypeError, ValueError) as error:  # types that NumPy has not
        raise DataError(f"{path} holds what is no array of numbers: {error}.") from error
    if text is None:
        return arrays, {}
    try:
        about = json.loads(text)
        sound = about.pop(DIGEST) == _digest(arrays, about)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        sound = False
    if not sound:
        raise DataError(f"{path} is damaged: its content does not have the digest noted in it.")
    return arrays, about


def _check_size(path):
    """Refuse what is no file, as a pipe that would keep us waiting, and too long a header."""
    if is_locked(path):
        raise DataError(f"cannot read {path}: a folder around it may not be searched.")
    if not os.path.isfile(path):
        found = "something else" if os.path.exists(path) else "nothing"
        raise DataError(f"cannot read {path}: expected a file, found {found} of that name.")
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}.") from error
    if length > MOST_HEADER:
        raise DataError(
            f"{path} is damaged or no safetensors file: its header would be {length:,} bytes long,"
            f" expected at most {MOST_HEADER:,}."
        )


def digest_of_arrays(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of C-contiguous arrays, their names, types and shapes, in hexadecimal digits.

    Whatever the order of the arrays.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(to_json([name, array.dtype.name, array.shape]).encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _digest(arrays, about):
    return hashlib.sha256(f"{digest_of_arrays(arrays)}{to_json(about)}".encode()).hexdigest()
