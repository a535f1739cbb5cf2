"""Writes IDX files for the tests, straight from the format's description."""

import gzip
import struct

import numpy as np

CODES = {
    "uint8": 0x08,
    "int8": 0x09,
    "int16": 0x0B,
    "int32": 0x0C,
    "float32": 0x0D,
    "float64": 0x0E,
}

NAMES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]


def header(code, *shape):
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def idx_bytes(array):
    big = array.astype(array.dtype.newbyteorder(">"))
    return header(CODES[array.dtype.name], *array.shape) + big.tobytes()


def write_idx(path, array):
    """Compressed if the name ends so."""
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def digits(train=20, test=8, size=(6, 5), classes=10, seed=0):
    """Four arrays like MNIST's, small and random; every class in the training set."""
    rng = np.random.default_rng(seed)
    arrays = []
    for count in (train, test):
        arrays.append(rng.integers(0, 256, (count, *size), dtype=np.uint8))
        arrays.append((np.arange(count) % classes).astype(np.uint8))
    return arrays


def write_folder(folder, arrays=None, names=None):
    """The four files, `names` in the order of NAMES."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(names or [f"{n}.gz" for n in NAMES], arrays or digits()):
        write_idx(folder / name, array)
    return folder
