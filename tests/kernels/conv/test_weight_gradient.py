"""Gradients of Conv2d and Dense against the reference, and the bits they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import lanes
from minicnn import reference as ref
from minicnn.kernels.conv.weight_gradient import ROWS, TERMS, slice_count
from minicnn.layers.conv import Conv2d
from minicnn.layers.dense import Dense
from tests import alone
from tests.kernels.conv.test_correlate import (
    DTYPES,
    EXAMPLES,
    Convolution,
    assert_close,
    built,
    convolution,
    convolutions,
    forward,
    normal_numbers,
    small_layers,
    values,
    whole_numbers,
    with_one_and_two_threads,
)


def backward(layer, delta):
    """dE/dx, in ordinary arrays, and the parameters' gradients; all copies."""
    packed = alone.backward(layer, lanes.pack(delta, delta.dtype))
    rows = lanes.unpack(packed, len(packed) * lanes.LANES)
    assert not rows[len(delta) :].any()  # spare lanes
    return [rows[: len(delta)], *(parameter.grad.copy() for parameter in layer.parameters())]


def gradients(layer, x, delta):
    forward(layer, x)
    return backward(layer, delta)


def convolution_reference(layer, x, delta, settings):
    """The same three gradients by the documented equations, summed over the samples."""
    w = values(layer)[0]
    return [
        np.stack([ref.conv_input_gradient(d, w, x.shape[1:], **settings) for d in delta]),
        sum(ref.conv_weight_gradient(d, a, w.shape, **settings) for d, a in zip(delta, x)),
        sum(ref.conv_bias_gradient(d) for d in delta),
    ]


def dense_reference(layer, x, delta):
    w = values(layer)[0]
    return [
        np.stack([ref.dense_input_gradient(d, w) for d in delta]),
        sum(ref.dense_weight_gradient(d, a) for d, a in zip(delta, x)),
        delta.sum(axis=0),
    ]


@EXAMPLES
@given(convolutions(), st.sampled_from(DTYPES))
def test_gradients_of_whole_numbers_are_exactly_the_references(case, dtype):
    layer, x = convolution(case, whole_numbers, dtype)
    delta = whole_numbers(np.random.default_rng(1), (case.samples, *layer.output_shape))
    delta = delta.astype(dtype)
    found = gradients(layer, x, delta)
    for mine, theirs in zip(found, convolution_reference(layer, x, delta, case.settings)):
        assert mine.dtype == dtype
        np.testing.assert_array_equal(mine, theirs)


@EXAMPLES
@given(convolutions())
def test_gradients_are_the_references_to_rounding(case):
    layer, x = convolution(case, normal_numbers, np.float64)
    single, _ = convolution(case, normal_numbers, np.float32)
    delta = np.random.default_rng(1).normal(size=(case.samples, *layer.output_shape))
    expected = convolution_reference(layer, x, delta, case.settings)
    halves = gradients(single, x.astype(np.float32), delta.astype(np.float32))
    for mine, half, theirs in zip(gradients(layer, x, delta), halves, expected):
        assert_close(mine, theirs, 1e-12)
        assert_close(half, theirs, 1e-4)


@EXAMPLES
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 20), st.sampled_from(DTYPES))
def test_dense_gradients_of_whole_numbers_are_exactly_the_references(
    samples, features, outputs, dtype
):
    layer, rng = built(Dense(outputs), (features,), whole_numbers, dtype)
    x = whole_numbers(rng, (samples, features)).astype(dtype)
    delta = whole_numbers(rng, (samples, outputs)).astype(dtype)
    for mine, theirs in zip(gradients(layer, x, delta), dense_reference(layer, x, delta)):
        np.testing.assert_array_equal(mine, theirs)


@EXAMPLES
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 20))
def test_dense_gradients_are_the_references_to_rounding(samples, features, outputs):
    layer, rng = built(Dense(outputs), (features,), normal_numbers, np.float64)
    single, _ = built(Dense(outputs), (features,), normal_numbers, np.float32)
    x, delta = rng.normal(size=(samples, features)), rng.normal(size=(samples, outputs))
    halves = gradients(single, x.astype(np.float32), delta.astype(np.float32))
    expected = dense_reference(layer, x, delta)
    for mine, half, theirs in zip(gradients(layer, x, delta), halves, expected):
        assert_close(mine, theirs, 1e-12)
        assert_close(half, theirs, 1e-4)


def test_input_pixels_that_no_window_reaches_get_exactly_zero():
    """Strides beyond the kernel leave pixels out, and so does a last row that does not fit."""
    case = Convolution(3, (2, 9, 8), 3, (2, 1), {"stride": (3, 3)})
    layer, x = convolution(case, normal_numbers, np.float64)
    delta = lanes.pack(np.ones((3, *layer.output_shape)), np.float64)
    forward(layer, x)
    alone.backward(layer, delta)[...] = 7  # the plan's own array, which it uses again
    dx = lanes.unpack(alone.backward(layer, delta), 3)
    assert not dx[:, :, 2::3].any() and not dx[..., 1::3].any() and not dx[..., 2::3].any()
    assert dx[:, :, [0, 1, 3, 4, 6, 7]][..., ::3].all()


