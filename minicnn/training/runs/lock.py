"""FolderLock: one process at a time works in a folder."""

import os
import weakref
from collections.abc import Callable
from typing import Any

from minicnn.checks import check_path, takes
from minicnn.errors import ArgumentError
from minicnn.training.runs.files import writing

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # a module elsewhere


class FolderLock:
    """Keeps others out of a folder until it is released, or its process ends in any way.

    The lock is the system's, on the folder itself (flock): it leaves no file, and goes with
    its process, a killed one included. It holds between objects of one process, too. Where
    the system has none, as on Windows and some network drives, it keeps nobody out. A folder that
    another has, or that cannot be opened, is an ArgumentError.
    """

    @takes(path=check_path)
    def __init__(self, path: str | os.PathLike[str]):
        #: Let others in; may be called again.
        self.release: Callable[[], Any] = lambda: None
        if fcntl is None:
            return
        with writing(path):
            number = os.open(path, os.O_RDONLY)
        self.release = weakref.finalize(self, os.close, number)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise ArgumentError(
                f"another process is at work in {path}: wait until it has ended, or choose another"
                " folder."
            ) from None
        except OSError:
            pass  # a file system without locks
