"""Forward sums of Conv2d and Dense against the reference, and the bits they promise."""

from typing import NamedTuple

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn import lanes
from minicnn import reference as ref
from minicnn.kernels.conv.correlate import TALL_ROWS, correlate
from minicnn.kernels.conv.geometry import dense_sum
from minicnn.kernels.conv.masked_copy import FEW, masked_copy
from minicnn.kernels.runtime.thread_pool import get_num_threads, set_num_threads
from minicnn.layers.conv import Conv2d
from minicnn.layers.dense import Dense
from tests import alone

EXAMPLES = settings(max_examples=30, deadline=None, derandomize=True, database=None)
DTYPES = [np.float32, np.float64]


class Convolution(NamedTuple):
    """The shapes and settings of a convolution, and how many samples it is given."""

    samples: int
    image: tuple  # (C, H, W)
    channels: int
    kernel_size: tuple
    settings: dict  # stride, padding, dilation and groups


@st.composite
def convolutions(draw):
    """Every kind of convolution that fits: 1 to 13 channels, all settings free."""
    kind = draw(st.sampled_from(["plain", "plain", "grouped", "depthwise"]))
    groups = 1 if kind == "plain" else draw(st.integers(2, 4 if kind == "grouped" else 13))
    most = 13 // groups
    c_in = 1 if kind == "depthwise" else draw(st.integers(1, most))
    c_out = draw(st.integers(1, most))
    two = st.tuples
    kernel_size = draw(two(st.integers(1, 4), st.integers(1, 4)))
    stride, dilation = (draw(two(st.integers(1, 3), st.integers(1, 3))) for _ in range(2))
    padding = draw(two(st.integers(0, 3), st.integers(0, 3)))
    sides = [(p, p) for p in padding]
    if draw(st.booleans()):
        padding = sides = tuple(draw(two(st.integers(0, 3), st.integers(0, 3))) for _ in range(2))
    least = [max(1, d * (k - 1) + 1 - sum(p)) for k, d, p in zip(kernel_size, dilation, sides)]
    size = [n + draw(st.integers(0, 5)) for n in least]
    free = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
    image = (groups * c_in, *size)
    return Convolution(draw(st.integers(1, 40)), image, groups * c_out, kernel_size, free)


def whole_numbers(rng, shape):
    """Small integers: sums of their products are exact in float32 and float64."""
    return rng.integers(-4, 5, shape).astype(np.float64)


def normal_numbers(rng, shape):
    return rng.normal(size=shape)


def built(layer, shape, numbers, dtype, seed=0):
    """The layer with weights and biases drawn anew, and the generator."""
    rng = np.random.default_rng(seed)
    layer.build(shape, rng, dtype)
    for parameter in layer.parameters():
        parameter.value[...] = numbers(rng, parameter.value.shape)
    return layer, rng


def convolution(case, numbers, dtype):
    """The layer of a case with its input, (N, C, H, W)."""
    layer = Conv2d(case.channels, case.kernel_size, **case.settings)
    layer, rng = built(layer, case.image, numbers, dtype)
    return layer, numbers(rng, (case.samples, *case.image)).astype(dtype)


def values(layer):
    return [parameter.value for parameter in layer.parameters()]


def forward(layer, x):
    """What the layer makes of ordinary arrays, as a copy."""
    return lanes.unpack(alone.forward(layer, lanes.pack(x, x.dtype)), len(x))


def assert_close(result, expected, tolerance):
    """Within `tolerance` of the largest number expected."""
    error = np.abs(result - expected).max()
    assert error <= tolerance * np.abs(expected).max(), error


def with_one_and_two_threads(function):
    """What `function` returns with one thread, and what with two."""
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("needs two threads")
    results, before = [], get_num_threads()
    try:
        for count in (1, 2):
            set_num_threads(count)
            results.append(function())
    finally:
        set_num_threads(before)
    return results


