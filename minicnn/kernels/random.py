"""Random numbers that kernels draw: each is a hash of a key, a sample and the number of the draw.

None depends on what was drawn before, so a sample gets the same ones in any batch, order and
thread: Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC 2011. The hash is that of
SplitMix64: Steele et al., *Fast splittable pseudorandom number generators*, OOPSLA 2014.
"""

import numpy as np

from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for

FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # factors of SplitMix64
STEP = 0x9E3779B97F4A7C15  # from draw to draw: odd, and 2^64 over the golden ratio


@kernel
def mixed(z):
    """SplitMix64's output function: a bijection in which every bit depends on every other."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(FIRST)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND)
    return z ^ (z >> np.uint64(31))


@kernel
def random_bits(key, sample, draw):
    """64 random bits, uint64."""
    return mixed(mixed(key + np.uint64(sample)) + np.uint64(draw) * np.uint64(STEP))


@kernel
def uniform(key, sample, draw):
    """A number in [0, 1)."""
    return np.float64(random_bits(key, sample, draw) >> np.uint64(11)) * 2.0**-53


@kernel
def next_key(words, key):
    """Count up ``words[1]``, and fill `key`, (1,), with SplitMix64's number of that count.

    ``words[0]`` is the seed; all are uint64.
    """
    parallel_for(_next_key, 1, (words, key))


@kernel
def _next_key(tasks, words, key):
    for _ in tasks:
        words[1] += np.uint64(1)
        key[0] = mixed(words[0] + words[1] * np.uint64(STEP))
