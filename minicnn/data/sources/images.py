"""A folder of images by class as a data set; what was read is kept as an array in the cache."""

import hashlib
import json
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from minicnn import processors
from minicnn.checks import check_count, check_flag, check_path, takes
from minicnn.console.bars import progress_bar
from minicnn.data.dataset import Dataset
from minicnn.data.sources.assemble import from_arrays, split_in_two
from minicnn.data.sources.decode import Header, decode, pillow, read_header
from minicnn.data.sources.listing import File, Listing, listing
from minicnn.data.sources.places import cache, whole
from minicnn.errors import DataError

FORMAT = 2  # of the cache: another number and everything is read again
CHUNK = 128  # images that a thread reads in one go
AHEAD = 8  # chunks that wait to be written
SIDE = 64  # pixels, at most, of images of different sizes if nobody says how many
INDEX = "index.json"

T = TypeVar("T")
Size = tuple[int, int] | None  # height and width


@takes(folder=check_path, skip_bad=check_flag)
def load_images(
    folder: str | os.PathLike[str], image_size: Any = None, skip_bad: bool = False
) -> tuple[Dataset, Dataset]:
    """The training and the test set of a folder of images by class.

    The folder has ``train/CLASS/…`` and ``test/CLASS/…``, or ``CLASS/…`` alone, of which a part
    is kept as the test set. If all images are grey, they have one channel, else three. The first
    time, all are decoded into an array in the user's cache, which is mapped into memory; it is
    used as long as no file's name, size or time changes.

    Parameters
    ----------
    folder : str or Path
    image_size : int or pair of int, optional
        Height and width of the images. By default theirs, if all have the same; else squares of the
        smallest side, at most 64 pixels. Others are cut to this shape around their middle and
        resized; `notes` say so.
    skip_bad : bool
        Leave out files that are no readable images, in place of an error.

    Returns
    -------
    train, test : Dataset

    Raises
    ------
    DataError
        For a file that is no image, with how many there are; see `listing` for more.
    ArgumentError
        If Pillow is not installed, or `image_size` is no size.
    """
    size, found = check_size(image_size), listing(folder)
    key = json.dumps([os.path.realpath(folder), size, skip_bad])
    root = cache()
    if not root:
        raise DataError(f"{folder}: there is no folder for caches: set XDG_CACHE_HOME to one.")
    entry = root[0] / "images" / hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:20]
    index = _read_index(entry)
    if index is None or index["listing"] != found.digest or index["format"] != FORMAT:
        with whole(entry) as new:
            _fill(new, found, size, skip_bad)
        index = _read_index(entry)
        if index is None:
            raise DataError(f"{entry}: cannot be read: remove this folder.")
    return _open(entry, found, index)


def check_size(value: Any) -> Size:
    """Height and width of a side or a pair of them, or an ArgumentError; None is None."""
    if value is None:
        return None
    height, width = value if isinstance(value, (tuple, list)) and len(value) == 2 else (value,) * 2
    return check_count(height, "image_size"), check_count(width, "image_size")


