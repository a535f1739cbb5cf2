"""Paths that a user gives, and names that are made of settings."""

import hashlib
import os
import re
import time
from pathlib import Path

from minicnn.checks import check_path, takes
from minicnn.errors import ArgumentError

POSIX = hasattr(os, "O_DIRECTORY")  # else Windows
WAITS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.3, 0.5, 0.5)  # seconds between attempts there
LONGEST_NAME = 80  # characters; most systems take 255 bytes, and something may be put around it


def expand(path: str | os.PathLike[str], what: str = "a path") -> Path:
    """`path` with the home folder for ``~``, as a Path.

    Parameters
    ----------
    path : str or Path
    what : str
        What the error calls it.

    Raises
    ------
    ArgumentError
        If it is no path, holds a character that no name of a file has, or begins with a ``~``
        that stands for no home folder, as without HOME and an entry in the password file: a
        folder of that name is never what was meant.
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    check_path(text, what)
    text = os.path.expanduser(text)
    if text.startswith("~"):
        raise ArgumentError(
            f"{what} {text!r}: no home folder is known for"
            f" {re.split(r'[/' + re.escape(os.sep) + ']', text)[0]}. Give the full path, or"
            f" ./{text} for what has that name here."
        )
    return Path(text)


@takes(source=check_path, target=check_path)
def replace(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """`os.replace`, which Windows refuses while another program has one of the files open.

    A virus scanner or a viewer has it for a moment: there it is tried again for two seconds. What
    is refused then, or elsewhere, is `os.replace`'s OSError.
    """
    for wait in () if POSIX else WAITS:
        try:
            return os.replace(source, target)
        except PermissionError:
            time.sleep(wait)
    os.replace(source, target)


@takes(path=(str, os.PathLike))
def is_locked(path: str | os.PathLike[str]) -> bool:
    """Whether a folder on the way to `path` may not be searched, so that it may exist or not."""
    try:
        os.stat(path)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return False


def name_of(*words: object) -> str:
    """A file's or folder's name made of words, such as ``lenet5-relu-msra-sgd-0``.

    What is not a letter, digit, dot or hyphen becomes ``_``. A name that would be longer than
    `LONGEST_NAME` is cut and ends in a digest of the whole, so that two long ones still differ.
    """
    text = "-".join(map(str, words))
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", text)
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - 9]}-{digest}"
