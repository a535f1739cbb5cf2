"""Fetches published files into the cache, by pooch: with a checksum and a progress bar.

For the package itself: it checks nothing of what it is handed.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from minicnn import extras
from minicnn.console.bars import progress_bar
from minicnn.errors import DataError

#: A URL at which the files of all data sets are, as NAME/FILE: a mirror in a classroom, say.
MIRROR = "MINICNN_MIRROR"
TIMEOUT = 30  # seconds in which a server must answer


def fetch(name: str, files: Mapping[str, str], base: str, folder: Path) -> None:
    """Put the files of a data set into a folder, each whole or not at all.

    Parameters
    ----------
    name : str
        Of the data set.
    files : mapping of str to str
        The checksum of each file, as ``"md5:..."``.
    base : str
        The URL in which they are.
    folder : Path

    Raises
    ------
    DataError
        If a file cannot be fetched, or is not what was published.
    ArgumentError
        If pooch is not installed.
    """
    pooch = extras.load("pooch", f"fetching {name}", "data")
    mirror = os.environ.get(MIRROR)
    base = f"{mirror.rstrip('/')}/{name}/" if mirror else base
    pooch.get_logger().setLevel("WARNING")  # the progress bar says what happens
    for file, checksum in files.items():
        try:
            # pooch gives the bar its total as soon as the server says how many bytes come.
            with progress_bar(total=1, desc=file, unit="B", unit_scale=True, leave=False) as bar:
                downloader = pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT)
                pooch.retrieve(base + file, checksum, file, folder, downloader=downloader)
        except ValueError as error:  # pooch's for a wrong checksum; it keeps no such file
            raise DataError(
                f"{name}: {base}{file} is not the published file, as its checksum is another: it"
                f" was cut off, or replaced. Nothing was kept. {advice(name, files, folder)}"
            ) from error
        except OSError as error:  # those of requests are, too
            raise DataError(
                f"{name}: {base}{file} could not be fetched: {_reason(error)}. Try again with a"
                f" network. {advice(name, files, folder)}"
            ) from error


def advice(name: str, files: Mapping[str, str], folder: Path) -> str:
    """What to do without a network, as a sentence."""
    which = next(iter(files)) if len(files) == 1 else f"the files {', '.join(files)}"
    return (
        f"Put {which} into {folder}, or set MINICNN_DATA to the folder that has such a folder, or"
        f" {MIRROR} to the URL of a server that has {name}/{next(iter(files))}."
    )


def _reason(error):
    """The last sentence of a chain of errors, which says what happened."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
