"""RunFolder: the folder of one run, claimed before it begins."""

import itertools
from pathlib import Path

from minicnn.errors import ArgumentError
from minicnn.training.files import cannot_write, write_atomically


class RunFolder:
    """An empty folder that this run alone writes into.

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
        If there is something in the folder, or it cannot be made.
    """

    def __init__(self, out, name):
        self._written = []
        if out is None:
            self.path, self._made = _new_folder(Path("runs"), name), True
            return
        self.path = Path(out).expanduser()
        self._made = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            taken = any(self.path.iterdir())
        except OSError as error:
            raise cannot_write(self.path, error) from error
        if taken:
            raise ArgumentError(
                f"the output folder {self.path} is not empty: expected a new or empty one, so that"
                " no other run is overwritten. Choose another --out, or remove it first."
            )

    def write(self, name, data):
        """Write a file of the run whole, or not at all; see `write_atomically`.

        If the first one cannot be written, the folder goes too.
        """
        try:
            write_atomically(self.path / name, data)
        except ArgumentError:
            if not self._written:
                self.withdraw()
            raise
        self._written.append(name)

    def withdraw(self):
        """Take away what was written, and the folder itself if it was made here."""
        for name in self._written:
            (self.path / name).unlink(missing_ok=True)
        if self._made:
            try:
                self.path.rmdir()
            except OSError:
                pass  # the error that brought us here is the one to tell


def _new_folder(parent, name):
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(parent, error) from error
    for count in itertools.count(1):
        folder = parent / (name if count == 1 else f"{name}-{count}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise cannot_write(folder, error) from error
