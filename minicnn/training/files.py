"""Files of a run: written whole or not at all, and always valid JSON."""

import json
import math
import os
from pathlib import Path

import numpy as np

from minicnn.errors import ArgumentError


def write_atomically(path, data):
    """Write a file so that its path shows the old content or the new one, never a part.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and only
    then take the name over.

    Parameters
    ----------
    path : str or Path
        In a folder that exists.
    data : bytes

    Raises
    ------
    ArgumentError
        If the folder cannot be written or the disk is full; what stood at `path` is then
        unchanged, and no temporary file is left.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path, error):
    """The ArgumentError for a file or folder that the system refused to write."""
    return ArgumentError(
        f"cannot write {path}: {error.strerror or error}."
        " Make room or give the right to it, or choose another folder with --out."
    )


def to_json(value, indent=None):
    """`value` as one line of JSON, or several if `indent` is given.

    NaN and infinity, which JSON does not have, become null; NumPy's numbers become plain
    ones, and anything else that JSON does not have its string.

    Returns
    -------
    str
        Without a newline at the end.
    """
    return json.dumps(_plain(value), indent=indent, allow_nan=False, ensure_ascii=False)


def json_file(value):
    """The bytes of a JSON file for people to read: `to_json`, indented."""
    return to_json(value, indent=2).encode() + b"\n"


def _plain(value):
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
