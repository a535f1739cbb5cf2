"""MNIST: 60,000 training and 10,000 test images of handwritten digits, 28 x 28 pixels.

LeCun, Bottou, Bengio & Haffner, *Gradient-based learning applied to document recognition*,
Proceedings of the IEEE 86 (1998). Nothing is downloaded: a clone of the project has the files.
"""

import os
import sys
from pathlib import Path

import minicnn
from minicnn.checks import check_path
from minicnn.data.dataset import Dataset
from minicnn.data.folder import FILES, find_files, load_folder, missing_files
from minicnn.errors import DataError
from minicnn.paths import expand, is_locked

VARIABLE = "MINICNN_DATA"


def load_mnist(folder: str | os.PathLike[str] | None = None) -> tuple[Dataset, Dataset]:
    """MNIST, both sets normalized with the mean and standard deviation of the training set.

    Each folder looked into may hold the four files itself or in a folder ``mnist``, as
    published or unpacked.

    Parameters
    ----------
    folder : str or Path, optional
        Where to look. By default in ``$MINICNN_DATA``, and nowhere else if that is set; then
        in ``datasets`` beside the package, as in a clone; then in the user's cache.

    Returns
    -------
    train, test : Dataset
        With 10 classes.

    Raises
    ------
    DataError
        If the files are not found, with where they were looked for, or are damaged.
    """
    folder = None if folder is None else check_path(folder, "folder")
    chosen = folder or os.environ.get(VARIABLE)
    places = [expand(chosen, "the folder of MNIST")] if chosen else [_clone(), *_cache()]
    folders = [inner for place in places for inner in (place / "mnist", place)]
    for inner in folders:
        if None not in find_files(inner):
            return load_folder(inner, "mnist", classes=10)
    started = [
        missing_files(inner) for inner in folders
        if any(find_files(inner)) or is_locked(inner / FILES[0])
    ]  # fmt: skip
    looked = " ".join(started) or f"Looked in {', '.join(map(str, folders))}."
    only = "" if folder or not chosen else f" {VARIABLE} is set, so nowhere else."
    raise DataError(
        f"MNIST was not found. {looked}{only} Put the four files {', '.join(FILES)}, with or"
        f" without .gz, into such a folder, or set {VARIABLE} to the folder that has them."
    )


def _clone():
    return Path(minicnn.__file__).parents[1] / "datasets"


def _cache():
    """The folder for this user's cached files, by the custom of the system, if there is one."""
    default = {
        "win32": os.environ.get("LOCALAPPDATA", "~/AppData/Local"),
        "darwin": "~/Library/Caches",
    }.get(sys.platform, "~/.cache")
    folder = Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or default))
    return [folder / "minicnn"] if folder.is_absolute() else []
