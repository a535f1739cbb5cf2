"""What the machine can do at best: multiply-adds on registers, and copies of memory.

As a worker, ``python -m benchmarks.peak THREADS``, it measures the multiply-adds.
"""

import sys

import numpy as np

from benchmarks.rounds import Contestant, serve
from minicnn.kernels.peak import flops, multiply_add, operands
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for, set_num_threads
from minicnn.kernels.simd.vector import load, pointer, store
from minicnn.lanes import LANES

REPEATS = 10_000


@kernel
def copy(x, y):
    """``y = x``, for arrays of shape (n, m, 16)."""
    parallel_for(_copy_rows, x.shape[0], (x, y))


@kernel
def _copy_rows(rows, x, y):
    x0, y0, vectors = pointer(x), pointer(y), x.shape[1]
    for row in rows:
        for at in range(row * vectors, (row + 1) * vectors):
            store(load(x0 + at * LANES), y0 + at * LANES)


class Peak(Contestant):
    """The multiply-adds of `threads` threads, each on a tile in its registers."""

    def __init__(self, threads):
        set_num_threads(threads)
        self._operands = operands(threads)
        self.flops = flops(self._operands[-1], REPEATS)

    def count(self):
        """Floating-point operations of a step."""
        return {"flops": self.flops}

    def begin(self, job):
        """A step is one call of the kernel, whatever the job."""

        def step(i):
            multiply_add(*self._operands, REPEATS)

        return step


def copier(nbytes):
    """A step that copies so many bytes, and how many it reads and writes."""
    source = np.ones((64, max(1, nbytes // (64 * 4 * LANES)), LANES), np.float32)
    target = np.zeros_like(source)

    def step(i):
        copy(source, target)

    return step, 2 * source.nbytes


if __name__ == "__main__":
    serve(lambda: Peak(int(sys.argv[1])))
