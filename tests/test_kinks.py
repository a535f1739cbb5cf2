"""Gradients at ties and zeros: every subgradient passes, and what is none is found."""

import numpy as np
import pytest

from minicnn import gradcheck, lanes
from minicnn.layers import (
    ELU,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    MaxPool2d,
    NumpyLayer,
    PReLU,
    ReLU,
)  # fmt: skip
from tests import alone


class Pairs(NumpyLayer):
    """The larger of each two neighbours; `rule` says which of equals gets the gradient."""

    def __init__(self, rule):
        super().__init__()
        self.rule = rule

    def setup(self, rng):
        return (self.input_shape[0] // 2,)

    def forward(self, x):
        self._a, self._b = x[:, ::2], x[:, 1::2]
        return np.maximum(self._a, self._b)

    def backward(self, dy):
        a, b = self._a, self._b
        tie = a == b
        left, right = {
            "first": (a >= b, a < b),
            "last": (a > b, a <= b),
            "half": ((a > b) + 0.5 * tie, (b > a) + 0.5 * tie),
            "all": (a >= b, a <= b),
            "none": (a > b, a < b),
            "the other": (np.where(tie, -1.0, a > b), np.where(tie, 2.0, a < b)),
            "nan": (np.where(tie, np.nan, a > b), a < b),
        }[self.rule]
        dx = np.empty((len(dy), 2 * dy.shape[1]))
        dx[:, ::2], dx[:, 1::2] = left * dy, right * dy
        return dx


class Slope(NumpyLayer):
    """ReLU with a given slope at 0."""

    def __init__(self, at_zero):
        super().__init__()
        self.at_zero = at_zero

    def forward(self, x):
        self._slope = np.where(x == 0, self.at_zero, x > 0)
        return np.maximum(x, 0)

    def backward(self, dy):
        return self._slope * dy


class Function(NumpyLayer):
    """Any function with a gradient that is right where there is one."""

    def __init__(self, function, slope):
        super().__init__()
        self.function, self.slope = function, slope

    def forward(self, x):
        self._x = x
        return self.function(x)

    def backward(self, dy):
        return self.slope(self._x) * dy


@pytest.mark.parametrize("rule", ["first", "last", "half"])
def test_each_of_equals_may_have_the_gradient(rule):
    assert gradcheck.check_layer(Pairs(rule), (12,)).worst < 1e-8


@pytest.mark.parametrize("rule", ["all", "none", "the other", "nan"])
def test_what_is_no_subgradient_is_found(rule):
    report = gradcheck.check_layer(Pairs(rule), (12,))
    assert report.worst > 0.2 and report.where.startswith("input (at ties and zeros, of output [")
    assert report.arrays["input"] == report.worst
    spread = np.random.default_rng(0).normal(size=(3, 12))
    assert gradcheck.check_layer(Pairs(rule), (12,), x=spread).worst < 1e-8  # without ties


@pytest.mark.parametrize("slope", [0, 0.3, 1])
def test_slopes_between_those_of_both_sides(slope):
    assert gradcheck.check_layer(Slope(slope), (3, 4)).worst < 1e-8


@pytest.mark.parametrize("slope", [-0.1, 1.1, 2, np.nan])
def test_slopes_that_are_those_of_no_side(slope):
    assert gradcheck.check_layer(Slope(slope), (3, 4)).worst > 0.05


@pytest.mark.parametrize("layer", [
    MaxPool2d(2), MaxPool2d(3, 1), MaxPool2d(3, 2, padding=1), AvgPool2d(3, 1), ReLU(), PReLU(),
    LeakyReLU(0.2), ELU(), Conv2d(3, 3, padding=1), BatchNorm(), Flatten(), Dropout(0.5),
])  # fmt: skip
@pytest.mark.parametrize("shape", [(2, 6, 6), (1, 4, 5)])
def test_layers_of_the_package_pass(layer, shape):
    training = not isinstance(layer, Dropout)
    assert gradcheck.check_layer(layer, shape, training=training).worst < 1e-6


@pytest.mark.parametrize("samples", [1, 2, 17])
def test_a_batch_of_equal_numbers_is_no_kink(samples):
    assert gradcheck.check_layer(BatchNorm(), (4,), max(samples, 2)).worst < 1e-6
    assert gradcheck.check_layer(Dense(3), (4,), samples).worst < 1e-8


@pytest.mark.parametrize("layer", [
    Function(np.floor, np.zeros_like),  # jumps: no derivative from one side
    Function(np.sign, np.zeros_like),
    Function(np.cbrt, lambda x: 1 / (3 * np.cbrt(x) ** 2)),  # upright at 0
    Function(lambda x: 1 / x, lambda x: -1 / x**2),  # none at 0
    Function(lambda x: np.log(np.abs(x)), lambda x: 1 / x),
    Function(np.abs, np.sign),
])  # fmt: skip
def test_where_there_are_no_one_sided_derivatives_nothing_is_said(layer):
    """Sixteen samples: there are no spare lanes with zeros, which such layers warn of."""
    assert gradcheck.check_layer(layer, (5,), samples=16).worst < 1e-4


@pytest.mark.parametrize("kernel, stride", [(2, 2), (3, 1), (3, 2)])
def test_max_pooling_chooses_the_first_of_equals(kernel, stride):
    """Which the gradient check leaves open."""
    x = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], (5, 2, 7, 7))
    layer = MaxPool2d(kernel, stride)
    layer.build(x.shape[1:], np.random.default_rng(0), np.float64)
    alone.forward(layer, lanes.pack(x, np.float64), True, 5)
    dy = np.random.default_rng(1).normal(size=(5, *layer.output_shape))
    found = lanes.unpack(alone.backward(layer, lanes.pack(dy, np.float64)), 5)
    expected = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(dy.shape):
        rows, columns = (slice(stride * a, stride * a + kernel) for a in (i, j))
        window = x[n, c, rows, columns]
        place = np.unravel_index(window.argmax(), window.shape)
        expected[n, c, stride * i + place[0], stride * j + place[1]] += dy[n, c, i, j]
    np.testing.assert_allclose(found, expected, atol=1e-14)
