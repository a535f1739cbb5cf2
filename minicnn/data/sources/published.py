"""Published data sets by name: found on this machine, or fetched from who published them.

Checksums are those that the publishers or torchvision give.
"""

import os
import string
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import extras
from minicnn.checks import check_path, check_text
from minicnn.data.dataset import Dataset
from minicnn.data.idx import read_idx
from minicnn.data.sources import cifar, idx_folder
from minicnn.data.sources.assemble import from_arrays
from minicnn.data.sources.download import advice, fetch
from minicnn.data.sources.places import VARIABLE, cache, places, writing
from minicnn.errors import ArgumentError, DataError, unknown
from minicnn.paths import expand, is_locked, replace

#: Two pairs of images and labels, and the classes' names.
Arrays = tuple[Any, Any, Iterable[str]]


@dataclass(frozen=True)
class Published:
    """Where a data set comes from, and how its files are read.

    Attributes
    ----------
    base : str
        The URL of the folder in which the files are.
    files : mapping of str to str
        Their names and checksums.
    read : callable
        ``read(folder)``: two pairs of images and labels, and the classes' names.
    has : callable
        ``has(folder)``: whether a folder has what `read` reads.
    unpack : callable, optional
        ``unpack(folder, new)``: fill a new folder for `read` from one with the files.
    folder : str
        What the folder is called, if not as the data set.
    """

    base: str
    files: Mapping[str, str]
    read: Callable[[Path], Arrays]
    has: Callable[[Path], bool]
    unpack: Callable[[Path, Path], None] | None = None
    folder: str = ""


def _idx_set(base, checksums, class_names):
    """Four files as those of MNIST."""

    def read(folder):
        return (*idx_folder.read_arrays(folder), class_names)

    def has(folder):
        return None not in idx_folder.find_files(folder)

    files = [f"{name}.gz" for name in idx_folder.FILES]
    return Published(base, dict(zip(files, checksums)), read, has)


def _qmnist():
    files = {
        "qmnist-train-images-idx3-ubyte.gz": "md5:ed72d4157d28c017586c42bc6afe6370",
        "qmnist-train-labels-idx2-int.gz": "md5:0058f8dd561b90ffdd0f734c6a30e5e4",
        "qmnist-test-images-idx3-ubyte.gz": "md5:1394631089c404de565df7b7aeaf9412",
        "qmnist-test-labels-idx2-int.gz": "md5:5b5b05890a5e13444e108efe57b788aa",
    }

    def read(folder):
        arrays = [read_idx(folder / name) for name in files]
        labels = [array[:, 0] for array in arrays[1::2]]  # the other columns say who wrote it
        return (arrays[0], labels[0]), (arrays[2], labels[1]), string.digits

    base = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"
    return Published(base, files, read, _has_all(files))


def _emnist(part, class_names):
    """One part of EMNIST: its images lie on their side, and its letters begin at 1."""
    kinds = ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")
    names = [f"emnist-{part}-{kind}-ubyte.gz" for kind in kinds]

    def read(folder):
        arrays = [read_idx(folder / name) for name in names]
        first = 1 if part == "letters" else 0
        train, test = (
            (images.transpose(0, 2, 1), labels.astype(np.int64) - first)
            for images, labels in (arrays[:2], arrays[2:])
        )
        return train, test, class_names

    def unpack(folder, new):
        with zipfile.ZipFile(folder / "gzip.zip") as archive:
            for name in names:
                (new / name).write_bytes(archive.read(f"gzip/{name}"))

    return Published(
        "https://biometrics.nist.gov/cs_links/EMNIST/",
        {"gzip.zip": "md5:58c8d27c78d21e728a6bc7b3cc06412e"},
        read, _has_all(names), unpack, "emnist",
    )  # fmt: skip


def _cifar(file, checksum):
    def unpack(folder, new):
        with tarfile.open(folder / file) as archive:
            for member in archive:
                name, content = Path(member.name).name, archive.extractfile(member)
                if content is not None and name.endswith((".bin", ".txt")):
                    (new / name).write_bytes(content.read())

    base = "https://www.cs.toronto.edu/~kriz/"
    return Published(base, {file: checksum}, cifar.read, cifar.is_folder, unpack)


def _svhn():
    """Street View House Numbers: digit 0 has the label 10, and the images' axis is the last."""
    files = {
        "train_32x32.mat": "md5:e26dedcc434d2e4c54c9b2d4a06d8373",
        "test_32x32.mat": "md5:eb5a983be6a315427106f1b164d9cef3",
    }

    def read(folder):
        io = extras.load("scipy.io", "reading svhn", "data")
        both = []
        for name in files:
            try:
                found = io.loadmat(folder / name)
                images, labels = found["X"], found["y"]
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise DataError(f"{folder / name}: no such file of SVHN: {error}.") from error
            both.append((images.transpose(3, 2, 0, 1), labels.ravel().astype(np.int64) % 10))
        return (*both, string.digits)

    return Published("http://ufldl.stanford.edu/housenumbers/", files, read, _has_all(files))


def _has_all(names):
    return lambda folder: all(os.path.isfile(folder / name) for name in names)


