"""Pooling with a dilation, or with means of unequal counts: what the plain loops leave out.

All arrays are in lanes, ``(G, C, H, W, 16)``. Each task owns one plane, as in
:mod:`minicnn.kernels.pool`, so that sums have an order that threads do not change.
"""

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.arithmetic import larger, where_above, where_same
from minicnn.kernels.simd.vector import load, pointer, store, zero


@kernel
def _inside(start, step, taps, limit):
    """Where the taps ``start + step u`` begin that lie in ``0 .. limit``, and how many do."""
    first = max(0, -(start // step))
    last = min(taps, (limit - 1 - start) // step + 1)
    return start + step * first, last - first


@kernel
def _count(start, extent, padding, limit, include):
    """How many pixels of a window count along one axis: inside the image, or its padding too."""
    if include:
        return min(start + extent, limit + padding) - start
    return min(start + extent, limit) - max(start, 0)


@kernel
def dilated_max_pool(x, y, kernel_size, stride, padding, dilation, relu):
    """``y[i, j] = max over u, v of x[s i + d u - p, s j + d v - p]``; NaN if one of them is.

    Parameters
    ----------
    x : ndarray, shape (G, C, H, W, 16)
    y : ndarray, shape (G, C, H', W', 16)
        Filled.
    kernel_size, stride, padding, dilation : pair of int
        Height and width; every window has a pixel in the image.
    relu : bool
        Whether to write ``max(y, 0)``.
    """
    arguments = (x, y, kernel_size, stride, padding, dilation, relu)
    parallel_for(_dilated_max_planes, x.shape[0] * x.shape[1], arguments)


@kernel
def _dilated_max_planes(planes, x, y, kernel_size, stride, padding, dilation, relu):
    height, width = x.shape[2:4]
    rows, columns = y.shape[2:4]
    x0, y0 = pointer(x), pointer(y)
    down, across = dilation[0] * width * LANES, dilation[1] * LANES
    none = zero(x0)
    for plane in planes:
        image, output = x0 + plane * height * width * LANES, y0 + plane * rows * columns * LANES
        for i in range(rows):
            start = i * stride[0] - padding[0]
            top, taps = _inside(start, dilation[0], kernel_size[0], height)
            for j in range(columns):
                start = j * stride[1] - padding[1]
                left, side = _inside(start, dilation[1], kernel_size[1], width)
                window = image + (top * width + left) * LANES
                best = load(window)
                for u in range(taps):
                    for v in range(side):
                        best = larger(best, load(window + (u * down + v * across)))
                if relu:
                    best = where_above(best, none, best, none)
                store(best, output + (i * columns + j) * LANES)


@kernel
def dilated_max_pool_gradient(x, y, dy, dx, kernel_size, stride, padding, dilation, relu):
    """``dx = M * upsample(dy)``: each window's gradient goes to the first of its maxima.

    Shapes as in :func:`dilated_max_pool`, which left `y`; `dx` is filled.
    """
    arguments = (x, y, dy, dx, kernel_size, stride, padding, dilation, relu)
    parallel_for(_dilated_max_gradient_planes, x.shape[0] * x.shape[1], arguments)


@kernel
def _dilated_max_gradient_planes(
    planes, x, y, dy, dx, kernel_size, stride, padding, dilation, relu
):
    height, width = x.shape[2:4]
    rows, columns = y.shape[2:4]
    x0, y0, dy0, dx0 = pointer(x), pointer(y), pointer(dy), pointer(dx)
    down, across = dilation[0] * width * LANES, dilation[1] * LANES
    none = zero(x0)
    for plane in planes:
        inside, outside = plane * height * width * LANES, plane * rows * columns * LANES
        for pixel in range(height * width):
            store(none, dx0 + (inside + pixel * LANES))
        for i in range(rows):
            start = i * stride[0] - padding[0]
            top, taps = _inside(start, dilation[0], kernel_size[0], height)
            for j in range(columns):
                start = j * stride[1] - padding[1]
                left, side = _inside(start, dilation[1], kernel_size[1], width)
                window = inside + (top * width + left) * LANES
                best = load(y0 + (outside + (i * columns + j) * LANES))
                given = load(dy0 + (outside + (i * columns + j) * LANES))
                if relu:
                    given = where_above(best, none, given, none)
                for u in range(taps):
                    for v in range(side):
                        at = window + (u * down + v * across)
                        pixel = load(x0 + at)
                        own = where_same(pixel, best, given, none)
                        given = where_same(pixel, best, none, given)
                        store(own + load(dx0 + at), dx0 + at)


@kernel
def counted_average_pool(x, y, kernel_size, stride, padding, include):
    """``y[i, j] = sum of the window / count``; shapes as in :func:`dilated_max_pool`.

    The count is that of the window's pixels in the image or, with `include`, in the padded image.
    """
    arguments = (x, y, kernel_size, stride, padding, include)
    parallel_for(_counted_average_planes, x.shape[0] * x.shape[1], arguments)


@kernel
def _counted_average_planes(planes, x, y, kernel_size, stride, padding, include):
    height, width = x.shape[2:4]
    rows, columns = y.shape[2:4]
    x0, y0 = pointer(x), pointer(y)
    for plane in planes:
        image, output = x0 + plane * height * width * LANES, y0 + plane * rows * columns * LANES
        for i in range(rows):
            start = i * stride[0] - padding[0]
            top, taps = _inside(start, 1, kernel_size[0], height)
            high = _count(start, kernel_size[0], padding[0], height, include)
            for j in range(columns):
                start = j * stride[1] - padding[1]
                left, side = _inside(start, 1, kernel_size[1], width)
                wide = _count(start, kernel_size[1], padding[1], width, include)
                total = zero(x0)
                for u in range(top, top + taps):  # row by row, which keeps float32's digits
                    part = zero(x0)
                    for v in range(left, left + side):
                        part = part + load(image + (u * width + v) * LANES)
                    total = total + part
                store(x.dtype.type(1 / (high * wide)) * total, output + (i * columns + j) * LANES)


@kernel
def counted_average_pool_gradient(dy, dx, kernel_size, stride, padding, include):
    """``dx = upsample(dy / count)``; the rest as in :func:`counted_average_pool`."""
    arguments = (dy, dx, kernel_size, stride, padding, include)
    parallel_for(_counted_average_gradient_planes, dx.shape[0] * dx.shape[1], arguments)


@kernel
def _counted_average_gradient_planes(planes, dy, dx, kernel_size, stride, padding, include):
    height, width = dx.shape[2:4]
    rows, columns = dy.shape[2:4]
    dy0, dx0 = pointer(dy), pointer(dx)
    none = zero(dx0)
    for plane in planes:
        gradient = dx0 + plane * height * width * LANES
        delta = dy0 + plane * rows * columns * LANES
        for pixel in range(height * width):
            store(none, gradient + pixel * LANES)
        for i in range(rows):
            start = i * stride[0] - padding[0]
            top, taps = _inside(start, 1, kernel_size[0], height)
            high = _count(start, kernel_size[0], padding[0], height, include)
            for j in range(columns):
                start = j * stride[1] - padding[1]
                left, side = _inside(start, 1, kernel_size[1], width)
                wide = _count(start, kernel_size[1], padding[1], width, include)
                given = load(delta + (i * columns + j) * LANES)
                given = dx.dtype.type(1 / (high * wide)) * given
                for u in range(top, top + taps):
                    for v in range(left, left + side):
                        at = gradient + (u * width + v) * LANES
                        store(load(at) + given, at)