@EXAMPLES
@given(convolutions(), st.sampled_from(DTYPES))
def test_convolution_of_whole_numbers_is_exactly_the_references(case, dtype):
    layer, x = convolution(case, whole_numbers, dtype)
    z = forward(layer, x)
    assert z.dtype == dtype
    for n in range(case.samples):
        np.testing.assert_array_equal(z[n], ref.correlate(x[n], *values(layer), **case.settings))


@EXAMPLES
@given(convolutions())
def test_convolution_is_the_references_to_rounding(case):
    layer, x = convolution(case, normal_numbers, np.float64)
    single, _ = convolution(case, normal_numbers, np.float32)
    expected = np.stack([ref.correlate(a, *values(layer), **case.settings) for a in x])
    assert_close(forward(layer, x), expected, 1e-12)
    assert_close(forward(single, x.astype(np.float32)), expected, 1e-5)


@EXAMPLES
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 20), st.sampled_from(DTYPES))
def test_dense_of_whole_numbers_is_exactly_the_references(samples, features, outputs, dtype):
    layer, rng = built(Dense(outputs), (features,), whole_numbers, dtype)
    x = whole_numbers(rng, (samples, features)).astype(dtype)
    expected = [ref.dense(row, *values(layer)) for row in x]
    np.testing.assert_array_equal(forward(layer, x), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("outputs", range(4 * TALL_ROWS - 1, 5 * TALL_ROWS + 1))
def test_tall_tiles_and_the_outputs_that_are_left(outputs, groups, dtype):
    """All outputs are written, and nothing behind them."""
    rng = np.random.default_rng(0)
    x, weight, bias = (
        whole_numbers(rng, shape).astype(dtype)
        for shape in [(groups, 19, lanes.LANES), (outputs, 19), outputs]
    )
    found, size = dense_sum(19, outputs, groups, x.itemsize), groups * outputs * lanes.LANES
    y = np.full(size + TALL_ROWS * lanes.LANES, np.nan, dtype)
    flat = x.reshape(-1), weight.reshape(-1), bias, y
    correlate(*flat, found.walk.numbers(), *found.terms, False)
    expected = weight @ x + bias[:, None]
    np.testing.assert_array_equal(y[:size].reshape(expected.shape), expected)
    assert np.isnan(y[size:]).all()


@EXAMPLES
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 20))
def test_dense_is_the_references_to_rounding(samples, features, outputs):
    layer, rng = built(Dense(outputs), (features,), normal_numbers, np.float64)
    single, _ = built(Dense(outputs), (features,), normal_numbers, np.float32)
    x = rng.normal(size=(samples, features))
    expected = np.stack([ref.dense(row, *values(layer)) for row in x])
    assert_close(forward(layer, x), expected, 1e-12)
    assert_close(forward(single, x.astype(np.float32)), expected, 1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layer", [Conv2d, Dense])
def test_bias_is_added_once_or_not_at_all(layer, bias):
    shape = (2, 1, 1) if layer is Conv2d else (2,)
    layer = layer(3, 1, bias=bias) if layer is Conv2d else layer(3, bias=bias)
    built(layer, shape, whole_numbers, np.float64)
    z = forward(layer, np.zeros((1, *shape)))[0].ravel()
    expected = values(layer)[1] if bias else np.zeros(3)
    assert len(values(layer)) == 1 + bias
    np.testing.assert_array_equal(z, expected)


def small_layers(dtype):
    """A convolution and a dense layer, each with an input."""
    rng = np.random.default_rng(1)
    for layer, shape in (
        (Conv2d(7, (3, 2), padding=1, stride=(1, 2)), (2, 5, 6)),
        (Dense(7), (20,)),
    ):
        yield (
            built(layer, shape, normal_numbers, dtype)[0],
            rng.normal(size=(18, *shape)).astype(dtype),
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_fused_relu_is_a_relu_that_hides_no_nan(dtype):
    for layer, x in small_layers(dtype):
        x[3, 0] = np.nan
        z = forward(layer, x)
        a = alone.before_a_relu(layer).predict(x)
        assert np.isnan(a[3]).any() and (a == 0).any() and (a > 0).any()
        np.testing.assert_array_equal(a, ref.activation("relu", z))


def test_a_smaller_batch_after_a_larger_one():
    """Buffers are kept from call to call: nothing of the larger batch may shine through."""
    case = Convolution(40, (2, 5, 4), 3, (3, 2), {"padding": (1, 2)})
    layer, x = convolution(case, normal_numbers, np.float64)
    whole = forward(layer, x)
    np.testing.assert_array_equal(forward(layer, x[30:33]), whole[30:33])


# Bits.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", range(1, 14))
def test_equal_weights_give_equal_bits_in_every_channel(channels, dtype):
    """That keeps tied units tied, whatever tile a channel falls into."""
    rng = np.random.default_rng(channels)
    x = rng.normal(size=(18, 3, 6, 7)).astype(dtype)
    layer, alone = (
        built(Conv2d(c, (2, 3), padding=1), x.shape[1:], normal_numbers, dtype)[0]
        for c in (channels, 1)
    )
    for one, many in zip(values(alone), values(layer)):
        many[...] = one
    z = forward(layer, x)
    np.testing.assert_array_equal(z, np.broadcast_to(forward(alone, x), z.shape))

    flat = x.reshape(18, -1)
    layer, alone = (
        built(Dense(outputs), flat.shape[1:], normal_numbers, dtype)[0] for outputs in (channels, 1)
    )
    for one, many in zip(values(alone), values(layer)):
        many[...] = one
    z = forward(layer, flat)
    np.testing.assert_array_equal(z, np.broadcast_to(forward(alone, flat), z.shape))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", range(2, 12))
def test_bits_depend_neither_on_the_place_in_the_image_nor_in_the_batch(width, dtype):
    layer, rng = built(Conv2d(8, (1, 2)), (3, 2, width), normal_numbers, dtype)
    x = np.broadcast_to(rng.normal(size=(3, 1, 1)), (35, 3, 2, width)).astype(dtype)
    z = forward(layer, x)
    np.testing.assert_array_equal(z, np.broadcast_to(z[:1, :, :1, :1], z.shape))
    layer, rng = built(Dense(8), (width,), normal_numbers, dtype)
    x = np.broadcast_to(rng.normal(size=width), (35, width)).astype(dtype)
    z = forward(layer, x)
    np.testing.assert_array_equal(z, np.broadcast_to(z[:1], z.shape))


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_with_one_and_two_threads(dtype):
    case = Convolution(40, (5, 9, 8), 13, (3, 3), {"padding": (1, 1)})
    layer, x = convolution(case, normal_numbers, dtype)
    dense, _ = built(Dense(13), (360,), normal_numbers, dtype)
    for run in (lambda: forward(layer, x), lambda: forward(dense, x.reshape(40, -1))):
        np.testing.assert_array_equal(*with_one_and_two_threads(run))


# Copies into the middle of larger images.


@pytest.mark.parametrize("border", [False, True])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_masked_copy_stands_within_zeros_or_leaves_what_is_there(dtype, groups, gated, border):
    assert groups * 3 <= FEW or groups == 2  # images that are cut, and that are not
    x, mask = np.random.default_rng(0).normal(size=(2, groups, 3, 4, 5, 16)).astype(dtype)
    mask[0, 0, 0, 0, :3] = 0, -0.0, np.nan  # 0 is not above 0, and NaN hides nothing
    out = np.full((groups, 3, 7, 9, 16), 7, dtype)
    masked_copy(x, mask if gated else None, out, 2, 3, border)
    expected = np.full_like(out, 0 if border else 7)
    expected[:, :, 2:6, 3:8] = np.where((mask > 0) | np.isnan(mask) | (not gated), x, 0)
    np.testing.assert_array_equal(out, expected)
