"""The functions and slopes of all activations, where they are delicate and where they are not."""

import numpy as np
import pytest

from minicnn import reference as ref
from minicnn.kernels.activation import LOOPS, WITH_SLOPE, leaky_relu_alpha_gradient, multiply
from tests.kernels.conv.test_correlate import DTYPES, assert_close, with_one_and_two_threads
from tests.long import precision

ALPHAS = {"leaky-relu": (0.2,), "elu": (0.7,), "celu": (0.7,), "softplus": (0.7, 20.0)}
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
    alpha = ALPHAS.get(name, ())
    z = Z.astype(dtype)
    delta = np.linspace(1, 2, z.size).astype(dtype)
    given = np.array(alpha or [0], dtype)
    alpha = given.astype(np.float64) if alpha else ()  # as rounded
    a, dz = (part[0, 0] for part in loops(name, z[None, None], delta[None, None], given))
    assert a.dtype == dz.dtype == dtype
    wide = z.astype(np.float64)
    eps = np.finfo(dtype).eps
    tolerance = {"rtol": 20 * eps, "atol": 20 * eps}
    np.testing.assert_allclose(a, ref.activation(name, wide, *alpha), **tolerance)
    expected = ref.activation_gradient(name, wide, delta.astype(np.float64), *alpha)
    np.testing.assert_allclose(dz, expected, **tolerance)


def test_every_function_and_slope_keeps_its_digits():
    """Within 2 units in the last place, 4 in float64: tails, denormals, roots."""
    found = precision.run(2000)
    assert found.passed, found.failures


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name, far, value, slope", [
    ("sigmoid", -20.0, 2.0611536181902037e-09, 2.0611536139418493e-09),
    ("elu", -17.0, -0.7 * (1 - 4.139937718785167e-08), 0.7 * 4.139937718785167e-08),
    ("tanh", 12.0, 0.9999999999244973, 1.510053817597626e-10),
    ("gelu", -5.0, -1.4332578593959696e-06, -7.146946001792294e-06),
    ("softsign", 1e6, 0.999999000001, 9.99998000003e-13),
    ("silu", -30.0, -2.8072868906517896e-12, -2.713710660963134e-12),
    ("gelu-tanh", -5.0, -2.291796196629506e-07, -1.5463619875325946e-06),
    ("mish", -30.0, -2.807286890651921e-12, -2.713710660963392e-12),
    ("softplus", -25.0, 3.587141606026288e-08, 2.5109990926928186e-08),
])  # fmt: skip
def test_tails(name, far, value, slope, dtype):
    """Where 1 and what is added to it, or taken from it, would be rounded to 1."""
    z = np.full((1, 1, 1), far, dtype)
    a, dz = loops(name, z, np.ones_like(z), np.array(ALPHAS.get(name, (0,)), dtype))
    eps = 4 * float(np.finfo(dtype).eps)
    assert a.item() == pytest.approx(value, rel=eps, abs=0)
    assert dz.item() == pytest.approx(slope, rel=eps, abs=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOOPS)
def test_infinities_have_the_limits(name, dtype):
    given = ALPHAS.get(name, (0.0,))
    alpha = given[0]
    z = np.array([[[-np.inf, np.inf]]], dtype)
    a, dz = loops(name, z, np.ones_like(z), np.array(given, dtype))
    below = {"identity": (-np.inf, 1), "relu": (0, 0), "leaky-relu": (-np.inf, alpha),
             "elu": (-alpha, 0), "selu": (-1.0507009873554805 * 1.6732632423543772, 0),
             "gelu": (0, 0), "sigmoid": (0, 0), "tanh": (-1, 0), "softsign": (-1, 0),
             "celu": (-alpha, 0)}  # fmt: skip
    bounded = name in ("sigmoid", "tanh", "softsign", "relu6", "hardsigmoid")
    below = below.get(name, (0, 0))
    top = 6 if name == "relu6" else 1
    steep = 1.0507009873554805 if name == "selu" else 1
    expected = dtype([below[0], top if bounded else np.inf])
    np.testing.assert_allclose(a[0, 0], expected, rtol=np.finfo(dtype).eps)
    expected = dtype([below[1], 0 if bounded else steep])
    np.testing.assert_allclose(dz[0, 0], expected, rtol=np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOOPS)
def test_a_gradient_written_over_delta_has_the_same_bits(name, dtype):
    rng = np.random.default_rng(0)
    z, delta = rng.normal(size=(2, 2, 3, 37)).astype(dtype)
    alpha = np.array(ALPHAS.get(name, (0.3,)), dtype)
    a, dz = loops(name, z, delta, alpha)
    LOOPS[name][1](z, a, delta, None, alpha)
    np.testing.assert_array_equal(delta, dz)


@pytest.mark.parametrize("over_z", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", WITH_SLOPE)
def test_a_slope_that_was_kept_has_the_same_bits(name, dtype, over_z):
    rng = np.random.default_rng(0)
    z, delta = (3 * rng.normal(size=(2, 2, 3, 37))).astype(dtype)
    z[0, 0, :3] = -np.inf, np.inf, np.nan
    alpha = np.array(ALPHAS.get(name, (0,)), dtype)
    a, dz = loops(name, z, delta, alpha)
    again, kept, dx = np.full_like(z, 7), None if over_z else np.full_like(z, 7), np.empty_like(z)
    before = z.copy()
    WITH_SLOPE[name](z, again, kept, alpha)
    multiply(z if over_z else kept, delta, dx)
    multiply(z if over_z else kept, delta, None)
    for found, expected in ((again, a), (dx, dz), (delta, dz)):
        np.testing.assert_array_equal(found.view(np.uint8), expected.view(np.uint8))
    assert over_z or np.array_equal(z, before, equal_nan=True)


@pytest.mark.parametrize("name", LOOPS)
def test_small_numbers_keep_their_digits(name):
    """σ(z) - σ(0) is proportional to z near 0, also where 1 + z would round z away."""
    alpha = ALPHAS.get(name, ())
    z = np.array([1e-12, -1e-12, 1e-20, -1e-20])[None, None]
    a, _ = loops(name, z, z, np.array(alpha or [0.0]))
    if name not in ("sigmoid", "hardsigmoid", "softplus"):  # they have another value at 0
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
    a, dz = loops(name, z, np.ones_like(z), np.full(2 if name == "softplus" else 1, 0.5, dtype))
    assert np.isnan(a).tolist() == [[[True, False, True]]]
    constant = {
        "identity": 1, "relu": 1, "leaky-relu": 0.5, "relu6": 1, "hardsigmoid": dtype(1) / 6
    }  # fmt: skip
    expected = constant.get(name, np.nan)
    np.testing.assert_array_equal(dz[0, 0, [0, 2]], [expected] * 2)


def test_same_bits_with_one_and_two_threads():
    rng = np.random.default_rng(0)
    z, delta = rng.normal(size=(2, 5, 7, 99)).astype(np.float32)

    def results():
        out = np.empty(7, np.float32)
        leaky_relu_alpha_gradient(z, delta, out)
        return [*loops("gelu", z, delta, np.zeros(1, np.float32)), out]

    for one, two in zip(*with_one_and_two_threads(results)):
        np.testing.assert_array_equal(one, two)
