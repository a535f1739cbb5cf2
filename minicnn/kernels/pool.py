"""Pooling over windows, its gradients by mask and upsampling, and upsampling as such.

All arrays are in lanes, ``(G, C, H, W, 16)``. A window is clipped to the image: for a
maximum, what lies outside is minus infinity; for an average it is zero, and counts. Each
task owns one plane, so overlapping windows add up in one thread and in a fixed order.
"""

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.arithmetic import larger, where_above, where_same
from minicnn.kernels.simd.vector import load, pointer, store, zero

RUN = 1024  # pixels of a window whose sum is added to those of others: it keeps float32's digits


@kernel
def _clip(start, extent, limit):
    """The part of a window ``start .. start + extent`` that lies in ``0 .. limit``."""
    return max(start, 0), min(start + extent, limit)


@kernel
def _maximum(image, row, height, width):
    """The maximum of a window; `row` is how far apart its rows are."""
    best = load(image)
    for u in range(height):
        for v in range(width):
            best = larger(best, load(image + (u * row + v * LANES)))
    return best


@kernel
def _give(image, gradient, row, height, width, best, given, add):
    """Write `given` where the first pixel is that is `best`, and zeros elsewhere, or add them.

    The maximum has the bits of its pixel, be it a NaN or one of 0 and -0, which are equal.
    """
    none = zero(image)
    for u in range(height):
        for v in range(width):
            at = u * row + v * LANES
            pixel = load(image + at)
            own = where_same(pixel, best, given, none)
            given = where_same(pixel, best, none, given)
            if add:
                own = own + load(gradient + at)
            store(own, gradient + at)


@kernel
def max_pool(x, y, kernel_size, stride, padding, relu):
    """``y[i, j] = max of the window at (s i - p, s j - p)``; NaN if the window holds one.

    Parameters
    ----------
    x : ndarray, shape (G, C, H, W, 16)
    y : ndarray, shape (G, C, H', W', 16)
        Filled.
    kernel_size, stride, padding : pair of int
        Height and width; every window meets the image.
    relu : bool
        Whether to write ``max(y, 0)``: as a ReLU before the pooling would have it, which
        the maximum does not notice, at a quarter of the work or less.
    """
    parallel_for(
        _max_pool_planes, x.shape[0] * x.shape[1], (x, y, kernel_size, stride, padding, relu)
    )


@kernel
def _max_pool_planes(planes, x, y, kernel_size, stride, padding, relu):
    _, channels, height, width, _ = x.shape
    rows, columns = y.shape[2:4]
    x0, y0 = pointer(x), pointer(y)
    for plane in planes:
        image, output = x0 + plane * height * width * LANES, y0 + plane * rows * columns * LANES
        none = zero(x0)
        for i in range(rows):
            top, bottom = _clip(i * stride[0] - padding[0], kernel_size[0], height)
            for j in range(columns):
                left, right = _clip(j * stride[1] - padding[1], kernel_size[1], width)
                window = image + (top * width + left) * LANES
                if bottom - top == 2 and right - left == 2:  # the usual one, with its loops undone
                    best = _maximum(window, width * LANES, 2, 2)
                else:
                    best = _maximum(window, width * LANES, bottom - top, right - left)
                if relu:
                    best = where_above(best, none, best, none)
                store(best, output + (i * columns + j) * LANES)


@kernel
def max_pool_gradient(x, y, dy, dx, kernel_size, stride, padding, relu, apart):
    """``dx = M * upsample(dy)``: each window's gradient goes to the first of its maxima.

    That of a window which holds a NaN goes to the NaN; with several, to the first that has the
    bits of the last.

    Parameters
    ----------
    x, dx : ndarray, shape (G, C, H, W, 16)
        `dx` is filled; it may be `x` itself if `apart`.
    y, dy : ndarray, shape (G, C, H', W', 16)
        `y` as :func:`max_pool` left it.
    kernel_size, stride, padding, relu
        As there.
    apart : bool
        Whether each window begins where the one before it ends, the first at the image's edge:
        then nothing adds up, and zeros are needed only where no window reaches.
    """
    arguments = (x, y, dy, dx, kernel_size, stride, padding, relu, apart)
    parallel_for(_max_pool_gradient_planes, x.shape[0] * x.shape[1], arguments)


@kernel
def _max_pool_gradient_planes(planes, x, y, dy, dx, kernel_size, stride, padding, relu, apart):
    _, channels, height, width, _ = x.shape
    rows, columns = y.shape[2:4]
    x0, y0, dy0, dx0 = pointer(x), pointer(y), pointer(dy), pointer(dx)
    for plane in planes:
        inside, outside = plane * height * width * LANES, plane * rows * columns * LANES
        image, gradient, output, delta = x0 + inside, dx0 + inside, y0 + outside, dy0 + outside
        none = zero(x0)
        down, across = (rows * stride[0], columns * stride[1]) if apart else (0, 0)
        for i in range(height):
            for j in range(across if i < down else 0, width):
                store(none, gradient + (i * width + j) * LANES)
        for i in range(rows):
            top, bottom = _clip(i * stride[0] - padding[0], kernel_size[0], height)
            for j in range(columns):
                left, right = _clip(j * stride[1] - padding[1], kernel_size[1], width)
                best = load(output + (i * columns + j) * LANES)
                given = load(delta + (i * columns + j) * LANES)
                if relu:
                    given = where_above(best, none, given, none)
                window, row = (top * width + left) * LANES, width * LANES
                pixels, own = image + window, gradient + window
                if apart and bottom - top == 2 and right - left == 2:
                    _give(pixels, own, row, 2, 2, best, given, False)
                else:
                    _give(pixels, own, row, bottom - top, right - left, best, given, not apart)


