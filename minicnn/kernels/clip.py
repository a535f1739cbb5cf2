"""Gradient clipping: by the norm over all gradients, or each element.

All arrays of gradients are one-dimensional. Each part of an array has a place of its own for its
sum of squares, and every reader adds all places in the same order: the bits are the same on any
number of threads.
"""

import numpy as np

from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.update import PART, bounds, sum_of_squares


def places(size: int) -> int:
    """How many sums of squares an array of that size has."""
    return size // PART + 1


@kernel
def squares(grad, sums):
    """Fill `sums`, float64, with the sum of squares of each part of `grad`."""
    parallel_for(_squares, sums.size, (grad, sums))


@kernel
def _squares(parts, grad, sums):
    for part in parts:
        a, b = bounds(part, grad.size)
        sums[part] = sum_of_squares(grad[a:b])


@kernel
def by_norm(grad, sums, limit):
    """``g max_norm / |g|`` where the norm |g| is finite and greater than ``max_norm``.

    `sums` are those of all arrays of gradients; `limit`, float64 of shape (1,), is the norm.
    """
    parallel_for(_by_norm, grad.size // PART + 1, (grad, sums, limit))


@kernel
def _by_norm(parts, grad, sums, limit):
    total = 0.0
    for i in range(sums.size):
        total += sums[i]
    norm = np.sqrt(total)
    if limit[0] < norm and norm < np.inf:
        factor = grad.dtype.type(limit[0] / norm)
        for part in parts:
            a, b = bounds(part, grad.size)
            for i in range(a, b):
                grad[i] *= factor


@kernel
def by_value(grad, limit):
    """Each element between ``-limit[0]`` and ``limit[0]``; NaN stays."""
    parallel_for(_by_value, grad.size // PART + 1, (grad, limit))


@kernel
def _by_value(parts, grad, limit):
    most = grad.dtype.type(limit[0])
    for part in parts:
        a, b = bounds(part, grad.size)
        for i in range(a, b):
            g = grad[i]
            grad[i] = most if g > most else (-most if g < -most else g)
