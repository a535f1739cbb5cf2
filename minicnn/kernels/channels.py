"""Products of whole channels with one number each, the same for all samples or each its own.

And sums of products over each channel, which are the gradient of such numbers.
"""

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.vector import load, pointer, store, zero

RUN = 1024  # vectors that are added up to one


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


@kernel
def gate_channels(x, gates, y):
    """``y[g, c] = gates[g, c] x[g, c]`` for `x`, `y` of (G, C, P, 16), `gates` of (G, C, 16).

    `y` may be `x`.
    """
    parallel_for(_gate_planes, x.shape[0] * x.shape[1], (x, gates, y))


@kernel
def _gate_planes(planes, x, gates, y):
    x0, gates0, y0, size = pointer(x), pointer(gates), pointer(y), x.shape[2]
    for plane in planes:
        factor = load(gates0 + plane * LANES)
        for p in range(plane * size, (plane + 1) * size):
            store(factor * load(x0 + p * LANES), y0 + p * LANES)


@kernel
def channel_products(x, delta, sums):
    """``sums[g, c] = sum over p of delta[g, c, p] x[g, c, p]``, sample by sample.

    `x` and `delta` are of shape (G, C, P, 16), `sums` of (G, C, 16).
    """
    parallel_for(_product_planes, x.shape[0] * x.shape[1], (x, delta, sums))


@kernel
def _product_planes(planes, x, delta, sums):
    x0, delta0, sums0, size = pointer(x), pointer(delta), pointer(sums), x.shape[2]
    for plane in planes:
        total = zero(x0)
        for first in range(0, size, RUN):
            part = zero(x0)
            for p in range(first, min(first + RUN, size)):
                at = (plane * size + p) * LANES
                part = part + load(delta0 + at) * load(x0 + at)
            total = total + part
        store(total, sums0 + plane * LANES)
