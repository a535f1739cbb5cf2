"""Pooling layers: shapes and settings; the sums themselves are in kernels/test_pool.py."""

import numpy as np
import pytest

from minicnn import reference as ref
from minicnn.errors import ArgumentError
from minicnn.layers import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from tests.kernels.conv.test_correlate import assert_close
from tests.layers.cases import Case, run

SETTINGS = [(2,), (3, 2, 1), ((2, 3), (1, 2), (1, 0)), ((1, 4), 1, (0, 2))]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("layer", [MaxPool2d, AvgPool2d])
def test_values_and_gradients_are_the_references(layer, settings):
    case = Case(lambda: layer(*settings), (3, 7, 5))
    x, delta = case.batch(18)
    found = run(case.built(), x, delta)
    if layer is MaxPool2d:
        y = [ref.max_pool(a, *settings) for a in x]
        dx = [ref.max_pool_gradient(d, a, *settings) for d, a in zip(delta, x)]
    else:
        y = [ref.average_pool(a, *settings) for a in x]
        dx = [ref.average_pool_gradient(d, a.shape, *settings) for d, a in zip(delta, x)]
    assert_close(found["y"], np.stack(y), 1e-12)
    assert_close(found["dx"], np.stack(dx), 1e-12)


def test_global_average_is_the_mean_of_each_channel():
    case = Case(GlobalAvgPool2d, (3, 7, 5))
    x, delta = case.batch(18)
    found = run(case.built(), x, delta)
    assert_close(found["y"], x.mean(axis=(2, 3)), 1e-12)
    expected = np.broadcast_to(delta[:, :, None, None] / 35, x.shape)
    assert_close(found["dx"], expected, 1e-12)


def test_windows_touch_unless_a_stride_is_given():
    assert MaxPool2d((3, 2)).stride == (3, 2) and MaxPool2d((3, 2), 1).stride == (1, 1)
    assert MaxPool2d((3, 2)).describe() == "3x2"
    assert AvgPool2d(3, (2, 1), 1).describe() == "3x3 stride 2x1 padding 1x1"


def test_a_padded_image_of_negative_numbers_has_no_zero_for_a_maximum():
    x = np.full((1, 1, 2, 2), -5.0)
    assert (Case(lambda: MaxPool2d(2, 1, 1), (1, 2, 2)).built().predict(x) == -5).all()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (MaxPool2d(5), (2, 4, 6), r"maxpool2d: the output would be empty: a 5x5 .*\(2, 4, 6\)"),
        (AvgPool2d((2, 9)), (2, 4, 6), "avgpool2d: the output would be empty: a 2x9 window"),
        (MaxPool2d(2), (8,), r"maxpool2d: needs images \(C, H, W\), got a sample of shape \(8,\)"),
        (GlobalAvgPool2d(), (8,), "globalavgpool2d: needs images"),
    ],
)
def test_inputs_that_do_not_fit(layer, shape, message):
    with pytest.raises(ArgumentError, match=message):
        layer.build(shape, np.random.default_rng(0))


@pytest.mark.parametrize("layer", [MaxPool2d, AvgPool2d])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((0,), "kernel_size must be an integer of at least 1"),
        ((2, 0), "stride must be an integer of at least 1"),
        ((2, 1, -1), "padding must be an integer of at least 0"),
        ((3, 1, 2), r"padding \(2, 2\) is more than half of the window \(3, 3\)"),
        (((4, 1), 1, (2, 1)), r"padding \(2, 1\) is more than half of the window \(4, 1\)"),
    ],
)
def test_settings_out_of_range(layer, settings, message):
    with pytest.raises(ArgumentError, match=message) as error:
        layer(*settings)
    assert str(error.value).lower().startswith(layer.__name__.lower())
