"""The sum of two signals, where a shortcut joins."""

from numba import prange

from minicnn.kernels.launch import kernel


@kernel(parallel=True)
def add(a, b, rectify, out):
    """``out = a + b``, or ``max(a + b, 0)``, for contiguous arrays of shape (G, M).

    `out` may be `a` or `b` itself.
    """
    groups, size = a.shape
    pieces = 8
    for task in prange(groups * pieces):
        g, piece = task // pieces, task % pieces
        for i in range(piece * size // pieces, (piece + 1) * size // pieces):
            total = a[g, i] + b[g, i]
            out[g, i] = a.dtype.type(0) if rectify and total <= 0 else total
