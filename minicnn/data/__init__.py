"""Data: file formats, data sets and batches."""

from minicnn.data.batches import Batch, Batches
from minicnn.data.dataset import Dataset, normalization
from minicnn.data.idx import read_idx
from minicnn.data.mnist import load_mnist
from minicnn.data.sources import load, names

__all__ = [
    "Batch",
    "Batches",
    "Dataset",
    "load",
    "load_mnist",
    "names",
    "normalization",
    "read_idx",
]