MERGED = f"{string.digits}{string.ascii_uppercase}abdefghnqrt"  # letters alike in both cases
FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip
PUBLISHED = {
    "mnist": _idx_set(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ("md5:f68b3c2dcbeaaa9fbdd348bbdeb94873", "md5:d53e105ee54ea40749a09fcbcd1e9432",
         "md5:9fb629c4189551a2d022fa330f9573f3", "md5:ec29112dd5afa0611ce80d1b7f02629c"),
        string.digits,
    ),
    "fashion-mnist": _idx_set(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ("md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d", "md5:25c81989df183df01b3e8a0aad5dffbe",
         "md5:bef4ecab320f06d8554ea6380940ec79", "md5:bb300cfdad3c16e7a12a480ee83cd310"),
        FASHION,
    ),
    "kmnist": _idx_set(
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        ("md5:bdb82020997e1d708af4cf47b453dcf7", "md5:e144d726b3acfaa3e44228e80efcd344",
         "md5:5c965bf0a639b31b8f53240b1b52f4d7", "md5:7320c461ea6c1c855c0b718fb2a4b134"),
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    ),
    "qmnist": _qmnist(),
    "emnist-letters": _emnist("letters", string.ascii_lowercase),
    "emnist-digits": _emnist("digits", string.digits),
    "emnist-mnist": _emnist("mnist", string.digits),
    "emnist-balanced": _emnist("balanced", MERGED),
    "emnist-bymerge": _emnist("bymerge", MERGED),
    "emnist-byclass": _emnist("byclass", string.digits + string.ascii_uppercase
                              + string.ascii_lowercase),
    "cifar10": _cifar("cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530"),
    "cifar100": _cifar("cifar-100-binary.tar.gz", "md5:03b5dce01913d631647c71ecec9e9cb8"),
    "svhn": _svhn(),
}  # fmt: skip


def load_published(
    name: str, folder: str | os.PathLike[str] | None = None
) -> tuple[Dataset, Dataset]:
    """A published data set, both sets normalized as the training set needs.

    It is looked for in `places`, each of which may hold a folder of the data set's name. What is
    not there is fetched into the user's cache, unless ``$MINICNN_DATA`` says where to look.

    Parameters
    ----------
    name : str
        A key of `PUBLISHED`.
    folder : str or Path, optional
        Look here and nowhere else.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    DataError
        If it is not found and cannot be fetched, with where it was looked for and what to do, or
        its files are damaged.
    """
    if check_text(name, "the name of a data set") not in PUBLISHED:
        raise unknown("published data set", name, PUBLISHED)
    source = PUBLISHED[name]
    own = source.folder or name
    only = None if folder is None else [expand(check_path(folder, "folder"), "the folder")]
    roots = only or places()
    # A folder of MNIST's files may be given itself; another set's could be taken for this one.
    folders = [inner for root in roots for inner in (root / own, root)[: 1 + (name == "mnist")]]
    where = next(filter(source.has, folders), None) or _unpacked(source, own, folders)
    if where is None and folder is None and not os.environ.get(VARIABLE) and cache():
        where = _fetched(name, source, own, folders)
    if where is None:
        raise DataError(_not_found(name, source, folders, folder is None))
    train, test, class_names = source.read(where)
    return from_arrays(name, train, test, class_names=tuple(class_names))


def _unpacked(source, own, folders):
    """The cache's folder, filled from files that are there, packed; None if they are nowhere."""
    packed = next(filter(_has_all(source.files), folders), None) if source.unpack else None
    if packed is None or not cache():
        return None
    folder = cache()[0] / own
    with writing(folder), tempfile.TemporaryDirectory(dir=folder) as new:
        try:
            source.unpack(packed, Path(new))
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
            raise DataError(
                f"{packed / next(iter(source.files))}: it is damaged ({error}). Fetch it again."
            ) from error
        for file in os.listdir(new):
            replace(Path(new, file), folder / file)
    return folder


def _fetched(name, source, own, folders):
    folder = cache()[0] / own
    try:
        fetch(own, source.files, source.base, folder)
    except (ArgumentError, DataError) as error:
        raise DataError(f"{_looked(name, folders)} {error}") from error
    return folder if source.has(folder) else _unpacked(source, own, [folder])


def _looked(name, folders):
    started = [
        idx_folder.missing_files(inner) for inner in folders
        if any(idx_folder.find_files(inner)) or is_locked(inner / idx_folder.FILES[0])
    ]  # fmt: skip
    looked = " ".join(started) or f"Looked in {', '.join(map(str, folders))}."
    return f"{name.upper()} was not found. {looked}"


def _not_found(name, source, folders, anywhere):
    only = f" {VARIABLE} is set, so nowhere else." if anywhere and os.environ.get(VARIABLE) else ""
    return f"{_looked(name, folders)}{only} {advice(name, source.files, folders[0])}"


def load_mnist(folder: str | os.PathLike[str] | None = None) -> tuple[Dataset, Dataset]:
    """MNIST: 60,000 training and 10,000 test images of handwritten digits, 28 x 28 pixels.

    LeCun, Bottou, Bengio & Haffner, *Gradient-based learning applied to document recognition*,
    Proceedings of the IEEE 86 (1998). It comes with the project.

    Parameters
    ----------
    folder : str or Path, optional
        Where to look, and nowhere else: for the four files, or a folder ``mnist`` of them. By
        default as `load_published` does.

    Returns
    -------
    train, test : Dataset
        With 10 classes, both normalized with the moments of the training set.

    Raises
    ------
    DataError
        As `load_published` does.
    """
    return load_published("mnist", folder)
