"""A folder of four IDX files, as a data set: one of them is not what it should be."""

import gzip

import numpy as np

from minicnn.data.sources.idx_folder import load_folder
from tests.data.idx_files import NAMES, digits, header, idx_bytes, write_folder
from tests.long.corpus import accidents, idx

SHARE = 3
TARGETS = tuple(f"{name}.gz" for name in NAMES)

mutated, held = idx.mutated, idx.held


def prepare(folder):
    """A small data set."""
    write_folder(folder)


def read(folder):
    """Both sets."""
    return load_folder(folder)


def check(folder, found):
    """A data set is whole and finite."""
    for dataset in found:
        assert len(dataset.labels) == len(dataset) > 0
        assert dataset.labels.min() >= 0 and dataset.labels.max() < dataset.classes
        assert np.isfinite(dataset.normalized(slice(None))).all()


def handmade(target, content):
    """Files that are in order, each for itself, but do not fit together; and what is no file."""
    images, labels = digits()[:2]
    arrays = {
        "no images": images[:0], "one image": images[:1], "no pixels": images[:, :0],
        "one pixel": images[:, :1, :1], "other size": images[:, 1:], "flat": images.reshape(20, -1),
        "four dimensions": images[:, None], "one dimension": images.ravel(),
        "no labels": labels[:0], "one label": labels[:1], "many labels": labels.repeat(50),
        "label 255": np.full_like(labels, 255), "only zeros": np.zeros_like(images),
        "labels in rows": labels[:, None], "white": np.full_like(images, 255),
    }  # fmt: skip
    made = {}
    for name, array in arrays.items():
        for dtype in ("uint8", "int8", "int16", "int32", "float32", "float64"):
            made[f"{name} of {dtype}"] = gzip.compress(idx_bytes(array.astype(dtype)), 1)
    for value in (np.nan, np.inf, -np.inf, 1e30):
        made[f"{value} everywhere"] = gzip.compress(idx_bytes(np.full((20, 6, 5), value)), 1)
    shapes = ((20,), (20, 6, 5), (20, 2**20, 0), (0, 2**16, 2**15), (2**31,), (0, 2**31))
    made |= {f"only a header of {shape}": gzip.compress(header(8, *shape)) for shape in shapes}
    return {**accidents.NO_FILES, **accidents.ANY_CONTENT, **made}
