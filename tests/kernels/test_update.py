"""Each compiled rule against the plain Python loop that it is made of, at awkward lengths."""

import numpy as np
import pytest

from minicnn.kernels import update

# Compiled and plain differ by fused multiply-adds only: a few roundings of numbers near 1.
ROUNDINGS = 16

RULES = {
    "sgd": (update.sgd, (), (0.1, 0.0, 0.01, False)),
    "momentum": (update.sgd, ("velocity",), (0.1, 0.9, 0.01, False)),
    "nesterov": (update.sgd, ("velocity",), (0.1, 0.9, 0.01, True)),
    "damped": (update.damped_sgd, ("velocity",), (0.1, 0.9, 0.01, 0.3)),
    "adagrad": (update.adagrad, ("sum",), (0.1, 1e-10, 0.01)),
    "rmsprop": (update.rmsprop, ("average",), (0.1, 0.99, 1e-8, 0.0, 0.01)),
    "rmsprop momentum": (update.rmsprop, ("average", "velocity"), (0.1, 0.9, 1e-8, 0.8, 0.01)),
    "adam": (update.adam, ("m", "v"), (0.1, 0.9, 0.99, 1e-8, 3.0, 7.0, 0.01, 0.0)),
    "adamw": (update.adam, ("m", "v"), (0.1, 0.9, 0.99, 1e-8, 3.0, 7.0, 0.0, 0.02)),
    "nadam": (update.nadam, ("m", "v"), (0.1, 0.2, 0.9, 0.99, 1e-8, 7.0, 0.01, 0.02)),
    "lion": (update.lion, ("m",), (0.1, 0.9, 0.99, 0.02)),
}


SIGNED = "momentum", "nesterov", "damped"
FADING = *SIGNED, "rmsprop", "rmsprop momentum", "adam", "nadam"


def arguments(rule, size, dtype, seed=0):
    """Kernel, arrays (value, grad, averages) and the whole argument list in its order."""
    kernel, averages, scalars = RULES[rule]
    rng = np.random.default_rng(seed)
    value, grad = (rng.normal(size=size).astype(dtype) for _ in range(2))
    kept = [rng.uniform(0.5, 2, size).astype(dtype) for _ in averages]
    missing = [None] * ({"sgd": 1, "rmsprop": 2}.get(kernel.__name__, 0) - len(kept))
    return kernel, [value, grad, *kept], [value, grad, *kept, *missing, np.array(scalars, float)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 15, 67, 2 * update.PART + 3000])
@pytest.mark.parametrize("rule", RULES)
def test_compiled_rule_is_the_written_loop(rule, size, dtype, monkeypatch):
    kernel, compiled, call = arguments(rule, size, dtype)
    kernel(*call)
    for name in (f"_{kernel.__name__}", "bounds"):
        monkeypatch.setattr(update, name, getattr(update, name).py_func)
    _, plain, call = arguments(rule, size, dtype)
    getattr(kernel, "py_func", kernel)(*call)
    for a, b in zip(compiled, plain):
        np.testing.assert_allclose(a, b, rtol=0, atol=ROUNDINGS * np.finfo(dtype).eps)


@pytest.mark.parametrize("rule", RULES)
def test_gradient_is_only_read_and_every_other_array_changes_everywhere(rule):
    _, before, _ = arguments(rule, 67, np.float32)
    kernel, after, call = arguments(rule, 67, np.float32)
    kernel(*call)
    np.testing.assert_array_equal(after[1], before[1])
    for old, new in zip(before[:1] + before[2:], after[:1] + after[2:]):
        assert (old != new).all()


@pytest.mark.parametrize("rule", RULES)
def test_an_element_has_the_same_bits_wherever_it_stands(rule):
    """The vectors' lanes and the rest of the loop after the last full vector agree."""
    kernel, whole, call = arguments(rule, 67, np.float32)
    _, parts, _ = arguments(rule, 67, np.float32)
    kernel(*call)
    numbers = call[-1]
    missing = [a for a in call if a is None]
    for i in range(67):
        kernel(*(a[i : i + 1] for a in parts), *missing, numbers)
    for a, b in zip(whole, parts):
        np.testing.assert_array_equal(a, b)


