"""Where branches join: the sum of two signals, and copies of channels into one signal."""

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.arithmetic import where_above
from minicnn.kernels.simd.vector import load, pointer, store, zero

PIECES = 8  # of a lane group, each a task of its own


@kernel
def add(a, b, relu, out):
    """``out = a + b``, or ``max(a + b, 0)``, for contiguous arrays of shape (G, M), 16 | M.

    `out` may be `a` or `b` itself: vectors are loaded and stored one by one, for a plain loop
    would be compiled to vectors only for arrays that do not overlap.
    """
    parallel_for(_add_pieces, len(a) * PIECES, (a, b, relu, out))


@kernel
def _add_pieces(tasks, a, b, relu, out):
    for task in tasks:
        g, piece, size = task // PIECES, task % PIECES, a.shape[1]
        a0, b0, out0, vectors = pointer(a), pointer(b), pointer(out), size // LANES
        none = zero(a0)
        for i in range(piece * vectors // PIECES, (piece + 1) * vectors // PIECES):
            at = g * size + i * LANES
            total = load(a0 + at) + load(b0 + at)
            if relu:
                total = where_above(total, none, total, none)
            store(total, out0 + at)


@kernel
def copy_channels(x, start, out, out_start, channels):
    """``out[:, out_start + c] = x[:, start + c]`` for the `channels` from 0 on, inside both.

    `x` and `out` are of shape (G, C, M); C differs, M is the same and a multiple of 16.
    """
    parallel_for(_copy_planes, len(x) * channels, (x, start, out, out_start, channels))


@kernel
def _copy_planes(planes, x, start, out, out_start, channels):
    x0, out0, size = pointer(x), pointer(out), x.shape[2]
    for plane in planes:
        g, c = plane // channels, plane % channels
        source = x0 + (g * x.shape[1] + start + c) * size
        target = out0 + (g * out.shape[1] + out_start + c) * size
        for i in range(0, size, LANES):
            store(load(source + i), target + i)
