"""The sum of two signals, where a shortcut joins."""

from minicnn.kernels import LANES
from minicnn.kernels.arithmetic import where_above
from minicnn.kernels.launch import kernel
from minicnn.kernels.team import share
from minicnn.kernels.vector import load, pointer, store, zero

PIECES = 8  # of a lane group, each a task of its own


@kernel
def add(a, b, rectify, out):
    """``out = a + b``, or ``max(a + b, 0)``, for contiguous arrays of shape (G, M), 16 | M.

    `out` may be `a` or `b` itself: vectors are loaded and stored one by one, for a plain loop
    would be compiled to vectors only for arrays that do not overlap.
    """
    share(_add_pieces, len(a) * PIECES, (a, b, rectify, out))


@kernel
def _add_pieces(tasks, a, b, rectify, out):
    for task in tasks:
        g, piece, size = task // PIECES, task % PIECES, a.shape[1]
        a0, b0, out0, vectors = pointer(a), pointer(b), pointer(out), size // LANES
        none = zero(a0)
        for i in range(piece * vectors // PIECES, (piece + 1) * vectors // PIECES):
            at = g * size + i * LANES
            total = load(a0 + at) + load(b0 + at)
            if rectify:
                total = where_above(total, none, total, none)
            store(total, out0 + at)
