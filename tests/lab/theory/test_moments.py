import math

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.lab.theory.moments import LeakyMoments, Moments, coefficients, correlation, moments_of
from minicnn.layers import Conv2d, LogSoftmax, PReLU, Softmax
from minicnn.layers.activations import ACTIVATIONS, from_string

Q = np.array([0.1, 1.0, 4.0])


@pytest.fixture(scope="module")
def pair():
    """Two correlated standard normal numbers on a fine grid: another quadrature."""
    u = np.linspace(-7, 7, 701)
    weight = np.exp(-u * u / 2)
    weight = weight / weight.sum()
    return u[:, None], u[None], weight[:, None] * weight


def test_relu_halves_the_second_moment_and_the_gradient():
    relu = moments_of(from_string("relu"))
    np.testing.assert_allclose(relu.second(Q), Q / 2, rtol=1e-14)
    np.testing.assert_allclose(relu.slope(Q), 0.5, rtol=1e-14)
    variance = relu.second(1.0) - relu.mean(1.0) ** 2
    assert abs(variance - (0.5 - 0.5 / math.pi)) < 1e-14  # .341: not the second moment


@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0, -0.5])
def test_leaky_relu_is_1_plus_a_squared_over_2(slope):
    leaky = moments_of(from_string(f"leaky-relu:{slope}"))
    np.testing.assert_allclose(leaky.second(Q), (1 + slope**2) / 2 * Q, rtol=1e-14)
    np.testing.assert_allclose(leaky.slope(Q), (1 + slope**2) / 2, rtol=1e-14)


def test_tanh_layers_shrink_the_signal_as_one_over_twice_the_depth():
    tanh, q, seen = moments_of(from_string("tanh")), 1.0, {}
    for layer in range(1, 31):
        seen[layer] = q
        q = float(tanh.second(q))
    expected = {1: 1, 5: 0.128, 10: 0.058, 20: 0.027, 30: 0.018}
    for layer, value in expected.items():
        assert abs(seen[layer] - value) < 6e-4 + 1e-2 * value
    assert abs(2 * 30 * seen[30] - 1) < 0.1


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("mean", [0.0, -0.7])
def test_moments_are_those_of_draws(name, mean):
    moments = moments_of(from_string(name))
    rng = np.random.default_rng(0)
    half = rng.standard_normal(200_000)
    z = mean + 1.5 * np.concatenate([half, -half])
    value, slope = moments.value(z), moments.derivative(z)
    for predicted, sample in (
        (moments.mean(2.25, mean), value),
        (moments.second(2.25, mean), value**2),
        (moments.slope(2.25, mean), slope**2),
    ):
        error = sample.std() / math.sqrt(len(half)) + 1e-9
        assert abs(float(predicted) - sample.mean()) < 5 * error


@pytest.mark.parametrize("name", ["relu", "leaky-relu", "prelu", "identity"])
def test_closed_forms_agree_with_quadrature(name):
    closed = moments_of(from_string(name))
    numeric = Moments("leaky-relu", closed.alpha)
    for what in ("mean", "second", "slope", "growth"):
        arguments = (Q,) if what == "growth" else (Q, 0.3)
        found, expected = (getattr(m, what)(*arguments) for m in (closed, numeric))
        np.testing.assert_allclose(found, expected, rtol=1e-8)
    rho = np.array([-0.9, 0.0, 0.5, 0.9])
    assert np.abs(closed.kernel(1.0, 1.0, rho) - numeric.kernel(1.0, 1.0, rho)).max() < 1e-3
    slopes = closed.slope_kernel(1.0, 1.0, rho) - numeric.slope_kernel(1.0, 1.0, rho)
    assert np.abs(slopes).max() < 0.02  # of a step, the expansion converges slowly


