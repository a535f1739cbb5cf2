"""The mean and standard deviation of a data set's pixels, by which they are normalized."""

import math

import numpy as np

from minicnn.checks import takes
from minicnn.data.dataset import Dataset

SLICE_PIXELS = 2**18  # so many at a time: a float64 copy of them stays in the cache


@takes(dataset=Dataset)
def normalization(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, over all images and positions.

    In the units of `Dataset`: uint8 pixels count as fractions of 255. Summed in float64, or
    exactly for uint8, without a copy of the images. A channel in which all pixels are equal
    gets the standard deviation 1, so that it becomes 0 and not NaN.

    Parameters
    ----------
    dataset : Dataset
        The training set: a test set is normalized with the training set's numbers.

    Returns
    -------
    mean, std : ndarray of float64, shape (C,)
    """
    moments = _integer_moments if dataset.storage.dtype == np.uint8 else _float_moments
    mean, variance = moments(dataset)
    std = np.sqrt(variance)
    return mean, np.where(std > 0, std, 1.0)


def _integer_moments(dataset):
    """By histogram: Python's whole numbers do not round."""
    histograms = np.zeros((dataset.shape[0], 256), np.int64)
    for part in _slices(dataset):
        for channel, histogram in enumerate(histograms):
            histogram += np.bincount(part[:, channel].ravel(), minlength=256)
    values, n = np.arange(256), len(dataset) * math.prod(dataset.shape[1:])
    first, second = ([int(s) for s in histograms @ values**power] for power in (1, 2))
    mean = [s / (255 * n) for s in first]
    variance = [(n * ss - s * s) / (255 * n) ** 2 for s, ss in zip(first, second)]
    return np.array(mean), np.array(variance)


def _float_moments(dataset):
    """In two passes, as differences from the first pixel: exactly 0 in a constant channel."""
    n, first = len(dataset) * math.prod(dataset.shape[1:]), next(_slices(dataset))
    pivot, axes = first[:1, :, :1, :1].astype(np.float64), (0, 2, 3)
    sums = (np.sum(part - pivot, axes, keepdims=True) for part in _slices(dataset))
    mean = pivot + sum(sums) / n
    squares = (np.sum((part - mean) ** 2, axes) for part in _slices(dataset))
    return mean.ravel(), sum(squares) / n


def _slices(dataset):
    """The images, some hundred thousand pixels at a time."""
    count = max(1, SLICE_PIXELS // math.prod(dataset.shape))
    for start in range(0, len(dataset), count):
        stop = start + count
        there = dataset.indices
        yield dataset.storage[slice(start, stop) if there is None else there[start:stop]]
