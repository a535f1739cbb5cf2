"""Activation layers: the reference's functions, with parameters from strings."""

import pickle

import numpy as np
import pytest

from minicnn import Sequential, lanes
from minicnn import reference as ref
from minicnn.errors import ArgumentError
from minicnn.layers import ELU, Dense, LeakyReLU, PReLU, ReLU, Sigmoid, activations
from tests import alone
from tests.kernels.conv.test_correlate import assert_close
from tests.layers.cases import KINKED, SMOOTH, Case, activation, run


@pytest.mark.parametrize("shape", [(3, 4, 2), (5,)])
@pytest.mark.parametrize("text", SMOOTH + KINKED)
def test_values_and_gradients_are_the_references(text, shape):
    case = Case(activation(text), shape)
    x, delta = case.batch(20)
    model = case.built()
    found = run(model, x, delta)
    name, *settings = text.split(":")
    alpha = [float(word) for word in settings if "channel" not in word]
    if name == "prelu":
        slopes = model.parameters()[0].value
        alpha = [slopes.reshape(-1, *[1] * (len(shape) - 1))]  # one or a slope a channel
        expected = sum(ref.prelu_slope_gradient(z, d) for z, d in zip(x, delta))
        expected = expected if len(slopes) > 1 else expected.sum(keepdims=True)
        assert_close(found["d 0.prelu.weight"], expected, 1e-12)
    y = np.stack([ref.activation(name, z, *alpha) for z in x])
    dx = np.stack([ref.activation_gradient(name, z, d, *alpha) for z, d in zip(x, delta)])
    assert_close(found["y"], y, 1e-12)
    assert_close(found["dx"], dx, 1e-12)


@pytest.mark.parametrize(
    ("text", "slopes"),
    [
        ("prelu", [0.25]),
        ("prelu:0.1", [0.1]),
        ("prelu:channel", [0.25] * 3),
        ("prelu:-2,channel", [-2] * 3),
        ("prelu:channel,1e-3", [1e-3] * 3),
    ],
)
def test_slopes_of_prelu_start_where_the_string_says(text, slopes):
    layer = activations.from_string(text)
    layer.build((3, 2, 2), np.random.default_rng(0), np.float64)
    (slope,) = layer.parameters()
    assert type(layer) is PReLU and slope.value.tolist() == slopes and not slope.decay


def test_a_slope_of_prelu_that_is_changed_counts():
    """Optimizers and loaded states write into the parameter's array."""
    model = Case(PReLU, (2,)).built()
    model.parameters()[0].value[...] = 3
    assert model.predict(np.array([[-1.0, 2.0]])).tolist() == [[-3.0, 2.0]]


@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_names(name):
    layer = activations.from_string(name)
    assert type(layer) is activations.ACTIVATIONS[name]
    assert layer is not activations.from_string(name)
    assert name in ref.ACTIVATIONS and len(activations.ACTIVATIONS) == 10


def test_parameters_from_strings():
    assert activations.from_string("leaky-relu:0.2").alpha == 0.2
    assert activations.from_string("leaky-relu").alpha == LeakyReLU().alpha == 0.01
    assert activations.from_string("elu:1.5").alpha == 1.5
    assert activations.from_string("elu").alpha == ELU().alpha == 1
    assert activations.from_string("leaky-relu:0.2").describe() == "slope 0.2"
    assert activations.from_string("prelu:channel").describe() == "a slope a channel"


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_a_slope_kept_in_the_forward_pass_is_that_of_the_way_back(name):
    """Over the input where the layer before gives it away, in an own array, or computed again."""
    rng = np.random.default_rng(0)
    x, delta = rng.normal(size=(20, 6)), rng.normal(size=(20, 4))
    x, delta, found = lanes.pack(x, np.float64), lanes.pack(delta, np.float64), []
    for fuse, training in ((True, True), (False, True), (False, False)):
        model = Sequential(Dense(5), activations.from_string(name), Dense(4))
        model.initialize((6,), dtype=np.float64, input_gradient=True, fuse=fuse)
        y = model.forward(x, training).copy()
        dx = model.backward(delta).copy()
        found.append([y, dx, model.backward(delta), *(p.grad for p in model.parameters())])
    for other in found[1:]:
        for first, second in zip(found[0], other):
            np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(found[0][1], found[0][2])  # the way back, twice


def test_relu_has_no_slope_at_zero_and_keeps_no_negative_zero():
    case = Case(ReLU, (3,))
    found = run(case.built(), np.array([[0.0, -0.0, -1.0]]), np.ones((1, 3)))
    assert not found["dx"].any() and not np.signbit(found["y"]).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("relo", "unknown activation 'relo'. Did you mean 'relu'"),
        ("leakyrelu", "Did you mean 'leaky-relu'"),
        ("", "unknown activation '.*Known: elu, gelu, identity, leaky-relu, prelu, relu, selu,"),
        ("relu:1", "'relu:1': relu takes no parameter, got '1'"),
        ("relu:", "relu takes no parameter, got ''"),
        ("tanh:channel", "tanh takes no parameter"),
        ("elu:x", "elu takes an alpha, got 'x'"),
        ("elu:1,2", "elu takes an alpha, got '1,2'"),
        ("elu:inf", "alpha must be a finite number, got inf"),
        ("leaky-relu:", "leaky-relu takes a slope, got ''"),
        ("leaky-relu:channel", "leaky-relu takes a slope, got 'channel'"),
        ("leaky-relu:nan", "slope must be a finite number, got nan"),
        ("prelu:row", "prelu takes a slope and 'channel', got 'row'"),
        ("prelu:channel,0.1,0.2", "prelu takes a slope and 'channel'"),
    ],
)
def test_strings_that_are_not_understood(text, message):
    with pytest.raises(ArgumentError, match=message):
        activations.from_string(text)


@pytest.mark.parametrize("make", [LeakyReLU, PReLU, ELU])
@pytest.mark.parametrize("value", ["0.1", None, True, np.inf])
def test_parameters_that_are_no_finite_numbers(make, value):
    with pytest.raises(ArgumentError, match=f"^{make.__name__}: .* must be a finite number, got"):
        make(value)


def test_a_pickled_activation_computes_by_the_kernels_that_all_have():
    """Kernels in the pickle would be others: not from the disk, and not guarded after a fork."""
    layer = Sigmoid()
    layer.build((3,), np.random.default_rng(0))
    x = lanes.pack(np.random.default_rng(0).standard_normal((5, 3)))
    alone.forward(layer, x)
    copied = pickle.loads(pickle.dumps(layer))
    np.testing.assert_array_equal(alone.forward(copied, x), alone.forward(layer, x))
    held = [type(value).__name__ for value in vars(copied).values()]
    assert "CPUDispatcher" not in held and "function" not in held