@pytest.mark.parametrize("name", ["relu6", "hardsigmoid", "hardswish"])
def test_kinks_away_from_zero_cost_no_digits(name):
    moments, inner = moments_of(from_string(name)), (0, 6) if name == "relu6" else (-3, 3)
    for q, mean in ((0.3, 0.0), (4.0, -0.7), (100.0, 2.0)):
        std = math.sqrt(q)
        edges = [mean - 9 * std, *inner, mean + 9 * std]
        for found, f in (
            (moments.second(q, mean), moments.value), (moments.slope(q, mean), moments.derivative)
        ):  # fmt: skip
            expected = 0.0
            for low, high in zip(edges, edges[1:]):
                z, step = np.linspace(low, high, 20_001, retstep=True)
                z = (z[1:] + z[:-1]) / 2  # never on a kink
                weight = np.exp(-((z - mean) ** 2) / (2 * q)) / math.sqrt(2 * math.pi * q)
                expected += step * float((f(z) ** 2) @ weight)
            assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("layer", [Softmax(), LogSoftmax()])
def test_nothing_is_promised_of_softmax(layer):
    with pytest.raises(ArgumentError, match="promises nothing of .*oftmax"):
        moments_of(layer)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "gelu", "softsign", "silu", "mish"])
def test_kernels_are_double_integrals(name, pair):
    moments, (u, v, weight) = moments_of(from_string(name)), pair
    for rho in (-0.5, 0.3, 0.8):
        a, b = 1.2 * u, 0.7 * (rho * u + math.sqrt(1 - rho**2) * v)
        arguments = (1.44, 0.49, rho * 1.2 * 0.7)
        for kernel, function in (
            (moments.kernel, moments.value), (moments.slope_kernel, moments.derivative)
        ):  # fmt: skip
            expected = (weight * function(a + 0 * v) * function(b)).sum()
            assert abs(float(kernel(*arguments)) - expected) < 5e-5


@pytest.mark.parametrize("name", ["relu", "tanh", "elu"])
def test_kernels_with_means_are_those_of_draws(name):
    moments, rng = moments_of(from_string(name)), np.random.default_rng(1)
    u, v = rng.standard_normal((2, 400_000))
    a, b = 0.4 + u, -0.2 + 0.6 * u + 0.8 * v
    sample = moments.value(a) * moments.value(b)
    found = float(moments.kernel(np.float64(1.0), 1.0, 0.6, 0.4, -0.2))
    assert abs(found - sample.mean()) < 5 * sample.std() / math.sqrt(len(u)) + 1e-3


def test_a_kernel_at_correlation_one_is_the_second_moment():
    for name in ("relu", "tanh", "selu"):
        moments = moments_of(from_string(name))
        np.testing.assert_allclose(moments.kernel(Q, Q, Q), moments.second(Q), rtol=1e-9)


def test_without_a_signal_the_slope_is_that_at_zero():
    relu, tanh = (moments_of(from_string(name)) for name in ("relu", "tanh"))
    assert relu.slope(0.0) == 0 and relu.slope_kernel(np.zeros(1), 1.0, 0.0) == 0
    assert tanh.slope(0.0) == pytest.approx(1)
    assert relu.second(0.0) == 0 and relu.growth(0.0) == 0


def test_spectra_give_the_variance_of_squares():
    relu = moments_of(from_string("relu"))
    assert relu.square_spectrum(1.0).sum() == pytest.approx(5, rel=1e-3)  # E[z^4] / 2 / (1/2)^2 - 1
    assert relu.slope_spectrum(1.0).sum() == pytest.approx(1, rel=1e-9)
    assert relu.elasticity(3.0) == pytest.approx(1)


def test_hermite_coefficients_keep_the_second_moment():
    moments = moments_of(from_string("softsign"))
    found = coefficients(moments.value, Q)
    np.testing.assert_allclose(sum(c * c for c in found), moments.second(Q), rtol=1e-9)


def test_correlation_without_signal_is_zero():
    assert correlation(np.zeros(1), 1.0, np.zeros(1)) == 0
    assert correlation(1.0, 4.0, np.array(3.0)) == 1


def test_prelu_counts_with_the_slope_it_starts_from():
    assert isinstance(moments_of(PReLU(0.5)), LeakyMoments)
    assert moments_of(PReLU(0.5)).second(1.0) == pytest.approx(0.625)


def test_what_is_no_activation_is_refused():
    with pytest.raises(ArgumentError, match="Conv2d"):
        moments_of(Conv2d(1, 1))
