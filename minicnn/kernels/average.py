"""A running average of weights, element by element."""

from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.update import PART, bounds, flushed, smallest_normal


@kernel
def average(value, mean, share):
    """``mean += share (value - mean)``, with `share` of float64, shape (1,).

    The arrays are one-dimensional, of one dtype.
    """
    parallel_for(_average, value.size // PART + 1, (value, mean, share))


@kernel
def _average(parts, value, mean, share):
    own, smallest = value.dtype.type(share[0]), smallest_normal(value)
    for part in parts:
        a, b = bounds(part, value.size)
        for i in range(a, b):
            mean[i] = flushed(mean[i] + own * (value[i] - mean[i]), smallest)
