"""Activation layers: the reference's functions, with parameters from strings."""

import pickle

import numpy as np
import pytest

from minicnn import Sequential, lanes
from minicnn import reference as ref
from minicnn.errors import ArgumentError
from minicnn.layers import ELU, GELU, Dense, LeakyReLU, PReLU, ReLU, Sigmoid, activations
from tests import alone
from tests.kernels.conv.test_correlate import assert_close
from tests.layers.cases import KINKED, SMOOTH, Case, activation, run

#: σ(z) and σ'(z) of Z that PyTorch 2.14.1 gave in float64, rounded to 9 places; kinks among them.
Z = [-7.5, -3.0, -1.2, 0.0, 0.4, 3.0, 6.5]
PYTORCH = {
    "relu6": ([0.0, 0.0, 0.0, 0.0, 0.4, 3.0, 6.0], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0]),
    "hardsigmoid": (
        [0.0, 0.0, 0.3, 0.5, 0.566666667, 1.0, 1.0],
        [0.0, 0.0, 0.166666672, 0.166666672, 0.166666672, 0.0, 0.0],
    ),
    "hardswish": (
        [-0.0, -0.0, -0.36, 0.0, 0.226666667, 3.0, 6.5],
        [0.0, 0.0, 0.1, 0.5, 0.633333333, 1.0, 1.0],
    ),
    "celu:0.7": (
        [-0.699984442, -0.690365349, -0.573935382, 0.0, 0.4, 3.0, 6.5],
        [2.22252e-05, 0.013763786, 0.18009231, 1.000000017, 1.0, 1.0, 1.0],
    ),
    "silu": (
        [-0.00414584, -0.14227762, -0.27777026, 0.0, 0.239475064, 2.85772238, 6.490242315],
        [-0.003590769, -0.088104106, 0.018001888, 0.5, 0.694791958, 1.088104106, 1.008241854],
    ),
    "gelu": (
        [-0.0, -0.004049694, -0.138083604, 0.0, 0.262168697, 2.995950306, 6.5],
        [-0.0, -0.011945647, -0.117953596, 0.5, 0.802729798, 1.011945647, 1.000000002],
    ),
    "gelu-tanh": (
        [-0.0, -0.003637392, -0.138297231, 0.0, 0.262161169, 2.996362608, 6.5],
        [0.0, -0.011584167, -0.117726135, 0.5, 0.802658834, 1.011584167, 1.0],
    ),
    "mish": (
        [-0.004146986, -0.145647461, -0.308835796, 0.0, 0.289030534, 2.986535005, 6.499970704],
        [-0.003592907, -0.093393114, -0.002008761, 0.6, 0.837017502, 1.021106911, 1.000053997],
    ),
    "softplus": (
        [0.000552931, 0.048587352, 0.263282467, 0.693147181, 0.913015252, 3.048587352, 6.50150231],
        [0.000552779, 0.047425873, 0.231475216, 0.5, 0.59868766, 0.952574127, 0.998498818],
    ),
    "softplus:0.7,2": (
        [0.007476855, 0.16502789, 0.512671285, 0.990210258, 1.204164762, 3.0, 6.5],
        [0.005220126, 0.109096821, 0.301534784, 0.5, 0.569546224, 1.0, 1.0],
    ),
}


@pytest.mark.parametrize("text", PYTORCH)
def test_pytorchs_numbers(text):
    found = run(Case(activation(text), (len(Z),)).built(), np.array([Z]), np.ones((1, len(Z))))
    np.testing.assert_allclose(found["y"][0], PYTORCH[text][0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found["dx"][0], PYTORCH[text][1], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("word", ["Tanh", None, True, "erf"])
def test_gelu_has_one_approximation(word):
    with pytest.raises(ArgumentError, match="GELU: approximate must be 'none' or 'tanh', got"):
        GELU(word)


@pytest.mark.parametrize("shape", [(3, 4, 2), (5,)])
@pytest.mark.parametrize("text", SMOOTH + KINKED)
def test_values_and_gradients_are_the_references(text, shape):
    case = Case(activation(text), shape)
    x, delta = case.batch(20)
    model = case.built()
    found = run(model, x, delta)
    name, *settings = text.split(":")
    words = [word for text in settings for word in text.split(",")]
    alpha = [float(word) for word in words if word != "channel"]
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
    assert layer.function == name or name == "prelu"
    assert layer is not activations.from_string(name)
    assert name in ref.ACTIVATIONS and len(activations.ACTIVATIONS) == 18


def test_parameters_from_strings():
    assert activations.from_string("leaky-relu:0.2").alpha == 0.2
    assert activations.from_string("leaky-relu").alpha == LeakyReLU().alpha == 0.01
    assert activations.from_string("elu:1.5").alpha == 1.5
    assert activations.from_string("elu").alpha == ELU().alpha == 1
    assert activations.from_string("celu:1.5").alpha == 1.5
    assert activations.from_string("softplus").alpha == (1, 20)
    assert activations.from_string("softplus:0.5").alpha == (0.5, 20)
    assert activations.from_string("softplus:2,5").alpha == (2, 5)
    assert activations.from_string("gelu-tanh").approximate == "tanh"
    assert activations.from_string("leaky-relu:0.2").describe() == "slope 0.2"
    assert activations.from_string("prelu:channel").describe() == "a slope a channel"


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "silu", "softplus:0.7,5"])
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
        ("", "unknown activation '.*Known: celu, elu, gelu, gelu-tanh, hardsigmoid,"),
        ("relu:1", "'relu:1': relu takes no parameter, got '1'"),
        ("relu:", "relu takes no parameter, got ''"),
        ("tanh:channel", "tanh takes no parameter"),
        ("elu:x", "elu takes an alpha, got 'x'"),
        ("elu:1,2", "elu takes an alpha, got '1,2'"),
        ("elu:inf", "alpha must be a finite number, got inf"),
        ("celu:0", "CELU: alpha must be"),
        ("softplus:1,2,3", "softplus takes a beta and a threshold, got '1,2,3'"),
        ("softplus:-1", "Softplus: beta must be"),
        ("softplus:1,inf", "Softplus: threshold must be a finite number"),
        ("gelu-tanh:1", "gelu-tanh takes no parameter"),
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
