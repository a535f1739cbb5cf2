"""Data: sources, file formats, data sets and batches."""

from minicnn.data.batches import Batch, Batches
from minicnn.data.dataset import Dataset
from minicnn.data.idx import read_idx
from minicnn.data.sources import load, load_images, load_mnist, names
from minicnn.data.split import split
from minicnn.data.statistics import normalization

__all__ = [
    "Batch", "Batches", "Dataset", "load", "load_images", "load_mnist", "names", "normalization",
    "read_idx", "split",
]  # fmt: skip
