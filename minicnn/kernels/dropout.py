"""Dropout: random numbers are drawn, compared, and applied in one pass over the signal."""

import numpy as np

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.random import where_drawn
from minicnn.kernels.simd.vector import load, pointer, store

PART = 1 << 12  # numbers, about, of a task


@kernel
def drop(x, p, key, y):
    """``y = m x / (1 - p)`` with m = 0 or 1, P(m = 0) = p, drawn for each sample and unit.

    m is 0 where 32 random bits, a number of the key, the sample and the unit, are below p 2^32,
    rounded. So the same `key` gives the same m again, for the way back: that keeps no mask.

    Parameters
    ----------
    x, y : ndarray, shape (G, U, P, 16)
        P numbers of each of U units: they are kept or dropped together. `y` may be `x`.
    p : ndarray of float64, shape (1,)
        In [0, 1).
    key : ndarray of uint64, shape (1,)
    """
    parts = x.size // PART + 1
    parallel_for(_drop_parts, parts, (parts, x, p, key, y))


@kernel
def _drop_parts(tasks, parts, x, p, key, y):
    groups, units, positions, _ = x.shape
    x0, y0, rows, own_key = pointer(x), pointer(y), groups * units, key[0]
    factor = x.dtype.type(1 / (1 - p[0]))
    least = np.uint64(min(np.rint(p[0] * 2.0**32), 2.0**32 - 1))
    for part in tasks:
        row, end = part * rows // parts, (part + 1) * rows // parts
        while row < end:
            g = row // units
            first, row = row, min(end, (g + 1) * units)
            for at in range(first, row):
                mask = where_drawn(x0, own_key, g, at - g * units, least, factor)
                for i in range(at * positions, (at + 1) * positions):
                    store(mask * load(x0 + i * LANES), y0 + i * LANES)
