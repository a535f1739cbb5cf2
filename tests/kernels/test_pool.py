"""Pooling and its gradients against the reference: every window, stride, padding, and ties."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import lanes
from minicnn import reference as ref
from minicnn.kernels import general_pool, pool
from tests.kernels.conv.test_correlate import (
    DTYPES,
    EXAMPLES,
    assert_close,
    normal_numbers,
    with_one_and_two_threads,
)


class Pooling(NamedTuple):
    """The shape of a batch and where the window goes."""

    samples: int
    image: tuple  # (C, H, W)
    window: tuple  # kernel_size, stride and padding

    def apart(self):
        """Whether the windows lie side by side, from the image's edge on."""
        kernel_size, stride, padding = self.window
        return kernel_size == stride and padding == (0, 0)

    def output_shape(self):
        return ref.max_pool(np.zeros(self.image), *self.window).shape


@st.composite
def poolings(draw):
    """Every window that fits, padded by at most half of it; strides below and beyond it.

    Many are two pixels wide and high, and many lie side by side: those have ways of their own.
    """
    kernel_size = draw(st.just((2, 2)) | st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.just(kernel_size) | st.tuples(st.integers(1, 5), st.integers(1, 5)))
    most = draw(st.sampled_from((0, 2)))
    padding = tuple(draw(st.integers(0, min(most, k // 2))) for k in kernel_size)
    size = [max(1, k - 2 * p) + draw(st.integers(0, 6)) for k, p in zip(kernel_size, padding)]
    image = (draw(st.integers(1, 3)), *size)
    return Pooling(draw(st.integers(1, 20)), image, (kernel_size, stride, padding))


def few_numbers(rng, shape):
    """Many equal ones, all below zero."""
    return rng.integers(-4, 0, shape).astype(np.float64)


def pooled(kind, case, x, delta, relu=False):
    """y and dx of a kind, "max" or "average", by the kernels."""
    packed, dy = lanes.pack(x, x.dtype), lanes.pack(delta, x.dtype)
    y, dx = np.full_like(dy, np.nan), np.full_like(packed, np.nan)
    if kind == "max":
        pool.max_pool(packed, y, *case.window, relu)
        pool.max_pool_gradient(packed, y, dy, dx, *case.window, relu, False)
        if case.apart():
            pool.max_pool_gradient(packed, y, dy, packed, *case.window, relu, True)
            np.testing.assert_array_equal(packed, dx)
    else:
        pool.average_pool(packed, y, *case.window)
        pool.average_pool_gradient(dy, dx, *case.window)
    return lanes.unpack(y, len(x)), lanes.unpack(dx, len(x))


def numbers(case, draw, dtype, seed=0):
    rng = np.random.default_rng(seed)
    shapes = case.image, case.output_shape()
    return [draw(rng, (case.samples, *shape)).astype(dtype) for shape in shapes]


@EXAMPLES
@given(poolings(), st.sampled_from(DTYPES))
def test_maxima_and_who_gets_the_gradient_among_equals(case, dtype):
    x, delta = numbers(case, few_numbers, dtype)
    y, dx = pooled("max", case, x, delta)
    assert y.dtype == dx.dtype == dtype
    for n in range(case.samples):
        np.testing.assert_array_equal(y[n], ref.max_pool(x[n], *case.window))
        np.testing.assert_array_equal(dx[n], ref.max_pool_gradient(delta[n], x[n], *case.window))


@EXAMPLES
@given(poolings())
def test_maxima_of_different_numbers(case):
    x, delta = numbers(case, normal_numbers, np.float64)
    y, dx = pooled("max", case, x, delta)
    expected = [ref.max_pool_gradient(d, a, *case.window) for d, a in zip(delta, x)]
    np.testing.assert_array_equal(y, [ref.max_pool(a, *case.window) for a in x])
    assert_close(dx, np.stack(expected), 1e-15 * np.prod(case.window[0]))


@EXAMPLES
@given(poolings(), st.sampled_from(DTYPES))
def test_rectified_maxima_are_those_of_a_relu_before(case, dtype):
    x, delta = numbers(case, lambda rng, shape: rng.integers(-3, 4, shape), dtype)
    y, dx = pooled("max", case, x, delta, relu=True)
    for n in range(case.samples):
        a = ref.activation("relu", x[n])
        da = ref.max_pool_gradient(delta[n], a, *case.window)
        np.testing.assert_array_equal(y[n], ref.max_pool(a, *case.window))
        np.testing.assert_array_equal(dx[n], ref.activation_gradient("relu", x[n], da))


@EXAMPLES
@given(poolings())
def test_averages_count_the_padding_as_zero(case):
    x, delta = numbers(case, normal_numbers, np.float64)
    y = np.stack([ref.average_pool(a, *case.window) for a in x])
    dx = np.stack([ref.average_pool_gradient(d, case.image, *case.window) for d in delta])
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        found = pooled("average", case, x.astype(dtype), delta.astype(dtype))
        assert found[0].dtype == found[1].dtype == dtype
        assert np.abs(found[0] - y).max() <= tolerance * np.abs(x).max()
        assert_close(found[1], dx, tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_place_of_a_window_can_be_the_maximum_or_nan(dtype):
    """Sixteen samples, each with one pixel of a 4x4 window that stands out."""
    case = Pooling(16, (1, 4, 4), ((4, 4), (4, 4), (0, 0)))
    one = np.eye(16, dtype=dtype).reshape(16, 1, 4, 4)
    y, dx = pooled("max", case, one - 5, np.full((16, 1, 1, 1), 7, dtype))
    assert (y == -4).all()
    np.testing.assert_array_equal(dx, 7 * one)
    nan, ones = np.where(one == 1, dtype(np.nan), one), np.ones((16, 1, 1, 1), dtype)
    for kind, relu in (("max", False), ("max", True), ("average", False)):
        y, dx = pooled(kind, case, nan, ones, relu)
        assert np.isnan(y).all()
        np.testing.assert_array_equal(dx, one if kind == "max" else np.full_like(one, 1 / 16))


@pytest.mark.parametrize("relu", [False, True])
def test_a_nan_among_zeros_and_infinities_gets_the_gradient(relu):
    case = Pooling(3, (1, 1, 4), ((1, 4), (1, 4), (0, 0)))
    nan, inf = np.nan, np.inf
    x = np.array([[0, -0.0, nan, inf], [nan, nan, 1, nan], [-inf, 1, 2, nan]]).reshape(3, 1, 1, 4)
    y, dx = pooled("max", case, x, np.ones((3, 1, 1, 1)), relu)
    assert np.isnan(y).all()
    assert dx.reshape(3, 4).tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]


def test_equal_zeros_of_either_sign():
    case = Pooling(2, (1, 1, 2), ((1, 2), (1, 2), (0, 0)))
    x = np.array([[0.0, -0.0], [-0.0, 0.0]]).reshape(2, 1, 1, 2)
    _, dx = pooled("max", case, x, np.ones((2, 1, 1, 1)))
    assert dx.reshape(2, 2).tolist() == [[1, 0], [1, 0]]


def test_infinities_are_numbers_like_others():
    case = Pooling(3, (1, 1, 4), ((1, 2), (1, 2), (0, 0)))
    inf = np.inf
    x = np.array([[inf, 1, -inf, -inf], [-inf, inf, 2, -inf], [inf, inf, -inf, 0]])
    x = x.reshape(3, 1, 1, 4)
    y, dx = pooled("max", case, x, np.ones((3, 1, 1, 2)))
    assert y.reshape(3, 2).tolist() == [[inf, -inf], [inf, 2], [inf, 0]]
    assert dx.reshape(3, 4).tolist() == [[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]]


@pytest.mark.parametrize("kind", ["max", "average"])
def test_same_bits_with_one_and_two_threads(kind):
    case = Pooling(40, (5, 9, 8), ((3, 3), (1, 2), (1, 1)))
    x, delta = numbers(case, normal_numbers, np.float32)
    one, two = with_one_and_two_threads(lambda: pooled(kind, case, x, delta))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


def test_general_pools_agree_with_the_plain_ones_and_on_any_number_of_threads():
    case = Pooling(40, (5, 9, 8), ((3, 3), (1, 2), (1, 1)))
    x, delta = numbers(case, normal_numbers, np.float64)
    packed, dy = lanes.pack(x, np.float64), lanes.pack(delta, np.float64)

    def general():
        found = [np.full_like(a, np.nan) for a in (dy, packed, dy, packed)]
        most, d_most, mean, d_mean = found
        general_pool.dilated_max_pool(packed, most, *case.window, (1, 1), True)
        general_pool.dilated_max_pool_gradient(packed, most, dy, d_most, *case.window, (1, 1), True)
        general_pool.counted_average_pool(packed, mean, *case.window, True)
        general_pool.counted_average_pool_gradient(dy, d_mean, *case.window, True)
        return [lanes.unpack(a, 40) for a in found]

    one, two = with_one_and_two_threads(general)
    plain = [*pooled("max", case, x, delta, relu=True), *pooled("average", case, x, delta)]
    for first, second, third in zip(one, two, plain):
        np.testing.assert_array_equal(first, second)
        assert_close(first, third, 1e-14)


@pytest.mark.parametrize("size", [(300, 400), (2, 3000), (3000, 2)])
def test_the_mean_of_a_large_window_keeps_its_digits(size):
    x = np.random.default_rng(0).uniform(size=(3, 1, *size)).astype(np.float32)
    y = np.empty((1, 1, 1, 1, 16), np.float32)
    pool.average_pool(lanes.pack(x), y, size, size, (0, 0))
    expected = x.mean(axis=(1, 2, 3), dtype=np.float64)
    np.testing.assert_allclose(lanes.unpack(y, 3)[:, 0, 0, 0], expected, rtol=32 * 2**-23)
