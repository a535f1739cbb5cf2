"""Products of whole channels with one number each."""

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.vector import load, pointer, store


@kernel
def scale_channels(x, factors, y):
    """``y[g, c] = factors[c] x[g, c]`` for `x`, `y` of (G, C, P, 16), `factors` of (C,).

    `y` may be `x`.
    """
    parallel_for(_scale_planes, x.shape[0] * x.shape[1], (x, factors, y))


@kernel
def _scale_planes(planes, x, factors, y):
    x0, y0, size = pointer(x), pointer(y), x.shape[2]
    for plane in planes:
        factor = factors[plane % x.shape[1]]
        for p in range(plane * size, (plane + 1) * size):
            store(factor * load(x0 + p * LANES), y0 + p * LANES)
