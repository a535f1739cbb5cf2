"""What the machine can do at best: multiply-adds on registers whose operands are near."""

import time

import numpy as np

from minicnn.kernels import LANES
from minicnn.kernels.conv.correlate import COLUMNS, MAX_ROWS
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import get_num_threads, parallel_for
from minicnn.kernels.simd.tile import tile_operations
from minicnn.kernels.simd.vector import pointer

ROWS = MAX_ROWS  # with COLUMNS, the tile of the convolutions
TERMS = 64  # so few that the nearest cache holds their operands

_, load_tile, store_tile, add_rank1, _, _ = tile_operations(ROWS, COLUMNS)


@kernel
def multiply_add(w, x, out, repeats):
    """On every thread, add the products of w and x to a tile of its own, again and again.

    The shapes of w, x and out are (TERMS, ROWS), (TERMS, COLUMNS, 16) and (threads, ROWS, COLUMNS,
    16).
    """
    parallel_for(_add_products, len(out), (w, x, out, repeats))


@kernel
def _add_products(tasks, w, x, out, repeats):
    for task in tasks:
        w0, x0, own = pointer(w), pointer(x), pointer(out) + task * (ROWS * COLUMNS * LANES)
        tile = load_tile(own, COLUMNS * LANES, LANES)
        for _ in range(repeats):
            for term in range(TERMS):
                tile = add_rank1(tile, w0 + term * ROWS, 1, x0 + term * (COLUMNS * LANES), LANES)
        store_tile(tile, own, COLUMNS * LANES, LANES)


def operands(threads, dtype=np.float32):
    """Small numbers for `multiply_add`: w, x, and out of zeros."""
    rng = np.random.default_rng(0)
    w = rng.uniform(-1e-3, 1e-3, (TERMS, ROWS)).astype(dtype)
    x = rng.standard_normal((TERMS, COLUMNS, LANES)).astype(dtype)
    return w, x, np.zeros((threads, ROWS, COLUMNS, LANES), dtype)


def flops(out, repeats):
    """Floating-point operations of a call of `multiply_add`."""
    return 2 * repeats * TERMS * out.size


def measure_peak(rounds=5, repeats=10_000):
    """Floating-point operations a second, in float32 on the present threads: the best of some."""
    w, x, out = operands(get_num_threads())
    multiply_add(w, x, out, 1)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        multiply_add(w, x, out, repeats)
        seconds.append(time.perf_counter() - start)
    return flops(out, repeats) / min(seconds)
