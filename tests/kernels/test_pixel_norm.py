"""Normalization of each pixel over its channels: kernels beside plain NumPy, a lane at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import lanes
from minicnn import reference as ref
from minicnn.kernels import pixel_norm as kernels
from tests.kernels.conv.test_correlate import DTYPES, EXAMPLES, with_one_and_two_threads

EPS = 1e-6


def passes(x, dy, gamma, beta, dtype, spare=7):
    """y, dx, d_gamma and d_beta of ``(N, C, P)``, with spare lanes of x at `spare`."""
    packed, delta = lanes.pack(x, dtype), lanes.pack(dy, dtype)
    np.copyto(packed, spare, where=(lanes.pack(np.ones(len(x)), dtype) == 0)[:, None, None])
    moments = np.full((len(packed), x.shape[2], 2, 16), np.nan, dtype)
    y, dx = np.full((2, *packed.shape), np.nan, dtype)
    gamma, beta = gamma.astype(dtype), beta.astype(dtype)
    kernels.normalize(packed, gamma, beta, np.array([EPS]), moments, y)
    d_gamma, d_beta = np.full((2, len(gamma)), np.nan, dtype)
    kernels.gradient_sums(packed, delta, moments, d_gamma, d_beta)
    kernels.normalize_gradient(packed, delta, gamma, moments, dx)
    over = delta.copy()
    kernels.normalize_gradient(packed, over, gamma, moments, over)
    np.testing.assert_array_equal(over, dx)
    rows = lanes.unpack(dx, 16 * len(dx))
    assert not rows[len(x) :].any()
    return lanes.unpack(y, len(x)), rows[: len(x)], d_gamma, d_beta


def plain(x, dy, gamma, beta):
    """The reference's, which takes images: of one row."""
    images, deltas = x[:, :, None], dy[:, :, None]
    y = np.stack([ref.layer_norm_2d(one, gamma, beta, EPS) for one in images])
    each = [ref.layer_norm_2d_gradients(d, one, gamma, EPS) for d, one in zip(deltas, images)]
    dx, d_gamma, d_beta = (np.stack(arrays) for arrays in zip(*each))
    return y[:, :, 0], dx[:, :, 0], d_gamma.sum(0), d_beta.sum(0)


@EXAMPLES
@given(st.integers(1, 40), st.integers(2, 40), st.integers(1, 60), st.sampled_from(DTYPES))
def test_all_is_as_plain_numpy_has_it(samples, channels, pixels, dtype):
    rng = np.random.default_rng(samples)
    x, dy = rng.normal(size=(2, samples, channels, pixels)).astype(dtype).astype(np.float64)
    gamma, beta = rng.normal(size=(2, channels)).astype(dtype).astype(np.float64)
    found, expected = passes(x, dy, gamma, beta, dtype), plain(x, dy, gamma, beta)
    # A deviation may be small by chance, and dx is divided by it: each is as good as its terms.
    deviation = np.sqrt(x.var(1) + EPS).min()
    sizes = 1 / deviation, np.abs(dy).max() / deviation**2, samples * pixels / deviation
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    for one, other, size in zip(found, expected, (*sizes, samples * pixels)):
        assert np.abs(one - other).max() <= tolerance * max(size, 1)


@pytest.mark.parametrize(("channels", "pixels"), [(2, 3000), (3000, 2), (512, 5), (96, 700)])
def test_blocks_that_are_whole_and_rests(channels, pixels):
    """Some 2048 vectors are a block: many pixels of few channels, or one of many."""
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 18, channels, pixels))
    if channels == 2:
        x[:, 1] = x[:, 0] + 1  # a deviation of 1/2
    gamma, beta = rng.normal(size=(2, channels))
    expected = plain(x, dy, gamma, beta)
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        found = passes(x, dy, gamma, beta, dtype)
        for one, other in zip(found, expected):
            assert np.abs(one - other).max() <= tolerance * max(20, np.abs(other).max())


def test_same_bits_with_one_and_two_threads():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 100, 300, 7))

    def results():
        return passes(x, dy, np.ones(300), np.ones(300), np.float32)

    for one, two in zip(*with_one_and_two_threads(results)):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("spare", [0, 1e6])
def test_one_lane_and_pixel_says_nothing_of_another(spare):
    """A NaN, or numbers whose squares are too large, in the sample or pixel beside."""
    x = np.random.default_rng(0).normal(size=(4, 5, 3))
    one, none = np.ones(5), np.zeros(5)
    alone = passes(x[:2], x[:2], one, none, np.float32)[0]
    x[2, 3, 0], x[3], x[1, :, 2] = np.nan, 1e30 * x[3], np.inf
    y = passes(x, x, one, none, np.float32, spare)[0]
    np.testing.assert_array_equal(y[0], alone[0])
    np.testing.assert_array_equal(y[1, :, :2], alone[1, :, :2])
    assert np.isnan(y[2, :, 0]).all() and np.isfinite(y[2, :, 1:]).all()
    expected = ref.layer_norm_2d(x[3][:, None], eps=0)[:, 0]
    np.testing.assert_allclose(y[3], expected, rtol=1e-5, atol=1e-5)
