"""Copies that change the layout: borders of zeros, and samples as rows."""

from numba import prange

from minicnn.kernels.launch import kernel
from minicnn.lanes import LANES


@kernel(parallel=True)
def copy_inside(x, out, top, left):
    """Copy images into the middle of larger ones; what surrounds them is not touched.

    Parameters
    ----------
    x : ndarray, shape (G, C, H, W, 16)
    out : ndarray, shape (G, C, H', W', 16)
    top, left : int
        Where in `out` the first pixel goes.
    """
    groups, channels, height, width, _ = x.shape
    for task in prange(groups * channels):
        g, c = task // channels, task % channels
        for i in range(height):
            for j in range(width):
                for lane in range(LANES):
                    out[g, c, top + i, left + j, lane] = x[g, c, i, j, lane]


@kernel(parallel=True)
def samples_as_rows(x, out):
    """Take features out of their lanes: ``out[16 g + lane, f] = x[g, f, lane]``.

    Parameters
    ----------
    x : ndarray, shape (G, F, 16)
    out : ndarray, shape (16 G, at least F)
        Columns beyond F are not touched.
    """
    groups, features, _ = x.shape
    for g in prange(groups):
        for f in range(features):
            for lane in range(LANES):
                out[g * LANES + lane, f] = x[g, f, lane]
