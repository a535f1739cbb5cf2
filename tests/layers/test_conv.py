"""Conv2d: settings, fans and what cannot be; the sums are in kernels/conv/test_correlate.py."""

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.initializers import Fans
from minicnn.layers import Conv2d, ConvTranspose2d, ReLU, ZeroPad2d
from minicnn.models import Sequential
from tests.layers.cases import run


@pytest.mark.parametrize(
    ("layer", "shape", "output", "weight", "fans"),
    [
        (Conv2d(6, 5, padding=2), (1, 28, 28), (6, 28, 28), (6, 1, 5, 5), (25, 150)),
        (Conv2d(8, (3, 2), groups=2), (4, 5, 5), (8, 3, 4), (8, 2, 3, 2), (12, 24)),
        (Conv2d(8, 3, groups=4, stride=2), (4, 7, 8), (8, 3, 3), (8, 1, 3, 3), (9, 18)),
        (Conv2d(2, 3, dilation=(1, 2)), (3, 5, 5), (2, 3, 1), (2, 3, 3, 3), (27, 18)),
    ],
)
def test_shapes_and_fans(layer, shape, output, weight, fans):
    assert layer.build(shape, np.random.default_rng(0)) == layer.output_shape == output
    parameter = layer.own_parameters()["weight"]
    assert parameter.value.shape == weight
    initializer, std = layer.initializers()["weight"]
    assert std**2 == pytest.approx(initializer.variance(Fans(*fans))) == pytest.approx(2 / fans[0])


@pytest.mark.parametrize("init", ["msra:fan_out", "xavier", "lecun"])
def test_initializer_is_given_the_fans_of_each_group(init):
    layer = Conv2d(48, (3, 5), groups=4, init=init, bias_init="constant:2")
    layer.build((32, 5, 5), np.random.default_rng(0))
    expected = layer.init.variance(Fans(8 * 15, 12 * 15))
    weight = layer.own_parameters()["weight"].value
    assert np.var(weight) == pytest.approx(expected, rel=5 * np.sqrt(2 / weight.size))
    assert (layer.own_parameters()["bias"].value == 2).all()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            Conv2d(4, 5), (3, 4, 8),
            r"1.conv2d: the output would be empty: a 5x5 .*\(3, 4, 8\) padded by \(0, 0\)",
        ),
        (Conv2d(4, 3, dilation=4, padding=1), (3, 6, 8), r"a 3x3 window with dilation \(4, 4\)"),
        (Conv2d(4, 3, groups=2), (3, 4, 4), "groups = 2 must divide the 3 input and the 4 output"),
        (Conv2d(3, 3, groups=2), (4, 4, 4), "groups = 2 must divide the 4 input and the 3 output"),
        (Conv2d(4, 3, in_channels=2), (3, 4, 4), "1.conv2d: expected 2 input channels, got 3"),
        (Conv2d(4, 3), (5,), r"1.conv2d: needs images \(C, H, W\), got a sample of shape \(5,\)"),
        (Conv2d(4, 3), (5, 5), "1.conv2d: needs images"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit(layer, shape, message):
    with pytest.raises(ArgumentError, match=message):
        Sequential(ReLU(), layer).initialize(shape)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"out_channels": 0}, "Conv2d: out_channels must be an integer of at least 1, got 0"),
        ({"kernel_size": (3, 0)}, "Conv2d: kernel_size must be"),
        ({"stride": 0}, "Conv2d: stride must be"),
        ({"padding": -1}, "Conv2d: padding must be an integer of at least 0"),
        ({"dilation": 1.5}, "Conv2d: dilation must be"),
        ({"groups": 0}, "Conv2d: groups must be"),
        ({"init": "mrsa"}, "Did you mean 'msra'"),
        ({"bias_init": "zero"}, "Did you mean 'zeros'"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ArgumentError, match=message):
        Conv2d(**{"out_channels": 3, "kernel_size": 3, **settings})


@pytest.mark.parametrize(
    ("kernel_size", "dilation", "padding"),
    [(3, 1, (1, 1)), ((5, 1), 1, (2, 0)), (3, (2, 1), (2, 1)), (2, 2, (1, 1)), (1, 3, (0, 0))],
)
def test_same_padding_keeps_the_size(kernel_size, dilation, padding):
    layer = Conv2d(3, kernel_size, padding="same", dilation=dilation)
    assert layer.padding == padding
    assert layer.build((2, 9, 7), np.random.default_rng(0)) == (3, 9, 7)
    assert Conv2d(3, kernel_size, padding="valid").padding == (0, 0)


def test_same_padding_of_an_even_kernel_has_more_below_and_on_the_right():
    """PyTorch's nn.Conv2d(2, 3, (4, 2), padding="same") gives the same numbers."""
    layer = Conv2d(3, (4, 2), padding="same")
    assert layer.padding == ((1, 2), (0, 1))
    assert layer.build((2, 9, 7), np.random.default_rng(0)) == (3, 9, 7)
    with pytest.raises(ArgumentError, match="is for stride 1, got a stride of 2"):
        Conv2d(3, 3, padding="same", stride=2)
    with pytest.raises(ArgumentError, match="Did you mean 'same'"):
        Conv2d(3, 3, padding="sane")


