"""Copies that change the layout: borders of zeros, and features in the place of samples."""

from numba import prange

from minicnn.kernels.arithmetic import where_above
from minicnn.kernels.launch import kernel
from minicnn.kernels.vector import load, pointer, store, zero
from minicnn.lanes import LANES


@kernel(parallel=True)
def copy_inside(x, gate, out, top, left):
    """Copy images into the middle of larger ones; what surrounds them is not touched.

    Parameters
    ----------
    x : ndarray, shape (G, C, H, W, 16)
    gate : ndarray of the shape of `x`, or None
        Where it is not above 0, a zero is written in the place of x.
    out : ndarray, shape (G, C, H', W', 16)
    top, left : int
        Where in `out` the first pixel goes.
    """
    _, channels, height, width, _ = x.shape
    large = out.shape[2] * out.shape[3] * LANES
    small, row = height * width * LANES, out.shape[3] * LANES
    x0, out0 = pointer(x), pointer(out) + (top * row + left * LANES)
    gate0 = x0 if gate is None else pointer(gate)
    for plane in prange(x.shape[0] * channels):
        for i in range(height):
            source, target = plane * small + i * width * LANES, out0 + (plane * large + i * row)
            for j in range(width):
                pixel = load(x0 + source + j * LANES)
                if gate is not None:
                    none = zero(x0)
                    pixel = where_above(load(gate0 + source + j * LANES), none, pixel, none)
                store(pixel, target + j * LANES)


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
