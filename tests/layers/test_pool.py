"""Pooling layers: shapes and settings; the sums themselves are in kernels/test_pool.py."""

import numpy as np
import pytest

from minicnn import reference as ref
from minicnn.errors import ArgumentError
from minicnn.layers import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
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


def test_global_maximum_gives_the_gradient_to_the_first_of_equals():
    case = Case(GlobalMaxPool2d, (3, 7, 5))
    _, delta = case.batch(18)
    x = np.random.default_rng(0).integers(0, 5, (18, 3, 7, 5)).astype(float)
    found = run(case.built(), x, delta)
    np.testing.assert_array_equal(found["y"], x.max(axis=(2, 3)))
    expected = np.zeros((18 * 3, 35))
    expected[np.arange(18 * 3), x.reshape(-1, 35).argmax(1)] = delta.ravel()
    np.testing.assert_array_equal(found["dx"], expected.reshape(x.shape))


OPTIONS = [
    (MaxPool2d, {"kernel_size": 2, "ceil_mode": True}),
    (MaxPool2d, {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2}),
    (MaxPool2d, {"kernel_size": (3, 2), "stride": (1, 2), "dilation": (2, 3), "ceil_mode": True}),
    (AvgPool2d, {"kernel_size": 3, "stride": 4, "padding": 1, "ceil_mode": True}),
    (AvgPool2d, {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
    (
        AvgPool2d,
        {"kernel_size": 2, "stride": 3, "padding": (1, 0), "ceil_mode": True,
         "count_include_pad": False},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "options"), OPTIONS)
def test_options_give_the_references_numbers(layer, options):
    case = Case(lambda: layer(**options), (2, 7, 8))
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, (18, 2, 7, 8)).astype(float)  # with ties
    delta = rng.integers(-9, 9, (18, *case.built().output_shape)).astype(float)
    found = {dtype: run(case.built(dtype), x, delta) for dtype in (np.float64, np.float32)}
    if layer is MaxPool2d:
        y = [ref.max_pool(a, **options) for a in x]
        dx = [ref.max_pool_gradient(d, a, **options) for d, a in zip(delta, x)]
    else:
        y = [ref.average_pool(a, **options) for a in x]
        dx = [ref.average_pool_gradient(d, a.shape, **options) for d, a in zip(delta, x)]
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        assert found[dtype]["y"].dtype == dtype
        np.testing.assert_allclose(found[dtype]["y"], np.stack(y), atol=9 * tolerance)
        np.testing.assert_allclose(found[dtype]["dx"], np.stack(dx), atol=99 * tolerance)


PYTORCH = [
    (
        MaxPool2d(2, (2, 1), 1, dilation=(3, 2), ceil_mode=True),
        [[3, 10, 6, 10, 9, 2], [10, 9, 10, 9, 8, 9], [1, 8, 4, 8, 7, 0]],
        [
            [0, 0, 0, 0, 0, 0],
            [36, 0, 0, 36, 0, 0],
            [0, 36, 72, 36, 36, 36],
            [0, 36, 72, 36, 36, 36],
            [0, 72, 0, 0, 72, 0],
        ],
    ),
    (
        AvgPool2d(3, 4, 1, ceil_mode=True),
        [[7 / 3, 10 / 3], [19 / 9, 3]],
        [
            [4, 4, 0, 4, 4, 4],
            [4, 4, 0, 4, 4, 4],
            [0, 0, 0, 0, 0, 0],
            [4, 4, 0, 4, 4, 4],
            [4, 4, 0, 4, 4, 4],
        ],
    ),
    (
        AvgPool2d(2, 3, 1, ceil_mode=True, count_include_pad=False),
        [[0, 13 / 2, 2], [6, 7, 8]],
        [
            [36, 0, 18, 18, 0, 36],
            [0, 0, 0, 0, 0, 0],
            [18, 0, 9, 9, 0, 18],
            [18, 0, 9, 9, 0, 18],
            [0, 0, 0, 0, 0, 0],
        ],
    ),
]


@pytest.mark.parametrize(("layer", "y", "dx"), PYTORCH)
def test_options_give_pytorchs_numbers(layer, y, dx):
    """Those of PyTorch 2.14.1, for the pixels 0, 7, 14, ... modulo 11 and dE/dy = 36."""
    x = np.arange(30.0).reshape(1, 1, 5, 6) * 7 % 11
    model = Case(lambda: layer, (1, 5, 6)).built()
    found = run(model, x, np.full((1, *model.output_shape), 36.0))
    np.testing.assert_allclose(found["y"][0, 0], y, rtol=1e-12)
    np.testing.assert_allclose(found["dx"][0, 0], dx, rtol=1e-12)


def test_a_dilated_window_sees_some_pixel():
    with pytest.raises(ArgumentError, match=r"nothing but padding.*3 apart.*\(1, 2, 5\) is 2 long"):
        MaxPool2d(2, 1, 1, dilation=3).build((1, 2, 5), np.random.default_rng(0))
    assert MaxPool2d(2, 1, 1, dilation=3, ceil_mode=True).describe() == (
        "2x2 stride 1x1 padding 1x1 dilation 3x3 ceil"
    )
    assert AvgPool2d(2, padding=1, count_include_pad=False).describe() == (
        "2x2 padding 1x1 uncounted"
    )


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