@pytest.mark.parametrize(
    ("padding", "kept"),
    [
        (((1, 2), (3, 0)), ((1, 2), (3, 0))), ([[1, 2], [3, 3]], ((1, 2), (3, 3))),
        (((1, 1), (3, 3)), (1, 3)), ((2, 3), (2, 3)), (2, (2, 2)),
    ],
)  # fmt: skip
def test_padding_of_four_sides(padding, kept):
    layer = Conv2d(3, 2, padding=padding)
    assert layer.padding == kept
    (top, bottom), (left, right) = ((p, p) if isinstance(p, int) else p for p in kept)
    shape = layer.build((2, 5, 4), np.random.default_rng(0))
    assert shape == (3, 5 + top + bottom - 1, 4 + left + right - 1)


@pytest.mark.parametrize(
    "padding", [(1, 2, 3, 4), ((1, 2), 3), ((1, 2), (3, 4), (5, 6)), ((1, 2),), ([1, 2], (1.5, 0))]
)
def test_padding_that_is_none(padding):
    told = (
        r"Conv2d: padding(: left and right)? must be an integer of at least 0,? (or )?two of them"
    )
    with pytest.raises(ArgumentError, match=told):
        Conv2d(3, 2, padding=padding)
    with pytest.raises(ArgumentError, match="top and bottom must be an integer of at least 0"):
        Conv2d(3, 2, padding=((-1, 0), (0, 0)))
    with pytest.raises(ArgumentError, match="ConvTranspose2d: padding must be an integer"):
        ConvTranspose2d(3, 2, padding=((1, 0), (0, 0)))


SIDES = ((1, 0), (2, 1))
#: z, dE/dx and dE/dW of the numbers below, by PyTorch 2.14.1 in float64:
#: conv2d(pad(x, (2, 1, 1, 0)), w, stride=(1, 2)).
PYTORCH = [
    [0.0, -2.75, 1.0, 0.0, 7.125, 3.5],
    [3.5, -11.0, -2.0, 2.0, 12.0, -1.5],
    [-4.0, -4.0, -4.5, 7.0],
]


def test_pytorchs_numbers_of_padding_on_four_sides():
    model = Sequential(Conv2d(1, 2, stride=(1, 2), padding=SIDES, bias=False))
    model.initialize((1, 2, 3), 0, np.float64, input_gradient=True)
    (weight,) = model.parameters()
    weight.value[...] = np.array([1.0, -2.0, 0.5, 3.0]).reshape(1, 1, 2, 2)
    x = np.array([[0.5, -1.0, 2.0], [0.25, 1.5, 3.0]])[None, None]
    delta = np.array([[1.0, -1.0, 2.0], [0.5, 4.0, -3.0]])[None, None]
    found = run(model, x, delta)
    for array, expected in zip((found["y"], found["dx"], weight.grad), PYTORCH):
        np.testing.assert_allclose(array.ravel(), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
def test_padding_is_that_of_a_layer_before_it(algorithm):
    """To the last digits; the sums are those of the same numbers."""
    (top, bottom), (left, right) = sides = ((2, 0), (0, 1))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 8, 7, 6))
    own = Sequential(Conv2d(9, 3, padding=sides, algorithm=algorithm))
    layers = ZeroPad2d((left, right, top, bottom)), Conv2d(9, 3, algorithm=algorithm)
    other = Sequential(*layers)
    for model in (own, other):
        model.initialize(x.shape[1:], 0, np.float32, input_gradient=True)
    for one, two in zip(own.parameters(), other.parameters()):
        two.value[...] = one.value
    delta = rng.normal(size=(20, *own.output_shape))
    found, expected = (run(model, x, delta) for model in (own, other))
    np.testing.assert_allclose(found["y"], expected["y"], atol=1e-5 * np.abs(expected["y"]).max())
    np.testing.assert_allclose(found["dx"], expected["dx"], atol=1e-5 * abs(expected["dx"]).max())
    for one, two in zip(own.parameters(), other.parameters()):
        np.testing.assert_allclose(one.grad, two.grad, atol=1e-5 * np.abs(two.grad).max())


def test_description_says_what_differs_from_the_plain_case():
    assert Conv2d(3, (3, 2)).describe() == "3x2"
    layer = Conv2d(4, 3, stride=2, padding=(1, 0), dilation=2, groups=2)
    assert layer.describe() == "3x3 stride 2 padding (1, 0) dilation 2 groups 2"
    assert Conv2d(4, 3, padding=((1, 0), (1, 0))).describe() == "3x3 padding ((1, 0), (1, 0))"


def test_an_image_larger_than_any():
    with pytest.raises(ArgumentError, match="at most 1,048,576 pixels a side"):
        Sequential(Conv2d(2, 3)).initialize((1, 2**20 + 1, 8))
