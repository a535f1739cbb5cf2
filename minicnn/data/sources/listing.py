"""What is in a folder of images by class: found by its names, before any image is read.

For the package itself: it checks nothing of what it is handed.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from minicnn.checks import listed
from minicnn.errors import DataError

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")  # the first that is there
SHOWN = 5  # names in an error
IGNORED = ("thumbs.db", "desktop.ini")  # what systems put beside images, besides hidden files


class File(NamedTuple):
    """One file of a class: its path below the folder, and the class's index."""

    path: str
    label: int


class Listing(NamedTuple):
    """The files of a folder, by set.

    Attributes
    ----------
    root : Path
    sets : tuple of list of File
        The training and the test set, or all files of a folder that has no sets.
    class_names : tuple of str
        In alphabetical order.
    notes : tuple of str
        What was left aside.
    digest : str
        Of all names, sizes and times of change.
    """

    root: Path
    sets: tuple[list[File], ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    digest: str


def is_folder(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder has others in it, as one of images by class has."""
    return bool(_folders(folder))


def listing(root: str | os.PathLike[str]) -> Listing:
    """List a folder ``train/CLASS/…`` and ``test/CLASS/…``, or ``CLASS/…`` alone.

    Files may lie in further folders within that of their class.

    Raises
    ------
    DataError
        If a class is empty, the test set has one that the training set lacks, a link leads back to
        where it came from, or a folder cannot be read.
    """
    root = Path(root)
    try:
        return _listing(root)
    except OSError as error:
        raise DataError(f"{error.filename or root}: cannot be read: {error.strerror}.") from error


def _listing(root):
    folders = {name.lower(): name for name in _folders(root)}
    train = next((folders[name] for name in TRAIN if name in folders), None)
    tests = [folders[name] for name in TEST if name in folders]
    notes: list[str] = []
    if train is None:
        parts = [root]
    elif not tests:
        parts = [root / train]
    else:
        parts = [root / train, root / tests[0]]
        notes = [f"{root / other} was left aside." for other in tests[1:]]
    names = _folders(parts[0])
    if not names:
        raise DataError(
            f"{parts[0]}: found no folder in it: expected one for each class, with its images."
        )
    for part in parts[1:]:
        there = _folders(part)
        for name in sorted(set(there) - set(names)):
            raise DataError(
                f"{part / name}: the training set has no class of this name: it has"
                f" {listed(names, SHOWN)}."
            )
        if lacking := sorted(set(names) - set(there)):
            notes.append(f"the test set has no image of {listed(lacking, SHOWN)}.")
    digest = hashlib.sha256()
    sets = tuple(_files(root, part, names, digest) for part in parts)
    return Listing(root, sets, tuple(names), tuple(notes), digest.hexdigest())


def _files(root, part, names, digest):
    """The files of a set, ordered so that each class has its share of the first N."""
    files = []
    for label, name in enumerate(names):
        if not (part / name).is_dir():
            continue
        found = sorted(_walk(part / name, ()))
        if not found:
            raise DataError(
                f"{part / name}: the class is empty: put its images there, or remove it."
            )
        for number, (path, size, changed) in enumerate(found):
            path = os.path.relpath(path, root)
            files.append(((number + 0.5) / len(found), label, path))
            digest.update(f"{path}\0{size}\0{changed}\n".encode("utf-8", "surrogateescape"))
    return [File(path, label) for _, label, path in sorted(files)]


def _walk(folder, above):
    """Paths, sizes and times of change of the files below a folder."""
    here = os.path.realpath(folder)
    if here in above:
        raise DataError(f"{folder}: this link leads back to {here}, which it lies in: remove it.")
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in IGNORED:
                continue
            if entry.is_dir():
                yield from _walk(entry.path, (*above, here))
            else:
                there = entry.stat()
                yield entry.path, there.st_size, there.st_mtime_ns


def _folders(folder):
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
