"""Data: sources, file formats, data sets and batches."""

from minicnn.data.batches import Batch, Batches
from minicnn.data.dataset import Dataset, normalization
from minicnn.data.idx import read_idx
from minicnn.data.sources import load, load_images, load_mnist, names
from minicnn.data.split import split

__all__ = [
    "Batch", "Batches", "Dataset", "load", "load_images", "load_mnist", "names", "normalization",
    "read_idx", "split",
]  # fmt: skip