def _read_index(entry):
    try:
        return json.loads((entry / INDEX).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _open(entry, found, index):
    """The sets in a folder of the cache."""
    pairs = []
    for number, count in enumerate(index["counts"]):
        shape = (count, *index["shape"])
        # Private pages can be written to, as kernels are compiled for such arrays; but the system
        # may promise no more of them than it has.
        mode: Any = "c" if math.prod(shape) < 2**30 else "r"
        pixels = np.memmap(entry / f"{number}.images", np.uint8, mode, shape=shape)
        pairs.append((pixels, np.load(entry / f"{number}.labels.npy", allow_pickle=False)))
    name, names, moments = found.root.name, found.class_names, index["moments"]
    if len(pairs) == 1:
        dataset = Dataset(*pairs[0], classes=len(names), class_names=names, name=name)
        both = split_in_two(dataset, moments)
    else:
        both = from_arrays(name, pairs[0], pairs[1], class_names=names, moments=moments)
    for dataset in both:
        dataset.notes = (*found.notes, *index["notes"], *dataset.notes)
    return both


def _fill(new: Path, found: Listing, size: Size, skip_bad: bool) -> None:
    """Decode all images of a listing into a new folder of the cache."""
    pillow()  # says what to install, before anything else can fail
    with ThreadPoolExecutor(processors.usable()) as pool:
        files = [file for part in found.sets for file in part]
        looked = _each(pool, partial(_try, read_header, found.root), files, "looking at images")
        headers = [header for header in looked if isinstance(header, Header)]
        if not headers:
            raise DataError(f"{found.root}: found no image that can be read in {len(files)} files.")
        channels = 1 if all(header.grey for header in headers) else 3
        shape, notes = _choose(headers, size, channels)
        read = partial(_try, partial(decode, channels=channels, size=shape), found.root)
        bad, counts = [], []
        for number, part in enumerate(found.sets):
            labels = []
            with open(new / f"{number}.images", "wb") as out:
                for file, pixels in zip(part, _each(pool, read, part, "reading images")):
                    if isinstance(pixels, ValueError):
                        bad.append((found.root / file.path, pixels))
                    else:
                        out.write(np.ascontiguousarray(pixels).data)
                        labels.append(file.label)
            np.save(new / f"{number}.labels.npy", np.array(labels, np.int64), allow_pickle=False)
            counts.append(len(labels))
            if skip_bad:
                _refuse_empty(found, number, labels)
    if bad:
        notes.append(_about_bad(bad, len(files), skip_bad))
    index = {
        "format": FORMAT, "listing": found.digest, "counts": counts, "notes": notes,
        "shape": (channels, *shape), "moments": None,
    }  # fmt: skip
    train, _ = _open(new, found, index)
    index["moments"] = [train.mean.tolist(), train.std.tolist()]
    (new / INDEX).write_text(json.dumps(index), "utf-8")


def _try(function, root, file):
    """What a function makes of a file, or the ValueError that it raises."""
    try:
        return function(root / file.path)
    except ValueError as error:
        return error


def _each(
    pool: ThreadPoolExecutor, function: Callable[[File], T], files: Sequence[File], what: str
) -> Iterator[T]:
    """What the function gives for each file, in order; only some chunks are worked on ahead."""
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    ahead: deque[Future[list[T]]] = deque()
    with progress_bar(total=len(files), desc=what, unit=" images", leave=False) as bar:
        for chunk in (*chunks, *[None] * AHEAD):
            if chunk is not None:
                ahead.append(pool.submit(lambda files: [function(file) for file in files], chunk))
            if ahead and (chunk is None or len(ahead) > AHEAD):
                done = ahead.popleft().result()
                yield from done
                bar.update(len(done))


def _choose(headers: Sequence[Header], size: Size, channels: int) -> tuple[Any, list[str]]:
    """The height and width of all images, and what will be done to get there."""
    sizes = {(header.height, header.width) for header in headers}
    side = min(SIDE, *(min(pair) for pair in sizes))
    shape = size or (next(iter(sizes)) if len(sizes) == 1 else (side, side))
    notes = []
    if sizes != {shape}:
        (low, narrow), (high, wide) = (f(sizes, key=lambda s: s[0] * s[1]) for f in (min, max))
        seen = (
            f"from {low} x {narrow} to {high} x {wide}" if len(sizes) > 1 else f"{low} x {narrow}"
        )
        change = "" if size else " --image-size changes this."
        notes.append(
            f"images have {seen} pixels (height x width): each was cut around its middle and"
            f" resized to {shape[0]} x {shape[1]}.{change}"
        )
    kinds = {
        "are grey: they were read as colour": sum(h.grey for h in headers) * (channels == 3),
        "are partly transparent: they were put on white": sum(h.alpha for h in headers),
        "have 16 bits a pixel: they were read as 8": sum(h.deep for h in headers),
    }
    notes += [f"{count:,} images {what}." for what, count in kinds.items() if count]
    return shape, notes


def _refuse_empty(found, number, labels):
    """Raise if all images of a class were bad."""
    empty = {file.label for file in found.sets[number]} - set(labels)
    if empty:
        raise DataError(
            f"{found.root}: no image of the class {found.class_names[min(empty)]} can be read."
        )


def _about_bad(bad, count, skip_bad):
    """The note on files that are no images; raises it unless they are to be left out."""
    path, reason = bad[0]
    which = f"{len(bad):,} of {count:,} files cannot be read as images, the first is {path}"
    if skip_bad:
        return f"{which} ({reason}): they were left out."
    raise DataError(f"{which}: {reason}. Remove them, or leave them out by --skip-bad.")
