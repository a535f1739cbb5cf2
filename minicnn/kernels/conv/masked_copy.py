"""Copies of images into the middle of larger ones, whose borders are zeros."""

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.arithmetic import where_above
from minicnn.kernels.simd.vector import load, pointer, store, zero

FEW = 4  # images that are cut, so that every thread has some of them


@kernel
def masked_copy(x, mask, out, top, left, border):
    """Copy images into the middle of larger ones.

    Parameters
    ----------
    x : ndarray, shape (G, C, H, W, 16)
    mask : ndarray of the shape of `x`, or None
        Where it is at most 0, a zero is written instead of x; a NaN lets x pass.
    out : ndarray, shape (G, C, H', W', 16)
    top, left : int
        Where in `out` the first pixel goes.
    border : bool
        Whether zeros are written around the images; else what is there stays.
    """
    planes = x.shape[0] * x.shape[1]
    pieces = 1 if planes > FEW else out.shape[2]  # of a plane, each a task of its own
    parallel_for(_copy_pieces, planes * pieces, (pieces, x, mask, out, top, left, border))


@kernel
def _copy_pieces(tasks, pieces, x, mask, out, top, left, border):
    height, width, rows, columns = x.shape[2], x.shape[3], out.shape[2], out.shape[3]
    x0, out0 = pointer(x), pointer(out)
    mask0 = x0 if mask is None else pointer(mask)
    none = zero(x0)
    for task in tasks:
        plane, piece = task // pieces, task % pieces
        for row in range(piece * rows // pieces, (piece + 1) * rows // pieces):
            target = out0 + (plane * rows + row) * columns * LANES
            inside = top <= row < top + height
            if border:
                for j in range(left if inside else columns):
                    store(none, target + j * LANES)
                for j in range(left + width, columns):
                    store(none, target + j * LANES)
            if not inside:
                continue
            source = (plane * height + row - top) * width * LANES
            for j in range(width):
                pixel = load(x0 + source + j * LANES)
                if mask is not None:
                    pixel = where_above(load(mask0 + source + j * LANES), none, pixel, none)
                store(pixel, target + (left + j) * LANES)
