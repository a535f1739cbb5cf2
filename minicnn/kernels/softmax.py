"""Softmax and its logarithm over the channels, for sixteen samples at one position at a time.

Arrays are of shape (G, C, P, 16); a task is a position of a lane group. All is computed in float64.
"""

import numpy as np

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.exponential import exp_of_difference


@kernel
def softmax(x, y, log):
    """``y_c = exp(x_c - m) / Z`` or, if `log`, ``x_c - m - log Z``; m is the maximum over c.

    ``Z = 1 + rest``, where 1 is the term of the first maximum, so that ``log Z`` keeps its digits
    where the rest is tiny.
    """
    parallel_for(_softmax_positions, x.shape[0] * x.shape[2], (x, y, log))


@kernel
def _softmax_positions(tasks, x, y, log):
    channels, size = x.shape[1], x.shape[2]
    room, best = np.empty((2 + channels, LANES)), np.empty(LANES, np.int64)
    top, total, exps = room[0], room[1], room[2:]
    for task in tasks:
        g, p = task // size, task % size
        for lane in range(top.size):  # an unknown length, which LLVM makes vectors of
            top[lane], best[lane], total[lane] = x[g, 0, p, lane], 0, 0
        for c in range(1, channels):
            for lane in range(top.size):
                above = x[g, c, p, lane] > top[lane]
                top[lane] = x[g, c, p, lane] if above else top[lane]
                best[lane] = c if above else best[lane]
        for c in range(channels):
            for lane in range(top.size):
                e = exp_of_difference(np.float64(x[g, c, p, lane]), top[lane])
                exps[c, lane] = e
                total[lane] += e - 1 if c == best[lane] else e  # 0, or NaN of an infinite maximum
        if log:
            for lane in range(LANES):
                total[lane] = np.log1p(total[lane])
        for c in range(channels):
            for lane in range(top.size):
                if log:
                    y[g, c, p, lane] = (np.float64(x[g, c, p, lane]) - top[lane]) - total[lane]
                else:
                    y[g, c, p, lane] = exps[c, lane] / (1 + total[lane])


@kernel
def softmax_gradient(y, dy, dx, log):
    """``dx = y (dy - sum of y dy)`` or, if `log`, ``dy - exp(y) sum of dy``, sums over c.

    Without a `dx` the result is written over `dy`.
    """
    parallel_for(_gradient_positions, y.shape[0] * y.shape[2], (y, dy, dx, log))


@kernel
def _gradient_positions(tasks, y, dy, dx, log):
    out = dy if dx is None else dx
    channels, size, total = y.shape[1], y.shape[2], np.empty(LANES)
    for task in tasks:
        g, p = task // size, task % size
        total[:] = 0
        for c in range(channels):
            for lane in range(total.size):
                weight = 1.0 if log else np.float64(y[g, c, p, lane])
                total[lane] += weight * np.float64(dy[g, c, p, lane])
        for c in range(channels):
            for lane in range(total.size):
                own, delta = np.float64(y[g, c, p, lane]), np.float64(dy[g, c, p, lane])
                if log:
                    out[g, c, p, lane] = delta - exp_of_difference(own, 0.0) * total[lane]
                else:
                    out[g, c, p, lane] = own * (delta - total[lane])
