"""Bilinear upsampling and its adjoint: each output is a mean of four pixels with weights.

All arrays are in lanes, ``(G, C, H, W, 16)``. Along an axis, output i lies between a pixel
and the next, or on the last, at a fraction of the way. A task owns one plane, so that
what is added to a pixel has an order that threads do not change.
"""

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.vector import load, pointer, store, zero


@kernel
def bilinear(x, y, above, left, row_parts, column_parts):
    """``y[i, j] = sum over the four pixels around it of w x``, ``w = (1 - a) (1 - b)`` and so on.

    Parameters
    ----------
    x : ndarray, shape (G, C, H, W, 16)
    y : ndarray, shape (G, C, H', W', 16)
        Filled.
    above, left : ndarray of int64, shapes (H',) and (W',)
        The row above each row of `y`, and the column on the left of each column.
    row_parts, column_parts : ndarray, shapes (H',) and (W',), of x's dtype
        a and b.
    """
    arguments = (x, y, above, left, row_parts, column_parts)
    parallel_for(_bilinear_planes, x.shape[0] * x.shape[1], arguments)


@kernel
def _bilinear_planes(planes, x, y, above, left, row_parts, column_parts):
    height, width = x.shape[2:4]
    rows, columns = y.shape[2:4]
    x0, y0, one = pointer(x), pointer(y), x.dtype.type(1)
    for plane in planes:
        image, output = x0 + plane * height * width * LANES, y0 + plane * rows * columns * LANES
        for i in range(rows):
            a = row_parts[i]
            first, second = above[i] * width, min(above[i] + 1, height - 1) * width
            for j in range(columns):
                b, right = column_parts[j], min(left[j] + 1, width - 1)
                total = ((one - a) * (one - b)) * load(image + (first + left[j]) * LANES)
                total = total + ((one - a) * b) * load(image + (first + right) * LANES)
                total = total + (a * (one - b)) * load(image + (second + left[j]) * LANES)
                total = total + (a * b) * load(image + (second + right) * LANES)
                store(total, output + (i * columns + j) * LANES)


@kernel
def _add(at, weight, given):
    store(load(at) + weight * given, at)


@kernel
def bilinear_gradient(dy, dx, above, left, row_parts, column_parts):
    """The adjoint: each number of `dy` to its four pixels, by the same weights."""
    arguments = (dy, dx, above, left, row_parts, column_parts)
    parallel_for(_bilinear_gradient_planes, dx.shape[0] * dx.shape[1], arguments)


@kernel
def _bilinear_gradient_planes(planes, dy, dx, above, left, row_parts, column_parts):
    height, width = dx.shape[2:4]
    rows, columns = dy.shape[2:4]
    dy0, dx0, one = pointer(dy), pointer(dx), dx.dtype.type(1)
    none = zero(dx0)
    for plane in planes:
        gradient = dx0 + plane * height * width * LANES
        delta = dy0 + plane * rows * columns * LANES
        for pixel in range(height * width):
            store(none, gradient + pixel * LANES)
        for i in range(rows):
            a = row_parts[i]
            first, second = above[i] * width, min(above[i] + 1, height - 1) * width
            for j in range(columns):
                b, right = column_parts[j], min(left[j] + 1, width - 1)
                given = load(delta + (i * columns + j) * LANES)
                _add(gradient + (first + left[j]) * LANES, (one - a) * (one - b), given)
                _add(gradient + (first + right) * LANES, (one - a) * b, given)
                _add(gradient + (second + left[j]) * LANES, a * (one - b), given)
                _add(gradient + (second + right) * LANES, a * b, given)
