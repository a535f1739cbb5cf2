"""Files of a run: written whole or not at all, and always valid JSON."""

import contextlib
import errno
import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.checks import check_count, check_items, check_path, takes
from minicnn.console.output import show_note
from minicnn.errors import ArgumentError
from minicnn.paths import POSIX, replace

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # a module elsewhere

#: What to do about an error of the system's.
ADVICE: dict[int | None, str] = {
    errno.EEXIST: "A file or link stands where a folder is needed: choose another --out.",
    errno.ENOTDIR: "A file stands where a folder is needed: choose another --out.",
    errno.ENAMETOOLONG: "Choose a shorter --out.",
}


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Around what writes a file or folder: an ArgumentError if the system refuses."""
    try:
        yield
    except OSError as error:
        other = "Make room or give the right to it, or choose another folder with --out."
        advice = ADVICE.get(error.errno, other)
        raise ArgumentError(f"cannot write {path}: {error.strerror or error}. {advice}") from error


@takes(path=check_path, data=(bytes, bytearray, memoryview), keep=check_path)
def write_atomically(
    path: str | os.PathLike[str],
    data: bytes | bytearray | memoryview,
    keep: str | os.PathLike[str] | None = None,
) -> None:
    """Write a file so that its path shows the old content or the new one, never a part.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and only
    then take the name over; the folder is flushed, too, so that it lasts.

    Parameters
    ----------
    path : str or Path
        In a folder that exists.
    data : bytes
    keep : str or Path, optional
        What the old file is called from then on, in the same folder.

    Raises
    ------
    ArgumentError
        If the folder cannot be written or the disk is full; what stood at `path` is then
        unchanged, and no temporary file is left.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                _flush(file.fileno())
            if keep is not None and path.exists():
                replace(path, keep)
            replace(temporary, path)
            flush_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@takes(path=check_path, data=bytes)
def write_record(path: str | os.PathLike[str], data: bytes) -> None:
    """`write_atomically` for what is soon written again, whole: a refusal is a note, and no error.

    A viewer that has the file open ends no training on Windows so.
    """
    try:
        write_atomically(path, data)
    except ArgumentError as error:
        show_note(f"{error} Training goes on without it; the next time it is written whole.")


def _flush(number):
    """Wait until a file is on the disk; macOS' fsync leaves it in the disk's own memory."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    try:
        if full is not None:
            fcntl.fcntl(number, full)
            return
    except OSError:  # a file system that has no such thing
        pass
    os.fsync(number)


@takes(path=check_path)
def is_temporary(path: str | os.PathLike[str]) -> bool:
    """Whether this is a file that a killed process had not finished to write."""
    return re.fullmatch(r"\..+\.\d+\.tmp", Path(path).name) is not None


@takes(path=check_path)
def flush_folder(path: str | os.PathLike[str]) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that."""
    if not POSIX:
        return
    with writing(path):
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _flush(number)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system that has no such thing
                raise
        finally:
            os.close(number)


@takes(path=check_path)
def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder and those around it, as far as they do not exist, or an ArgumentError."""
    with writing(path):
        Path(path).mkdir(parents=True, exist_ok=True)


@takes(indent=partial(check_count, most=80))
def to_json(value: Any, indent: int | None = None) -> str:
    """`value` as one line of JSON, or several if `indent` is given, without a newline at the end.

    NaN and infinity, which JSON does not have, become null; NumPy's numbers become plain
    ones, and anything else that JSON does not have its string.
    """
    text = json.dumps(_plain(value), indent=indent, allow_nan=False, ensure_ascii=False)
    # A name of a file that is not UTF-8 comes as lone surrogates; JSON's own escapes keep them.
    return re.sub("[\ud800-\udfff]", lambda lone: f"\\u{ord(lone[0]):04x}", text)


def json_file(value: Any) -> bytes:
    """The bytes of a JSON file for people to read: `to_json`, indented."""
    return to_json(value, indent=2).encode() + b"\n"


@takes(values=check_items)
def json_lines(values: Iterable[Any]) -> bytes:
    """The bytes of a file with a line of JSON for each value."""
    return "".join(to_json(value) + "\n" for value in values).encode()


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
