"""Moments over the lanes that hold a sample, and the sums of batch normalization's gradient."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import lanes
from minicnn.kernels import batch_norm as kernels
from tests.kernels.conv.test_correlate import (
    DTYPES,
    EXAMPLES,
    assert_close,
    normal_numbers,
    whole_numbers,
    with_one_and_two_threads,
)

SHAPES = (st.integers(1, 40), st.integers(1, 4), st.integers(1, 9))  # samples, channels, positions


def mask_of(samples, dtype):
    return lanes.pack(np.ones(samples), dtype)


def moments(x, dtype, spare=np.nan):
    """Mean and variance of ``(N, C, P)`` by the kernel; spare lanes hold `spare`."""
    packed, mask = lanes.pack(x, dtype), mask_of(len(x), dtype)
    np.copyto(packed, spare, where=(mask == 0)[:, None, None])
    mean, variance = np.full((2, x.shape[1]), np.nan)
    kernels.moments(packed, mask, float(x[:, 0].size), mean, variance)
    return mean, variance


@EXAMPLES
@given(*SHAPES, st.sampled_from(DTYPES), st.sampled_from([0, 7, 1e6, np.inf, np.nan]))
def test_moments_do_not_count_spare_lanes(samples, channels, positions, dtype, spare):
    rng = np.random.default_rng(samples)
    x = normal_numbers(rng, (samples, channels, positions)).astype(dtype).astype(np.float64)
    eps = np.finfo(dtype).eps
    mean, variance = moments(x, dtype, spare)
    assert np.abs(mean - x.mean(axis=(0, 2))).max() <= 10 * eps * np.abs(x).max()
    assert np.abs(variance - x.var(axis=(0, 2))).max() <= 10 * eps * np.abs(x).max() ** 2


@EXAMPLES
@given(*SHAPES, st.sampled_from(DTYPES))
def test_means_of_whole_numbers_are_exact(samples, channels, positions, dtype):
    x = whole_numbers(np.random.default_rng(samples), (samples, channels, positions))
    np.testing.assert_array_equal(moments(x, dtype)[0], x.sum(axis=(0, 2)) / (samples * positions))


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_variance_of_numbers_far_from_zero(dtype, tolerance):
    """Numbers of 1000 ± 1: a sum of squares less a square of the sum would leave nothing."""
    x = 1000 + np.random.default_rng(0).normal(size=(40, 3, 50))
    x = x.astype(dtype).astype(np.float64)
    assert_close(moments(x, dtype)[1], x.var(axis=(0, 2)), tolerance)


def gradients(x, dy, gamma, dtype, count):
    """dx, d_gamma and d_beta of ``(N, C, P)`` by the kernels, with spare lanes of x at 7."""
    mask = mask_of(len(x), dtype)
    packed, delta = lanes.pack(x, dtype), lanes.pack(dy, dtype)
    np.copyto(packed, 7, where=(mask == 0)[:, None, None])
    mean, inverse = x.mean(axis=(0, 2)), 1 / np.sqrt(x.var(axis=(0, 2)) + 0.1)
    d_gamma, d_beta = np.full((2, x.shape[1]), np.nan, dtype)
    kernels.gradient_sums(packed, delta, None, mean, inverse, d_gamma, d_beta)
    dx = np.full_like(packed, np.nan)
    gamma = gamma.astype(dtype)
    kernels.normalize_gradient(
        packed, delta, None, mask, mean, inverse, gamma, d_gamma, d_beta, count, dx
    )
    rows = lanes.unpack(dx, lanes.LANES * len(dx))
    assert not rows[len(x) :].any()
    return rows[: len(x)], d_gamma, d_beta, (x - mean[:, None]) * inverse[:, None], inverse


@EXAMPLES
@given(*SHAPES, st.sampled_from(DTYPES), st.booleans())
def test_gradient_is_the_formula(samples, channels, positions, dtype, training):
    rng = np.random.default_rng(samples)
    x, dy = (normal_numbers(rng, (samples, channels, positions)) for _ in range(2))
    gamma = rng.normal(size=channels)
    count = float(samples * positions) if training else np.inf
    dx, d_gamma, d_beta, x_hat, inverse = gradients(x, dy, gamma, dtype, count)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    size = np.abs(dy).max()  # what cancels in the sums
    assert np.abs(d_beta - dy.sum(axis=(0, 2))).max() <= tolerance * size * samples
    assert np.abs(d_gamma - (dy * x_hat).sum(axis=(0, 2))).max() <= tolerance * size * samples
    sums = dy.sum(axis=(0, 2))[:, None], (dy * x_hat).sum(axis=(0, 2))[:, None]
    expected = (gamma * inverse)[:, None] * (dy - sums[0] / count - x_hat * sums[1] / count)
    assert np.abs(dx - expected).max() <= tolerance * size * np.abs(gamma * inverse).max() * 4


def test_same_bits_with_one_and_two_threads():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 100, 5, 9))

    def results():
        return [*moments(x, np.float32), *gradients(x, dy, np.ones(5), np.float32, 900.0)]

    for one, two in zip(*with_one_and_two_threads(results)):
        np.testing.assert_array_equal(one, two)


def test_large_images_keep_their_digits():
    """Positive numbers: one float32 sum over 100,000 of them would lose three digits."""
    x = np.random.default_rng(0).uniform(size=(2, 1, 100_000)).astype(np.float32).astype(np.float64)
    mean, variance = moments(x, np.float32)
    eps = np.finfo(np.float32).eps
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2)), rtol=32 * eps)
    np.testing.assert_allclose(variance, x.var(axis=(0, 2)), rtol=32 * eps)
    packed = lanes.pack(x, np.float32)
    d_gamma, d_beta = np.empty((2, 1), np.float32)
    kernels.gradient_sums(packed, packed, None, np.zeros(1), np.ones(1), d_gamma, d_beta)
    np.testing.assert_allclose(d_beta, x.sum(axis=(0, 2)), rtol=32 * eps)
    np.testing.assert_allclose(d_gamma, np.square(x).sum(axis=(0, 2)), rtol=32 * eps)
