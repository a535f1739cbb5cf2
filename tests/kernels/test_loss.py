"""The loss kernels against the reference, sample by sample."""

import numpy as np
import pytest

from minicnn import lanes
from minicnn import reference as ref
from minicnn.kernels import elementwise_loss
from minicnn.kernels import loss as kernels
from minicnn.kernels.loss import predict

EPS = {np.float32: 2.0**-23, np.float64: 2.0**-52}
BATCHES = [1, 2, 15, 16, 17, 40]


def softmax_cross_entropy(scores, labels, smoothing, gradient):
    value = np.zeros(1)
    kernels.softmax_cross_entropy(scores, labels, np.array([smoothing]), gradient, value)
    return value[0]


def mean_squared_error(scores, targets, gradient):
    value = np.zeros(1)
    settings = np.array([targets.size, 0.0])
    elementwise_loss.mean_squared_error(scores, targets, settings, gradient, value)
    return value[0]


def packed(rows, dtype, spare=np.nan):
    """Rows in lanes, and the spare lanes full of what must not be read."""
    scores = lanes.pack(rows, dtype)
    count = scores.shape[0] * lanes.LANES - len(rows)
    if count:
        scores[-1, ..., lanes.LANES - count :] = spare
    return scores


def assert_spare_lanes_are_zero(gradient, samples):
    assert not lanes.unpack(gradient, len(gradient) * lanes.LANES)[samples:].any()


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("classes", [1, 2, 10])
@pytest.mark.parametrize("samples", BATCHES)
def test_softmax_cross_entropy_is_the_mean_of_the_references(samples, classes, smoothing, dtype):
    rng = np.random.default_rng(samples)
    rows = rng.normal(0, 3, (samples, classes)).astype(dtype)
    labels = rng.integers(0, classes, samples)
    scores = packed(rows, dtype)
    gradient = np.full_like(scores, np.nan)
    value = softmax_cross_entropy(scores, labels, smoothing, gradient)
    exact = rows.astype(np.float64)
    expected = np.mean([ref.cross_entropy(s, y, smoothing) for s, y in zip(exact, labels)])
    slopes = [ref.cross_entropy_gradient(s, y, smoothing) for s, y in zip(exact, labels)]
    # Some roundings a class of numbers up to the spread of the scores, about 20.
    eps = EPS[dtype]
    assert value == pytest.approx(expected, rel=0, abs=100 * eps)
    found = lanes.unpack(gradient, samples)
    np.testing.assert_allclose(found * samples, slopes, rtol=0, atol=20 * eps)
    assert_spare_lanes_are_zero(gradient, samples)


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("samples", BATCHES)
def test_mean_squared_error_is_the_mean_of_the_references(samples, outputs, dtype):
    rows, targets = np.random.default_rng(samples).normal(size=(2, samples, outputs)).astype(dtype)
    scores = packed(rows, dtype)
    gradient = np.full_like(scores, np.nan)
    value = mean_squared_error(scores, targets, gradient)
    pairs = [(s.astype(np.float64), t.astype(np.float64)) for s, t in zip(rows, targets)]
    eps = EPS[dtype]
    expected = np.mean([ref.mean_squared_error(s, t) for s, t in pairs])
    assert value == pytest.approx(expected, rel=4 * eps)
    slopes = [ref.mean_squared_error_gradient(s, t) for s, t in pairs]
    found = lanes.unpack(gradient, samples)
    np.testing.assert_allclose(found * samples, slopes, rtol=0, atol=8 * eps)
    assert_spare_lanes_are_zero(gradient, samples)


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_huge_scores_give_the_exact_value_and_no_nan(size, dtype):
    """One-hot softmax: the right class costs 0, a wrong one the whole distance."""
    rows = np.array([[size, -size, 0], [-size, size, 0], [size, size, -size]])
    scores = packed(rows, dtype)
    gradient = np.empty_like(scores)
    value = softmax_cross_entropy(scores, np.array([0, 0, 1]), 0.0, gradient)
    expected = (0 + 2 * float(dtype(size)) + np.log(2)) / 3
    assert value == pytest.approx(expected, rel=4 * EPS[dtype])
    # exp(-100) is all that is left of the other classes.
    slopes = np.array([[0, 0, 0], [-1, 1, 0], [0.5, -0.5, 0]]) / 3
    np.testing.assert_allclose(lanes.unpack(gradient, 3), slopes, atol=1e-7)


@pytest.mark.parametrize("dtype", EPS)
def test_nan_and_infinity_reach_the_value(dtype):
    """So that the first step that goes wrong is seen, whichever class it happens in."""
    for bad in (np.nan, np.inf):
        for k in range(3):
            for label in range(3):
                rows = np.array([[0.5, -1, 2], [1, 2, 3]])
                rows[1, k] = bad
                scores = packed(rows, dtype, spare=0)
                value = softmax_cross_entropy(
                    scores, np.array([0, label]), 0.0, np.empty_like(scores)
                )
                assert not np.isfinite(value), (bad, k, label)


@pytest.mark.parametrize("dtype", EPS)
def test_a_right_and_certain_answer_keeps_its_digits(dtype):
    """p = 1 - 1e-13: the loss and the true class's gradient are 1e-13, not the rounding of 1."""
    scores = packed(np.array([[30.0, 0, -5, 1]]), dtype)
    gradient = np.empty_like(scores)
    value = softmax_cross_entropy(scores, np.array([0]), 0.0, gradient)
    others = np.exp(-30.0) + np.exp(-35.0) + np.exp(-29.0)
    assert value == pytest.approx(np.log1p(others), rel=4 * EPS[dtype], abs=0)
    expected = [-others, np.exp(-30.0), np.exp(-35.0), np.exp(-29.0)]
    expected = np.array(expected) / (1 + others)
    np.testing.assert_allclose(gradient[0, :, 0], expected, rtol=4 * EPS[dtype], atol=0)


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_nan_spoils_its_own_sample_and_no_other(bad, dtype):
    for k in range(3):
        rows = np.array([[0.5, -1, 2], [1, 2, 3], [0, 0, 1]])
        scores = packed(rows, dtype)
        good, gradient = np.empty_like(scores), np.empty_like(scores)
        softmax_cross_entropy(scores, np.array([0, 1, 2]), 0.1, good)
        scores[0, k, 1] = bad
        assert np.isnan(softmax_cross_entropy(scores, np.array([0, 1, 2]), 0.1, gradient))
        assert np.isnan(gradient[0, :, 1]).all()
        np.testing.assert_array_equal(gradient[0][:, [0, 2]], good[0][:, [0, 2]])


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("samples", [1, 16, 35])
def test_predict_takes_the_first_of_equals(samples, dtype):
    rows = np.random.default_rng(0).integers(0, 3, (samples, 7))
    classes = np.empty(samples, np.int64)
    predict(packed(rows, dtype), classes)
    np.testing.assert_array_equal(classes, rows.argmax(axis=1))