def test_no_input_gradient_where_nobody_reads_it():
    for (layer, x), (first, _) in zip(small_layers(np.float64), small_layers(np.float64)):
        delta = np.random.default_rng(2).normal(size=(len(x), *layer.output_shape))
        _, *expected = gradients(layer, x, delta)
        first.needs_input_gradient = False
        built(first, x.shape[1:], normal_numbers, np.float64)
        forward(first, x)
        assert alone.backward(first, lanes.pack(delta, np.float64)) is None
        for parameter, grad in zip(first.parameters(), expected):
            np.testing.assert_array_equal(parameter.grad, grad)


@pytest.mark.parametrize("needed", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_fused_relu_is_a_relu_on_the_way_back(dtype, needed):
    for layer, x in small_layers(dtype):
        layer.needs_input_gradient = needed
        built(layer, x.shape[1:], normal_numbers, dtype)
        delta = np.random.default_rng(2).normal(size=(len(x), *layer.output_shape)).astype(dtype)
        behind = ref.activation_gradient("relu", forward(layer, x), delta)
        dx = alone.backward(layer, lanes.pack(behind, dtype))
        expected = [None if dx is None else dx.copy(), *(p.grad.copy() for p in layer.parameters())]
        model = alone.before_a_relu(layer)
        model.forward(lanes.pack(x, dtype))
        dx = model.backward(lanes.pack(delta, dtype))
        assert (dx is not None) == needed
        for mine, theirs in zip([dx, *(p.grad for p in layer.parameters())], expected):
            np.testing.assert_array_equal(mine, theirs)


def test_gradients_are_overwritten_and_a_smaller_batch_leaves_no_trace():
    case = Convolution(40, (2, 5, 4), 3, (3, 2), {"padding": (1, 2), "stride": (2, 1)})
    layer, x = convolution(case, normal_numbers, np.float64)
    fresh, _ = convolution(case, normal_numbers, np.float64)
    delta = np.random.default_rng(1).normal(size=(40, *layer.output_shape))
    gradients(layer, x, delta)
    after, alone = (gradients(net, x[:3], delta[:3]) for net in (layer, fresh))
    for one, other in zip(after, alone):
        np.testing.assert_array_equal(one, other)


# Bits.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", range(1, 14))
def test_equal_units_have_equal_bits_in_their_gradients(channels, dtype):
    """Equal delta gives equal rows of dW and db, equal input gives equal columns of dW."""
    rng = np.random.default_rng(channels)
    for layer, shape in (
        (Conv2d(channels, (2, 3), padding=1), (5, 4, 7)),
        (Dense(channels), (37,)),
    ):
        layer, _ = built(layer, shape, normal_numbers, dtype)
        x = rng.normal(size=(35, *shape))
        delta = rng.normal(size=(35, *layer.output_shape))
        tied_x, tied_delta = x * 0 + x[:, :1], delta * 0 + delta[:, :1]
        _, dw, db = gradients(layer, x.astype(dtype), tied_delta.astype(dtype))
        np.testing.assert_array_equal(dw, np.broadcast_to(dw[:1], dw.shape))
        np.testing.assert_array_equal(db, np.broadcast_to(db[:1], db.shape))
        _, dw, _ = gradients(layer, tied_x.astype(dtype), delta.astype(dtype))
        np.testing.assert_array_equal(dw, np.broadcast_to(dw[:, :1], dw.shape))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", range(1, 14))
def test_equal_outgoing_weights_give_equal_bits_of_delta(channels, dtype):
    rng = np.random.default_rng(channels)
    for layer, shape in ((Conv2d(4, (2, 3), stride=2), (channels, 5, 7)), (Dense(4), (channels,))):
        layer, _ = built(layer, shape, normal_numbers, dtype)
        w = values(layer)[0]
        w[...] = w[:, :1].copy()
        x, delta = rng.normal(size=(18, *shape)), rng.normal(size=(18, *layer.output_shape))
        dx = gradients(layer, x.astype(dtype), delta.astype(dtype))[0]
        np.testing.assert_array_equal(dx, np.broadcast_to(dx[:, :1], dx.shape))


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_with_one_and_two_threads(dtype):
    """With several slices of the batch and several tasks each, which threads share."""
    case = Convolution(100, (5, 9, 8), 13, (3, 3), {"padding": (1, 1)})
    assert slice_count(lanes.group_count(100), 1, 13, 45) > 1
    layer, x = convolution(case, normal_numbers, dtype)
    dense, rng = built(Dense(13), (360,), normal_numbers, dtype)
    delta = rng.normal(size=(100, *layer.output_shape)).astype(dtype)
    calls = (
        lambda: gradients(layer, x, delta),
        lambda: gradients(dense, x.reshape(100, -1), delta[:, :, 0, 0]),
    )
    for call in calls:
        for one, two in zip(*with_one_and_two_threads(call)):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("lane_groups", [1, 3, 40])
@pytest.mark.parametrize("channels", [1, 2 * ROWS, 200])
def test_slices_are_at_least_one_and_none_is_empty(lane_groups, channels):
    for terms in (1, TERMS, 1000):
        assert 1 <= slice_count(lane_groups, 1, channels, terms) <= lane_groups
