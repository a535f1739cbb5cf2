"""Batch normalization: the reference's equations, and statistics that last."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import lanes
from minicnn import reference as ref
from minicnn.errors import ArgumentError
from minicnn.layers import BatchNorm
from minicnn.models import Sequential
from tests import alone
from tests.kernels.conv.test_correlate import EXAMPLES, assert_close
from tests.layers.cases import Case, run


def moments(x):
    """Mean and unbiased variance of each channel."""
    channels = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    return channels.mean(axis=1), channels.var(axis=1, ddof=1)


@EXAMPLES
@given(
    st.integers(2, 40),
    st.one_of(st.tuples(st.integers(1, 5)), st.tuples(st.integers(1, 5), *[st.integers(1, 4)] * 2)),
    st.sampled_from([1e-5, 0.1]),
)
def test_values_and_gradients_are_the_references(samples, shape, eps):
    case = Case(lambda: BatchNorm(eps=eps), shape)
    rng = np.random.default_rng(samples)
    x = 3 + 2 * rng.normal(size=(samples, *shape))
    delta = rng.normal(size=x.shape)
    model = case.built()
    gamma, beta = (p.value for p in model.parameters())
    found = run(model, x, delta)
    dx, d_gamma, d_beta = ref.batch_norm_gradients(delta, x, gamma, eps)
    assert_close(found["y"], ref.batch_norm(x, gamma, beta, eps), 1e-12)
    # dx is a difference of terms as large as gamma delta / std, and so is its rounding.
    axes = (0, *range(2, x.ndim))
    largest = np.abs(delta).max() * np.abs(gamma / np.sqrt(x.var(axes) + eps)).max()
    assert np.abs(found["dx"] - dx).max() <= 1e-12 * largest
    assert_close(found["d 0.batchnorm.weight"], d_gamma, 1e-12)
    assert_close(found["d 0.batchnorm.bias"], d_beta, 1e-12)


@pytest.mark.parametrize("shape", [(3, 5, 4), (3,)])
def test_output_has_mean_beta_and_deviation_gamma(shape):
    case = Case(lambda: BatchNorm(eps=1e-12), shape)
    x, delta = case.batch(40)
    model = case.built()
    gamma, beta = (p.value for p in model.parameters())
    mean, variance = moments(run(model, x, delta)["y"])
    n = x.size / 3
    np.testing.assert_allclose(mean, beta, atol=1e-12)
    np.testing.assert_allclose(variance * (n - 1) / n, gamma**2, rtol=1e-10)


@pytest.mark.parametrize("shape", [(3, 5, 4), (3,)])
def test_running_averages(shape):
    """They begin at mean 0 and variance 1 and take the unbiased variance of each batch."""
    case = Case(lambda: BatchNorm(momentum=0.3), shape)
    model = case.built()
    mean, variance = np.zeros(3), np.ones(3)
    for samples in (5, 40):
        x, delta = case.batch(samples, seed=samples)
        x = x + np.arange(3).reshape(-1, *[1] * (len(shape) - 1))
        found = run(model, x, delta)
        new_mean, new_variance = moments(x)
        mean, variance = 0.7 * mean + 0.3 * new_mean, 0.7 * variance + 0.3 * new_variance
        assert_close(found["0.batchnorm.running_mean"], mean, 1e-12)
        assert_close(found["0.batchnorm.running_var"], variance, 1e-12)


@pytest.mark.parametrize("shape", [(3, 5, 4), (3,)])
def test_evaluation_takes_the_running_averages_and_leaves_them(shape):
    case = Case(BatchNorm, shape)
    x, delta = case.batch(20)
    model = case.built()
    run(model, 2 * x + 1, delta)
    state = model.state_dict()
    gamma, beta, mean, variance = (
        state[f"0.batchnorm.{name}"].reshape(-1, *[1] * (len(shape) - 1))
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    found = run(model, x, delta, training=False)
    inverse = 1 / np.sqrt(variance + 1e-5)
    x_hat = (x - mean) * inverse
    assert_close(found["y"], gamma * x_hat + beta, 1e-12)
    assert_close(found["dx"], gamma * inverse * delta, 1e-12)
    axes = (0, *range(2, x.ndim))
    assert_close(found["d 0.batchnorm.weight"], (delta * x_hat).sum(axes), 1e-12)
    assert_close(found["d 0.batchnorm.bias"], delta.sum(axes), 1e-12)
    for name in state:
        np.testing.assert_array_equal(found[name], state[name])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mean_far_from_zero_costs_few_digits(dtype):
    """Two passes: the mean is taken off before squares are summed."""
    case = Case(BatchNorm, (2, 4, 4))
    x, delta = case.batch(30)
    shifted = run(case.built(dtype), x + 1024, delta)
    assert_close(shifted["y"], run(case.built(), x, delta)["y"], 1e4 * np.finfo(dtype).eps)


def test_one_sample_has_no_variance_but_one_image_has():
    x = np.zeros((1, 3, 16), np.float32)
    model = Sequential(BatchNorm())
    model.initialize((3,))
    with pytest.raises(ArgumentError, match="0.batchnorm: .*at least two values .* one sample"):
        model.forward(x, True, 1)
    assert np.array_equal(model.state_dict()["0.batchnorm.running_mean"], np.zeros(3))
    assert np.isfinite(model.forward(x, False, 1)).all()
    model.initialize((3, 1, 2))
    images = lanes.pack(np.random.default_rng(0).normal(size=(1, 3, 1, 2)))
    y = lanes.unpack(model.forward(images, True, 1), 1)
    np.testing.assert_allclose(np.abs(y), 1, rtol=1e-2)


@pytest.mark.parametrize(
    "dtype, eps", [(np.float32, 1e-46), (np.float32, 1e-39), (np.float64, 1e-310)]
)
def test_eps_must_be_a_normal_number_of_the_dtype(dtype, eps):
    with pytest.raises(ArgumentError, match="eps must be at least .* the smallest normal number"):
        BatchNorm(eps=eps).build((3,), np.random.default_rng(0), dtype)
    x = np.zeros((1, 3, 16), dtype)
    layer = BatchNorm(eps=float(np.finfo(dtype).tiny))
    layer.build((3,), np.random.default_rng(0), dtype)
    assert not alone.forward(layer, x, True, 16).any()


@pytest.mark.parametrize("eps", [0, -1, np.inf, np.nan, "1", True])
def test_eps_out_of_range(eps):
    with pytest.raises(ArgumentError, match="^BatchNorm: eps must be a finite number above 0, got"):
        BatchNorm(eps=eps)


@pytest.mark.parametrize("momentum", [0, 1.1, -0.1, np.nan, None])
def test_momentum_out_of_range(momentum):
    with pytest.raises(ArgumentError, match=r"^BatchNorm: momentum must be in \(0, 1\], got"):
        BatchNorm(momentum=momentum)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e17, 1e25, 1e37])
def test_squares_may_be_beyond_float32(size):
    rng = np.random.default_rng(0)
    x, delta = rng.normal(size=(2, 20, 2, 3, 4))
    x = (size * x).astype(np.float32)
    model = Case(BatchNorm, (2, 3, 4)).built(np.float32)
    gamma, beta = (p.value.astype(np.float64) for p in model.parameters())
    found = run(model, x, delta)
    assert_close(found["y"], ref.batch_norm(x.astype(np.float64), gamma, beta), 1e-5)
