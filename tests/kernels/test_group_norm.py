"""Normalization within samples: kernels beside plain NumPy, a lane at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import lanes
from minicnn import reference as ref
from minicnn.kernels import group_norm as kernels
from tests.kernels.conv.test_correlate import DTYPES, EXAMPLES, with_one_and_two_threads

EPS = 1e-5


def passes(x, dy, gamma, beta, groups, centred, dtype, spare=7):
    """y, dx, d_gamma and d_beta of ``(N, W, R)``, with spare lanes of x at `spare`."""
    packed, delta = lanes.pack(x, dtype), lanes.pack(dy, dtype)
    np.copyto(packed, spare, where=(lanes.pack(np.ones(len(x)), dtype) == 0)[:, None, None])
    moments = np.full((len(packed), groups, 2, 16), np.nan, dtype)
    y, dx = np.full((2, *packed.shape), np.nan, dtype)
    gamma, beta = gamma.astype(dtype), beta.astype(dtype)
    kernels.normalize(packed, gamma, beta, np.array([EPS]), centred, moments, y)
    d_gamma, d_beta = np.full((2, len(gamma)), np.nan, dtype)
    kernels.gradient_sums(packed, delta, moments, d_gamma, d_beta)
    kernels.normalize_gradient(packed, delta, gamma, centred, moments, dx)
    over = delta.copy()
    kernels.normalize_gradient(packed, over, gamma, centred, moments, over)
    np.testing.assert_array_equal(over, dx)
    rows = lanes.unpack(dx, 16 * len(dx))
    assert not rows[len(x) :].any()
    return lanes.unpack(y, len(x)), rows[: len(x)], d_gamma, d_beta


def plain(x, dy, gamma, beta, groups, centred):
    y = np.stack([ref.group_norm(one, gamma, beta, groups, EPS, centred) for one in x])
    each = [ref.group_norm_gradients(d, one, gamma, groups, EPS, centred) for d, one in zip(dy, x)]
    dx, d_gamma, d_beta = (np.stack(arrays) for arrays in zip(*each))
    return y, dx, d_gamma.sum(0), d_beta.sum(0)


@EXAMPLES
@given(
    st.integers(1, 40), st.integers(1, 4), st.integers(1, 4), st.integers(1, 9), st.booleans(),
    st.sampled_from(DTYPES),
)  # fmt: skip
def test_all_is_as_plain_numpy_has_it(samples, groups, weights, run, centred, dtype):
    rng = np.random.default_rng(samples)
    shape = samples, groups * weights, run + (weights * run == 1)
    x, dy = rng.normal(size=(2, *shape)).astype(dtype).astype(np.float64)
    gamma, beta = rng.normal(size=(2, shape[1])).astype(dtype).astype(np.float64)
    found = passes(x + 1, dy, gamma, beta, groups, centred, dtype)
    expected = plain(x + 1, dy, gamma, beta, groups, centred)
    # A deviation may be small by chance, and dx is divided by it: each is as good as its terms.
    rows = (x + 1).reshape(samples, groups, -1)
    deviation = np.sqrt((rows.var(2) if centred else np.square(rows).mean(2)) + EPS).min()
    sizes = 1 / deviation, np.abs(dy).max() / deviation**2, samples / deviation, samples
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    for one, other, size in zip(found, expected, sizes):
        assert np.abs(one - other).max() <= tolerance * max(size, 1)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(("weights", "run"), [(3, 5000), (5000, 2), (2, 1)])
def test_large_and_small_groups(weights, run, centred):
    """The sums' blocks, whole ones and rests."""
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 18, weights, run))
    gamma, beta = rng.normal(size=(2, weights))
    expected = plain(x + 1, dy, gamma, beta, 1, centred)
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        found = passes(x + 1, dy, gamma, beta, 1, centred, dtype)
        for one, other in zip(found, expected):
            assert np.abs(one - other).max() <= tolerance * max(20, np.abs(other).max())


def test_same_bits_with_one_and_two_threads():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 100, 6, 9))

    def results():
        return passes(x, dy, np.ones(6), np.ones(6), 3, True, np.float32)

    for one, two in zip(*with_one_and_two_threads(results)):
        np.testing.assert_array_equal(one, two)


def test_positive_numbers_keep_their_digits():
    """One float32 sum over 100,000 of them would lose three digits."""
    x = np.random.default_rng(0).uniform(size=(2, 1, 100_000)).astype(np.float32).astype(np.float64)
    one, none = np.ones(1), np.zeros(1)
    y, _, d_gamma, d_beta = passes(x, x, one, none, 1, False, np.float32)
    eps = np.finfo(np.float32).eps
    expected, _, d, s = plain(x, x, one, none, 1, False)
    np.testing.assert_allclose(y, expected, rtol=32 * eps)
    np.testing.assert_allclose([d_gamma, d_beta], [d, s], rtol=32 * eps)


@pytest.mark.parametrize("number", [0.1, 1e10, 1e35])
def test_equal_numbers_are_all_at_beta(number):
    """What rounding leaves of a mean is small beside √eps, or taken off as well."""
    for count in (3, 5, 7, 11, 100, 999):
        x = np.full((3, 2, count), number)
        y, *_ = passes(x, x / number, np.ones(2), np.full(2, 0.5), 1, True, np.float32)
        assert np.abs(y - 0.5).max() <= 1e-5


@pytest.mark.parametrize("spare", [0, 1e6])
def test_one_lane_says_nothing_of_another(spare):
    """A NaN, or numbers whose squares are too large, in the sample beside."""
    x = np.random.default_rng(0).normal(size=(4, 2, 5))
    one, none = np.ones(2), np.zeros(2)
    alone = passes(x[:2], x[:2], one, none, 1, True, np.float32)[0]
    x[2, 0, 3], x[3] = np.nan, 1e30 * x[3]
    y = passes(x, x, one, none, 1, True, np.float32, spare)[0]
    np.testing.assert_array_equal(y[:2], alone)
    assert np.isnan(y[2]).all()
    np.testing.assert_allclose(y[3], ref.group_norm(x[3], eps=0), rtol=1e-5, atol=1e-5)
