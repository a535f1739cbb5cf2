"""Where data sets are looked for, and where what was fetched or read is kept.

For the package itself: it checks nothing of what it is handed.
"""

import errno
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import minicnn
from minicnn.errors import DataError
from minicnn.paths import expand, replace

VARIABLE = "MINICNN_DATA"


def places() -> list[Path]:
    """Folders that may hold a data set, or one folder for each, in the order of the search.

    ``$MINICNN_DATA``, and nothing else if that is set; ``datasets`` beside the package, as in a
    clone; what came with the wheel; the user's cache.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return [expand(chosen, f"the folder in {VARIABLE}")]
    clone = Path(minicnn.__file__).parents[1] / "datasets"
    schemes = (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
    wheel = [Path(sysconfig.get_path("data", one), "share", "minicnn") for one in schemes]
    return [clone, *wheel, *cache()]


def cache() -> list[Path]:
    """The folder for this user's cached files, by the custom of the system, if there is one."""
    default = {
        "win32": os.environ.get("LOCALAPPDATA", "~/AppData/Local"),
        "darwin": "~/Library/Caches",
    }.get(sys.platform, "~/.cache")
    folder = Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or default))
    return [folder / "minicnn"] if folder.is_absolute() else []


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Around a block that writes into a folder of the cache, which is made.

    Raises
    ------
    DataError
        If the disk is full, or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        full = "the disk is full: make room" if error.errno == errno.ENOSPC else error.strerror
        raise DataError(
            f"{folder}: cannot be written: {full or error}. XDG_CACHE_HOME names another place for"
            " caches."
        ) from error


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `folder` if the block ends well.

    Nothing is left behind if it does not. Raises what `writing` does.
    """
    with writing(folder.parent), _temporary(folder) as new:
        yield new
        if folder.exists():
            with _temporary(folder) as old:
                replace(folder, old / "old")
        try:
            replace(new, folder)
        except OSError:
            if not folder.exists():  # else another process has made it meanwhile
                raise


@contextmanager
def _temporary(folder):
    """A folder beside another, gone at the end."""
    new = tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}.")
    try:
        yield Path(new)
    finally:
        shutil.rmtree(new, ignore_errors=True)
