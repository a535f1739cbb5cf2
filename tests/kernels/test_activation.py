"""The functions and slopes of all activations, where they are delicate and where they are not."""

import numpy as np
import pytest

from minicnn import reference as ref
from minicnn.kernels.activation import LOOPS, leaky_relu_alpha_gradient
from tests.kernels.test_correlate import DTYPES, assert_close, with_one_and_two_threads

ALPHAS = {"leaky-relu": 0.2, "elu": 0.7}
Z = np.concatenate(
    [[0.0, -0.0], *([s * z, -s * z] for z in (1e-30, 1e-8, 1e-3) for s in (1, 3)),
     np.linspace(-9, 9, 181), [-1e4, -700, -90, -30, 30, 90, 700, 1e4]]
)  # fmt: skip


def loops(name, z, delta, alpha):
    """Value and dE/dz of ``(G, C, M)``, by the kernels."""
    forward, backward = LOOPS[name]
    a, dz = np.full_like(z, np.nan), np.full_like(z, np.nan)
    forward(z, a, alpha)
    backward(z, a, delta, dz, alpha)
    return a, dz


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOOPS)
def test_value_and_slope_are_the_references(name, dtype):
    """Number by number; where 1 + x rounds x away, to the rounding of 1."""
    alpha = [ALPHAS[name]] if name in ALPHAS else []
    z = Z.astype(dtype)
    delta = np.linspace(1, 2, z.size).astype(dtype)
    given = np.array(alpha or [0], dtype)
    a, dz = (part[0, 0] for part in loops(name, z[None, None], delta[None, None], given))
    assert a.dtype == dz.dtype == dtype
    wide = z.astype(np.float64)
    eps = np.finfo(dtype).eps
    tolerance = {"rtol": 20 * eps, "atol": 20 * eps}
    np.testing.assert_allclose(a, ref.activation(name, wide, *alpha), **tolerance)
    expected = ref.activation_gradient(name, wide, delta.astype(np.float64), *alpha)
    np.testing.assert_allclose(dz, expected, **tolerance)


@pytest.mark.parametrize("name", LOOPS)
def test_small_numbers_keep_their_digits(name):
    """σ(z) - σ(0) is proportional to z near 0, also where 1 + z would round z away."""
    alpha = [ALPHAS[name]] if name in ALPHAS else []
    z = np.array([1e-12, -1e-12, 1e-20, -1e-20])[None, None]
    a, _ = loops(name, z, z, np.array(alpha or [0.0]))
    if name != "sigmoid":
        np.testing.assert_allclose(a, ref.activation(name, z, *alpha), rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_channel_has_its_alpha(dtype):
    rng = np.random.default_rng(0)
    z, delta = rng.normal(size=(2, 3, 4, 5)).astype(dtype)
    alpha = np.array([0.1, -2, 1, 0.5], dtype)
    a, dz = loops("leaky-relu", z, delta, alpha)
    np.testing.assert_array_equal(a, np.where(z > 0, z, alpha[:, None] * z))
    np.testing.assert_array_equal(dz, np.where(z > 0, delta, alpha[:, None] * delta))


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_of_the_slope(dtype):
    rng = np.random.default_rng(0)
    z, delta = rng.normal(size=(2, 3, 4, 50)).astype(dtype)
    out = np.full(4, np.nan, dtype)
    leaky_relu_alpha_gradient(z, delta, out)
    wide = zip(z.astype(np.float64), delta.astype(np.float64))
    expected = sum(ref.prelu_slope_gradient(a, d) for a, d in wide)
    assert_close(out, expected, np.finfo(dtype).eps * (1 if dtype == np.float32 else 10))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOOPS)
def test_nan_stays_nan(name, dtype):
    z = np.array([[[np.nan, 1, -np.nan]]], dtype)
    a, _ = loops(name, z, z, np.ones(1, dtype))
    assert np.isnan(a).tolist() == [[[True, False, True]]]


def test_same_bits_with_one_and_two_threads():
    rng = np.random.default_rng(0)
    z, delta = rng.normal(size=(2, 5, 7, 99)).astype(np.float32)

    def results():
        out = np.empty(7, np.float32)
        leaky_relu_alpha_gradient(z, delta, out)
        return [*loops("gelu", z, delta, np.zeros(1, np.float32)), out]

    for one, two in zip(*with_one_and_two_threads(results)):
        np.testing.assert_array_equal(one, two)
