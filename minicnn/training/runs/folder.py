"""RunFolder: the folder of one run, claimed before it begins."""

import contextlib
import itertools
import os
from pathlib import Path

from minicnn.checks import check_text, takes
from minicnn.errors import ArgumentError
from minicnn.paths import expand, is_locked
from minicnn.training.runs.files import is_temporary, make_folder, write_atomically, writing
from minicnn.training.runs.lock import FolderLock


class RunFolder:
    """An empty folder that this run alone writes into.

    No other process gets it until `release` is called or this process ends.

    Parameters
    ----------
    out : str or Path or None
        The folder; it is made if it does not exist. None makes a new one in ``runs``.
    name : str
        What the new one is called; if that is taken, ``name-2``, ``name-3`` and so on.

    Attributes
    ----------
    path : Path

    Raises
    ------
    ArgumentError
        If there is something in the folder, another process is at work in it, or it cannot
        be made.
    """

    def __init__(self, out: str | os.PathLike[str] | None, name: str):
        self._written: list[str] = []
        self._new = True
        if out is None:
            self.path, self._made = _new_folder(Path("runs"), name), True
        else:
            self.path = expand(out, "the output folder")
            self._made = not os.path.exists(self.path)
            make_folder(self.path)
        self._lock = FolderLock(self.path)
        if not all(is_temporary(path) for path in self._entries()):
            self.release()
            raise ArgumentError(
                f"the output folder {self.path} is not empty: expected a new or empty one, so that"
                " no other run is overwritten. Choose another --out, or remove it first."
            )
        self._tidy()

    @classmethod
    @takes(proof=check_text)
    def reopen(cls, path: str | os.PathLike[str], proof: str = "config.json") -> "RunFolder":
        """The folder of what was begun before, as the file `proof` in it shows.

        `withdraw` then takes nothing away. An ArgumentError tells if there is no such folder, it
        may not be searched, or another process is at work in it.
        """
        folder = cls.__new__(cls)
        folder.path, folder._new = expand(path, "the folder"), False
        if is_locked(folder.path / proof):
            raise ArgumentError(
                f"cannot look into {folder.path}: it, or a folder around it, may not be searched."
                " Give the right to it."
            )
        if not os.path.isfile(folder.path / proof):
            there = os.path.isdir(folder.path)
            what = f"it has no {proof}" if there else "there is no such folder"
            raise ArgumentError(f"nothing was begun in {folder.path}: {what}.")
        folder._lock = FolderLock(folder.path)
        folder._tidy()
        return folder

    def _entries(self):
        with writing(self.path):
            return list(self.path.iterdir())

    def _tidy(self):
        """Remove what a killed process has left half-written."""
        for path in filter(is_temporary, self._entries()):
            with writing(path):
                path.unlink()

    def release(self) -> None:
        """Let other processes in."""
        self._lock.release()

    @takes(name=check_text)
    def write(self, name: str, data: bytes | bytearray | memoryview) -> None:
        """Write a file of the run whole, or not at all; see `write_atomically`.

        If the first one of a new run cannot be written, the folder goes too.
        """
        try:
            write_atomically(self.path / name, data)
        except ArgumentError:
            if self._new and not self._written:
                self.withdraw()
            raise
        if self._new:
            self._written.append(name)

    def withdraw(self) -> None:
        """Take away what was written, and the folder itself if it was made here."""
        self.release()
        if not self._new:
            return
        for name in self._written:
            (self.path / name).unlink(missing_ok=True)
        if self._made:
            with contextlib.suppress(OSError):  # the error that brought us here is the one to tell
                self.path.rmdir()


def _new_folder(parent, name):
    make_folder(parent)
    for count in itertools.count(1):
        folder = parent / (name if count == 1 else f"{name}-{count}")
        with writing(folder), contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