def test_float32_keeps_the_digits_of_one_minus_beta():
    """In float32, 1 - 0.999 would be off by 5e-5."""
    arrays = [np.zeros(1, np.float32) for _ in range(4)]
    value, grad, m, v = arrays
    grad[:] = 1
    update.adam(value, grad, m, v, np.array([0.1, 0.9, 0.999, 1e-8, 10.0, 1000.0, 0.0, 0.0]))
    np.testing.assert_allclose(v, 0.001, rtol=2e-7)
    np.testing.assert_allclose(m, 0.1, rtol=2e-7)
    square = np.zeros(1, np.float32)
    update.rmsprop(value, grad, square, None, np.array([0.1, 0.999, 1e-8, 0.0, 0.0]))
    np.testing.assert_allclose(square, 0.001, rtol=2e-7)


def test_float32_keeps_the_digits_of_the_shrinkage():
    """A factor 1 - 4.5/2^24 would be rounded to 1 - 4/2^24 and decay 11 % too slowly."""
    shrinkage = 4.5 / 2**24
    value = np.linspace(1, 2, 10_000, endpoint=False, dtype=np.float32)
    start = value.astype(np.float64)
    zeros = [np.zeros_like(value) for _ in range(3)]
    numbers = np.array([0.1, 0.9, 0.999, 1e-8, 1.0, 1.0, 0.0, shrinkage])
    update.adam(value, *zeros, numbers)
    assert (start - value).mean() == pytest.approx(shrinkage * start.mean(), rel=0.03)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sum_of_squares(dtype):
    assert update.sum_of_squares(np.array([3, 4], dtype)) == 25
    assert update.sum_of_squares(np.zeros(0, dtype)) == 0
    assert update.sum_of_squares(np.full(2, 1e30, dtype)) == pytest.approx(2e60, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", FADING)
def test_what_fades_becomes_zero_and_never_subnormal(rule, dtype):
    """Subnormal numbers would make every later step slow."""
    kernel, arrays, call = arguments(rule, 67, dtype)
    arrays[0][:], arrays[1][:] = 0, 0  # neither a gradient nor a weight that decays
    smallest, kept = np.finfo(dtype).tiny, arrays[2:]
    for scale in (1e3 * smallest, -1e3 * smallest):
        for array in kept:
            array[:] = scale if rule in SIGNED else abs(scale)
        for _ in range(1000):
            kernel(*call)
            arrays[0][:] = 0
            for array in kept:
                assert ((array == 0) | (np.abs(array) >= smallest)).all()
        assert not any(array.any() for array in kept)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lion_s_average_becomes_zero_and_never_subnormal(dtype):
    """Its steps go on until then, as they are of one size, and end there."""
    kernel, (value, grad, m), call = arguments("lion", 67, dtype)
    smallest = np.finfo(dtype).tiny
    value[:], grad[:], m[:] = 0, 0, 100 * smallest
    for _ in range(1000):
        kernel(*call)
        assert ((m == 0) | (m >= smallest)).all()
    assert not m.any() and value.any()
    before = value.copy()
    call[-1][-1] = 0  # no weight decay
    kernel(*call)
    np.testing.assert_array_equal(value, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adagrad_s_sum_is_never_subnormal(dtype):
    kernel, (value, grad, kept), call = arguments("adagrad", 67, dtype)
    value[:], kept[:] = 0, 0
    grad[:] = np.sqrt(np.finfo(dtype).tiny) * np.geomspace(1e-3, 1e3, 67)
    kernel(*call)
    assert ((kept == 0) | (kept >= np.finfo(dtype).tiny)).all()
    assert (kept == 0).any() and (kept > 0).any()


def test_a_velocity_of_nan_stays():
    kernel, arrays, call = arguments("momentum", 20, np.float32)
    arrays[2][7] = np.nan
    kernel(*call)
    assert np.isnan(arrays[2][7]) and np.isnan(arrays[2]).sum() == 1
