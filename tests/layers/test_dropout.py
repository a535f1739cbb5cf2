"""Dropout: what is left out, how often, and how it is made up for."""

import numpy as np
import pytest

from minicnn import lanes
from minicnn.errors import ArgumentError
from minicnn.layers import Dropout, Dropout2d
from minicnn.models import Sequential
from tests.kernels.conv.test_correlate import DTYPES


def built(p, seed=0, dtype=np.float64, shape=(50,)):
    model = Sequential(Dropout(p))
    model.initialize(shape, seed, dtype, input_gradient=True)
    return model


def ones(samples, dtype=np.float64, shape=(50,)):
    return lanes.pack(np.ones((samples, *shape), dtype), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_that_is_dropped_and_scale_of_the_others(p, dtype):
    y = built(p, dtype=dtype).forward(ones(1600, dtype), training=True)
    kept = y != 0
    assert np.unique(y[kept]) == [np.array(1 / (1 - p)).astype(dtype)]
    error = np.sqrt(p * (1 - p) / y.size)
    assert abs(np.mean(~kept) - p) < 5 * error
    assert abs(y.mean() - 1) < 5 * error / (1 - p)
    # Neighbours, in every direction, are dropped independently.
    for axis in range(3):
        both = ~kept & ~np.roll(kept, 1, axis)
        assert abs(both.mean() - p * p) < 5 * np.sqrt(p * p * (1 - p * p) * 2 / y.size)


def test_backward_leaves_out_what_forward_left_out():
    model = built(0.4)
    x, dy = np.random.default_rng(1).normal(size=(2, 3, 50, 16))
    for _ in range(2):
        y = model.forward(x, training=True)
        np.testing.assert_array_equal(model.backward(dy), dy * (y != 0) / 0.6)
        np.testing.assert_array_equal(y, x * (y != 0) / 0.6)


def test_every_pass_drops_anew_and_a_seed_repeats_them_all():
    (a, b), again, other = (
        [model.forward(ones(40), training=True).copy() for _ in range(2)]
        for model in (built(0.5), built(0.5), built(0.5, seed=1))
    )
    assert (a != b).any() and (a != other[0]).any()
    np.testing.assert_array_equal(again, [a, b])


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0, True)])
def test_evaluation_and_p_of_zero_do_nothing(p, training):
    model = built(p)
    x, dy = np.random.default_rng(1).normal(size=(2, 3, 50, 16))
    model.forward(ones(40), training=True)
    np.testing.assert_array_equal(model.forward(x, training), x)
    np.testing.assert_array_equal(model.backward(dy), dy)


@pytest.mark.parametrize("p", [1, -0.1, 2, np.nan, "0.5", None, True])
def test_p_out_of_range(p):
    with pytest.raises(ArgumentError, match=r"^Dropout: p must be in \[0, 1\), got"):
        Dropout(p)


def test_description():
    assert Dropout(0.25).describe() == "p 0.25"


def channels(p, seed=0, dtype=np.float64):
    model = Sequential(Dropout2d(p))
    model.initialize((50, 3, 2), seed, dtype, input_gradient=True)
    return model


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.1, 0.9])
def test_whole_channels_are_dropped(p, dtype):
    y = channels(p, dtype=dtype).forward(ones(1600, dtype, (50, 3, 2)), training=True)
    kept = y[:, :, 0, 0] != 0
    np.testing.assert_array_equal(y != 0, np.broadcast_to(kept[:, :, None, None], y.shape))
    assert np.unique(y[y != 0]) == [np.array(1 / (1 - p)).astype(dtype)]
    assert abs(np.mean(~kept) - p) < 5 * np.sqrt(p * (1 - p) / kept.size)
    for axis in range(3):  # channels, and samples, independently
        both = ~kept & ~np.roll(kept, 1, axis)
        assert abs(both.mean() - p * p) < 5 * np.sqrt(p * p * (1 - p * p) * 2 / kept.size)


def test_channels_backwards_in_evaluation_and_again():
    model, again = channels(0.4), channels(0.4)
    x, dy = np.random.default_rng(1).normal(size=(2, 3, 50, 3, 2, 16))
    masks = []
    for _ in range(2):
        y = model.forward(x, training=True).copy()
        factor = model.dtype.type(1 / 0.6)
        np.testing.assert_array_equal(model.backward(dy), dy * (y != 0) * factor)
        np.testing.assert_array_equal(y, x * (y != 0) * factor)
        np.testing.assert_array_equal(again.forward(x, training=True), y)
        masks.append(y != 0)
    assert (masks[0] != masks[1]).any()
    np.testing.assert_array_equal(model.forward(x, training=False), x)


def test_dropped_channels_are_those_of_images():
    with pytest.raises(ArgumentError, match=r"^Dropout2d: p must be in \[0, 1\), got 1"):
        Dropout2d(1)
    with pytest.raises(ArgumentError, match="needs images"):
        Dropout2d().build((5,), np.random.default_rng(0))
