"""Images moved into frames of another size: zeros around them, or a part of them cut off."""

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.vector import load, pointer, store, zero


@kernel
def move(x, y, top, left):
    """``y[i, j] = x[i - top, j - left]`` where there is such a pixel, else 0.

    For `x` of (G, C, H, W, 16) and `y` of (G, C, H', W', 16); `top` and `left` may be negative.
    """
    parallel_for(_move_planes, x.shape[0] * x.shape[1], (x, y, top, left))


@kernel
def _move_planes(planes, x, y, top, left):
    height, width, rows, columns = x.shape[2], x.shape[3], y.shape[2], y.shape[3]
    x0, y0 = pointer(x), pointer(y)
    none = zero(x0)
    for plane in planes:
        for i in range(rows):
            first, last = columns, columns
            if top <= i < top + height:
                first = min(max(left, 0), columns)
                last = max(first, min(left + width, columns))
            target = y0 + (plane * rows + i) * columns * LANES
            source = x0 + ((plane * height + i - top) * width - left) * LANES
            for j in range(first):
                store(none, target + j * LANES)
            for j in range(first, last):
                store(load(source + j * LANES), target + j * LANES)
            for j in range(last, columns):
                store(none, target + j * LANES)
