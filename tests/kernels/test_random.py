"""Random numbers of kernels: SplitMix64's, and the same in vectors as one by one."""

import numpy as np
import pytest

from minicnn.kernels.dropout import PART, drop
from minicnn.kernels.random import next_key, random_bits
from tests.kernels.conv.test_correlate import DTYPES, with_one_and_two_threads

# The first numbers of SplitMix64 as published, by seed.
PUBLISHED = {
    0: [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC],
    1234567: [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431,
        16408922859458223821,
    ],
}  # fmt: skip
KEY = 0x0123456789ABCDEF


def mixed(z):
    """SplitMix64's output function in plain NumPy."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hashes(key, samples, draws):
    """``random_bits(key, sample, draw)`` for each pair, (samples, draws)."""
    own = mixed(np.uint64(key) + np.arange(samples, dtype=np.uint64))
    turns = np.arange(draws, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return mixed(own[:, None] + turns)


def masks(key, groups, units, p):
    """Which numbers are kept, (groups, units, 16): neighbouring samples share 64 bits."""
    both = hashes(key, groups * 8, units).reshape(groups, 8, units)
    halves = np.stack([both & np.uint64(0xFFFFFFFF), both >> np.uint64(32)], axis=2)
    return halves.reshape(groups, 16, units).swapaxes(1, 2) >= np.rint(p * 2**32)


def dropped(x, p, key=KEY, over=False):
    y = x if over else np.full_like(x, np.nan)
    drop(x, np.array([p]), np.array([key], np.uint64), y)
    return y


@pytest.mark.parametrize("seed", PUBLISHED)
def test_keys_of_passes_are_the_published_numbers(seed):
    words, key, found = np.array([seed, 0], np.uint64), np.zeros(1, np.uint64), []
    for _ in PUBLISHED[seed]:
        next_key(words, key)
        found.append(int(key[0]))
    assert found == PUBLISHED[seed]
    assert words.tolist() == [seed, len(found)]


def test_bits_are_those_of_the_plain_formula():
    expected = hashes(KEY, 5, 7)
    for sample, draw in np.ndindex(expected.shape):
        assert random_bits(np.uint64(KEY), sample, draw) == expected[sample, draw]


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize("p", [0, 2.0**-33, 1e-3, 0.3, 0.5, 0.999, 1 - 1e-12])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 37, 1), (2, 5, 9), (1, 3, 700), (3, 500, 2)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_dropped_is_what_the_plain_formula_says(dtype, shape, p, over):
    x = np.random.default_rng(0).normal(size=(*shape, 16)).astype(dtype)
    kept = masks(KEY, shape[0], shape[1], p)[:, :, None]
    expected = x * np.where(kept, dtype(1 / (1 - p)), dtype(0))
    np.testing.assert_array_equal(dropped(x.copy(), p, over=over), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_on_one_and_two_threads(dtype):
    x = np.ones((3, 5 * PART // 48 + 1, 1, 16), dtype)  # groups that end within parts
    np.testing.assert_array_equal(*with_one_and_two_threads(lambda: dropped(x, 0.4)))


def test_keys_that_differ_in_one_bit_give_independent_masks():
    x = np.ones((1, 4000, 1, 16), np.float32)
    first = dropped(x, 0.5).ravel()
    for bit in (0, 1, 31, 32, 63):
        other = dropped(x, 0.5, KEY ^ (1 << bit)).ravel()
        assert abs(np.corrcoef(first, other)[0, 1]) < 5 / np.sqrt(x.size)
