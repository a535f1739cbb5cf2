"""Copies that change the layout: borders of zeros, and features in the place of samples."""

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
def features_in_lanes(x, out):
    """Let features travel in lanes instead of samples.

    ``out[b, 16 g + lane, k] = x[g, 16 b + k, lane]``: blocks of 16 x 16 are transposed.

    Parameters
    ----------
    x : ndarray, shape (G, F, 16)
    out : ndarray, shape (ceil(F / 16), 16 G, 16)
        What stands for features beyond F is not touched.
    """
    groups, features, _ = x.shape
    for b in prange(out.shape[0]):
        count = min(LANES, features - b * LANES)
        for g in range(groups):
            for lane in range(LANES):
                for k in range(count):
                    out[b, g * LANES + lane, k] = x[g, b * LANES + k, lane]
