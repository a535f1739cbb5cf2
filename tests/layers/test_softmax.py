"""Softmax and its logarithm: the reference's equations, far out, infinities, threads, digits."""

import math

import numpy as np
import pytest

from minicnn import gradcheck
from minicnn import reference as ref
from minicnn.kernels import softmax as kernels
from minicnn.layers import LogSoftmax, Softmax
from tests.kernels.conv.test_correlate import DTYPES, assert_close, with_one_and_two_threads
from tests.layers.cases import Case, run

WAYS = {
    Softmax: (ref.softmax, ref.softmax_gradient),
    LogSoftmax: (ref.log_softmax, ref.log_softmax_gradient),
}
#: Of x and dE/dy, rows of 3 channels; y and dE/dx are PyTorch's, 2.14.1, in float64, to 12 places.
X, DELTA = [1.0, -2.0, 0.5], [0.3, -1.0, 2.0]
PYTORCH = {
    Softmax: (
        [0.603748896149, 0.03005888757, 0.366192216282],
        [-0.352257422563, -0.056614418221, 0.408871840783],
    ),
    LogSoftmax: (
        [-0.504596902342, -3.504596902342, -1.004596902342],
        [-0.484873564993, -1.03907655384, 1.523950118834],
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 3, 2), (7,), (1, 2, 2)])
@pytest.mark.parametrize("kind", WAYS)
def test_values_and_gradients_are_the_references(kind, shape, dtype):
    case, (value, gradient) = Case(kind, shape), WAYS[kind]
    x, delta = case.batch(20)
    x = 3 * x
    found = run(case.built(dtype), x, delta, spare=0.5)
    y = np.stack([value(sample) for sample in x])
    dx = np.stack([gradient(*pair) for pair in zip(y, delta)])
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    assert_close(found["y"], y, tolerance)
    assert np.abs(found["dx"] - dx).max() < tolerance * np.abs(delta).max()


@pytest.mark.parametrize("kind", WAYS)
def test_pytorchs_numbers(kind):
    found = run(Case(kind, (3,)).built(), np.array([X]), np.array([DELTA]))
    np.testing.assert_allclose(found["y"][0], PYTORCH[kind][0], atol=1e-11)
    np.testing.assert_allclose(found["dx"][0], PYTORCH[kind][1], atol=1e-11)


@pytest.mark.parametrize("kind", WAYS)
def test_gradient_check(kind):
    assert gradcheck.check_layer(kind(), (4, 3, 2)).worst < 1e-7


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_overflows_and_tails_keep_their_digits(dtype):
    x = np.array([[1e4, 1e4 - 50, -1e4]])
    with np.errstate(over="raise", invalid="raise"):
        soft = run(Case(Softmax, (3,)).built(dtype), x, np.ones((1, 3)))
        log = run(Case(LogSoftmax, (3,)).built(dtype), x, np.ones((1, 3)))
    eps = 4 * float(np.finfo(dtype).eps)
    tail = math.exp(-50)
    np.testing.assert_allclose(soft["y"][0], [1, tail, 0], rtol=eps)
    np.testing.assert_allclose(log["y"][0], [-tail, -50, -2e4], rtol=eps)


@pytest.mark.parametrize("kind", WAYS)
def test_infinities_and_nan(kind):
    x = np.array([
        [1.0, -np.inf, 1.0], [1.0, np.inf, 0.0], [0.0, 1.0, np.nan], [np.nan, 1.0, 0.0],
        [-np.inf] * 3,
    ])  # fmt: skip
    y = run(Case(kind, (3,)).built(), x, np.zeros((5, 3)))["y"]
    none, half = (0, 0.5) if kind is Softmax else (-np.inf, -math.log(2))
    np.testing.assert_allclose(y[0], [half, none, half], rtol=1e-15)
    assert np.isnan(y[1:]).all()


@pytest.mark.parametrize("kind", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_written_over_delta_and_on_two_threads_the_bits_are_the_same(kind, dtype):
    rng, log = np.random.default_rng(0), kind is LogSoftmax
    x, delta = rng.standard_normal((2, 3, 5, 7, 16)).astype(dtype)

    def results():
        y, dx, over = np.empty_like(x), np.empty_like(x), delta.copy()
        kernels.softmax(x, y, log)
        kernels.softmax_gradient(y, delta, dx, log)
        kernels.softmax_gradient(y, over, None, log)
        return y, dx, over

    one, two = with_one_and_two_threads(results)
    np.testing.assert_array_equal(one[1], one[2])
    for first, second in zip(one, two):
        np.testing.assert_array_equal(first, second)