@kernel
def average_pool(x, y, kernel_size, stride, padding):
    """``y[i, j] = sum of the window / k²``; shapes as in :func:`max_pool`."""
    parallel_for(
        _average_pool_planes, x.shape[0] * x.shape[1], (x, y, kernel_size, stride, padding)
    )


@kernel
def _average_pool_planes(planes, x, y, kernel_size, stride, padding):
    _, channels, height, width, _ = x.shape
    rows, columns = y.shape[2:4]
    factor = x.dtype.type(1 / (kernel_size[0] * kernel_size[1]))
    x0, y0 = pointer(x), pointer(y)
    for plane in planes:
        image, output = x0 + plane * height * width * LANES, y0 + plane * rows * columns * LANES
        for i in range(rows):
            top, bottom = _clip(i * stride[0] - padding[0], kernel_size[0], height)
            for j in range(columns):
                left, right = _clip(j * stride[1] - padding[1], kernel_size[1], width)
                total, step = zero(x0), max(1, RUN // max(1, right - left))
                for first in range(top, bottom, step):
                    part = zero(x0)
                    for u in range(first, min(first + step, bottom)):
                        for v in range(left, right):
                            part = part + load(image + (u * width + v) * LANES)
                    total = total + part
                store(factor * total, output + (i * columns + j) * LANES)


@kernel
def average_pool_gradient(dy, dx, kernel_size, stride, padding):
    """``dx = upsample(dy) / k²``; shapes as in :func:`max_pool_gradient`."""
    arguments = (dy, dx, kernel_size, stride, padding)
    parallel_for(_average_pool_gradient_planes, dx.shape[0] * dx.shape[1], arguments)


@kernel
def _average_pool_gradient_planes(planes, dy, dx, kernel_size, stride, padding):
    _, channels, height, width, _ = dx.shape
    rows, columns = dy.shape[2:4]
    factor = dx.dtype.type(1 / (kernel_size[0] * kernel_size[1]))
    dy0, dx0 = pointer(dy), pointer(dx)
    for plane in planes:
        gradient = dx0 + plane * height * width * LANES
        delta = dy0 + plane * rows * columns * LANES
        none = zero(dx0)
        for pixel in range(height * width):
            store(none, gradient + pixel * LANES)
        for i in range(rows):
            top, bottom = _clip(i * stride[0] - padding[0], kernel_size[0], height)
            for j in range(columns):
                left, right = _clip(j * stride[1] - padding[1], kernel_size[1], width)
                given = factor * load(delta + (i * columns + j) * LANES)
                for u in range(top, bottom):
                    for v in range(left, right):
                        at = (u * width + v) * LANES
                        store(load(gradient + at) + given, gradient + at)


@kernel
def upsample(x, y, scale):
    """``y[i, j] = x[i // sh, j // sw]`` for x (G, C, H, W, 16) and y (G, C, sh H, sw W, 16)."""
    parallel_for(_upsample_planes, x.shape[0] * x.shape[1], (x, y, scale))


@kernel
def _upsample_planes(planes, x, y, scale):
    height, width = x.shape[2:4]
    x0, y0, row = pointer(x), pointer(y), width * scale[1] * LANES
    for plane in planes:
        image = x0 + plane * height * width * LANES
        output = y0 + plane * height * scale[0] * row
        for i in range(height):
            for j in range(width):
                pixel = load(image + (i * width + j) * LANES)
                for u in range(scale[0]):
                    for v in range(scale[1]):
                        at = (i * scale[0] + u) * row + (j * scale[1] + v) * LANES
                        store(pixel, output + at)


@kernel
def upsample_gradient(dy, dx, scale):
    """``dx[i, j] = sum of dy over the block of (i, j)``, row by row; shapes as in `upsample`."""
    parallel_for(_upsample_gradient_planes, dx.shape[0] * dx.shape[1], (dy, dx, scale))


@kernel
def _upsample_gradient_planes(planes, dy, dx, scale):
    height, width = dx.shape[2:4]
    dy0, dx0, row = pointer(dy), pointer(dx), width * scale[1] * LANES
    for plane in planes:
        gradient = dx0 + plane * height * width * LANES
        delta = dy0 + plane * height * scale[0] * row
        for i in range(height):
            for j in range(width):
                total = zero(dx0)
                for u in range(scale[0]):
                    for v in range(scale[1]):
                        at = (i * scale[0] + u) * row + (j * scale[1] + v) * LANES
                        total = total + load(delta + at)
                store(total, gradient + (i * width + j) * LANES)
