"""Losses: known numbers, gradients, extremes, and what they refuse."""

import math

import numpy as np
import pytest

from minicnn import lanes
from minicnn.errors import ArgumentError
from minicnn.gradcheck import check_loss
from minicnn.losses import MeanSquaredError, SoftmaxCrossEntropy, predicted_classes

EPS = {np.float32: 2.0**-23, np.float64: 2.0**-52}
SCORES = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
LABELS = np.array([2, 1])


def evaluate(loss, rows, targets, dtype=np.float64):
    """Value and gradient of ordinary arrays, the gradient as a copy."""
    value, gradient = loss(lanes.pack(np.asarray(rows), dtype), targets)
    return value, lanes.unpack(gradient, len(rows))


@pytest.mark.parametrize("dtype", EPS)
def test_cross_entropy_values(dtype):
    """-log softmax([1, 2, 3])[2] = 0.4076059644443804, a number that every framework gives."""
    value, gradient = evaluate(SoftmaxCrossEntropy(), SCORES, LABELS, dtype)
    assert value == pytest.approx((0.4076059644443804 + math.log(3)) / 2, rel=2 * EPS[dtype])
    p = np.exp([-2.0, -1.0, 0.0]) / sum(np.exp([-2.0, -1.0, 0.0]))
    expected = np.array([p - [0, 0, 1], [1 / 3, -2 / 3, 1 / 3]]) / 2
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=2 * EPS[dtype])
    assert isinstance(value, float) and gradient.dtype == dtype


@pytest.mark.parametrize("dtype", EPS)
def test_label_smoothing_mixes_the_label_with_the_uniform_distribution(dtype):
    """With smoothing .3 the target of class 2 of 3 is (.1, .1, .8): .1 * 2 + .1 * 1 more."""
    value, gradient = evaluate(SoftmaxCrossEntropy(0.3), SCORES[:1], LABELS[:1], dtype)
    assert value == pytest.approx(0.7076059644443804, rel=2 * EPS[dtype])
    p = np.exp([-2.0, -1.0, 0.0]) / sum(np.exp([-2.0, -1.0, 0.0]))
    np.testing.assert_allclose(gradient[0], p - [0.1, 0.1, 0.8], atol=2 * EPS[dtype])


@pytest.mark.parametrize("dtype", EPS)
def test_mean_squared_error_values(dtype):
    value, gradient = evaluate(MeanSquaredError(), SCORES, LABELS, dtype)
    assert value == pytest.approx((1 + 4 + 4 + 0 + 1 + 0) / 6, rel=1e-15)
    expected = np.array([[1, 2, 2], [0, -1, 0]]) / 3
    np.testing.assert_allclose(gradient, expected, rtol=2 * EPS[dtype])
    one_hot = np.array([[0, 0, 1], [0, 1, 0]])
    same = evaluate(MeanSquaredError(), SCORES, one_hot, dtype)
    assert same[0] == value
    np.testing.assert_array_equal(same[1], gradient)


@pytest.mark.parametrize("samples", [1, 3, 16, 21])
@pytest.mark.parametrize(
    "loss", [SoftmaxCrossEntropy(), SoftmaxCrossEntropy(0.2), MeanSquaredError()]
)
def test_gradients_are_difference_quotients(loss, samples):
    rng = np.random.default_rng(samples)
    scores, labels = rng.normal(size=(samples, 7)), rng.integers(0, 7, samples)
    report = check_loss(loss, scores, labels)
    assert report.worst < 1e-8, report


def test_gradient_of_mean_squared_error_towards_an_array_is_a_difference_quotient():
    scores, targets = np.random.default_rng(0).normal(size=(2, 5, 4))
    report = check_loss(MeanSquaredError(), scores, targets)
    assert report.worst < 1e-8, report


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_scores_of_zero_cost_the_logarithm_of_the_classes(classes, smoothing, dtype):
    labels = np.arange(20) % classes
    value, _ = evaluate(SoftmaxCrossEntropy(smoothing), np.zeros((20, classes)), labels, dtype)
    # Smoothing adds up `classes` shares, each rounded.
    roundings = classes if smoothing else 2
    assert value == pytest.approx(math.log(classes), rel=roundings * EPS[dtype])


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradients_of_cross_entropy_sum_to_zero_in_every_sample(smoothing, dtype):
    rows = np.random.default_rng(0).normal(0, 5, (33, 10))
    _, gradient = evaluate(SoftmaxCrossEntropy(smoothing), rows, np.arange(33) % 10, dtype)
    assert abs(gradient.sum(axis=1)).max() < 10 * EPS[dtype] / 33


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_a_shift_of_all_scores_changes_nothing(shift, dtype):
    rows = np.random.default_rng(0).integers(-5, 6, (5, 4)).astype(np.float64)
    loss, labels = SoftmaxCrossEntropy(0.1), np.arange(5) % 4
    value, gradient = evaluate(loss, rows, labels, dtype)
    shifted = evaluate(loss, rows + shift, labels, dtype)
    assert value == shifted[0]
    np.testing.assert_array_equal(gradient, shifted[1])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize(
    "loss", [SoftmaxCrossEntropy(), SoftmaxCrossEntropy(0.1), MeanSquaredError()]
)
def test_logits_of_ten_thousand_are_finite_and_silent(loss, dtype):
    rows = np.array([[1e4, -1e4], [-1e4, 1e4], [1e4, 1e4], [-1e4, -1e4]])
    value, gradient = evaluate(loss, rows, [1, 1, 0, 0], dtype)
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), MeanSquaredError()])
def test_one_gradient_buffer_serves_batches_of_any_size_and_its_spare_lanes_are_zero(loss):
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(40, 5)), rng.integers(0, 5, 40)
    first = loss(lanes.pack(rows, np.float64), labels)[1]
    for samples in (3, 40, 17):
        _, gradient = loss(lanes.pack(rows[:samples], np.float64), labels[:samples])
        assert np.shares_memory(gradient, first)
        spare = lanes.unpack(gradient, len(gradient) * lanes.LANES)[samples:]
        assert spare.size and not spare.any()
        fresh = type(loss)()(lanes.pack(rows[:samples], np.float64), labels[:samples])[1]
        np.testing.assert_array_equal(gradient, fresh)


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), MeanSquaredError()])
def test_one_loss_serves_scores_of_any_count_and_dtype(loss):
    for dtype, classes in ((np.float64, 5), (np.float32, 5), (np.float32, 3), (np.float64, 7)):
        value, gradient = evaluate(loss, np.ones((4, classes)), [0, 1, 2, 0], dtype)
        fresh = evaluate(type(loss)(), np.ones((4, classes)), [0, 1, 2, 0], dtype)
        assert value == fresh[0] and gradient.dtype == dtype
        np.testing.assert_array_equal(gradient, fresh[1])


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.uint64, list])
def test_labels_may_be_any_whole_numbers(kind):
    labels = kind(LABELS) if kind is list else LABELS.astype(kind)
    for loss in (SoftmaxCrossEntropy(), MeanSquaredError()):
        assert evaluate(loss, SCORES, labels)[0] == evaluate(loss, SCORES, LABELS)[0]


@pytest.mark.parametrize("dtype", EPS)
def test_predicted_classes_are_the_first_of_the_largest(dtype):
    rows = np.array([[0, 3, 3], [1, 0, 1], [-5, -2, -1]] * 6)
    np.testing.assert_array_equal(
        predicted_classes(lanes.pack(rows, dtype), 17), ([1, 0, 2] * 6)[:17]
    )


CE, MSE = SoftmaxCrossEntropy(), MeanSquaredError()
PACKED = np.zeros((2, 3, 16), np.float32)
TWENTY = np.zeros(20, np.int64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: CE(PACKED, np.full(20, 3)),
            "from 0 to 2, as the model gives 3 scores, got 3 to 3",
        ),
        (lambda: CE(PACKED, TWENTY - 1), "got -1 to -1"),
        (lambda: MSE(PACKED, np.full(20, 3)), "got 3 to 3"),
        (lambda: CE(PACKED, np.zeros(20)), "whole numbers .* got float64"),
        (lambda: CE(PACKED, np.zeros(20, bool)), "got bool"),
        (lambda: MSE(PACKED, np.zeros(20)), "got float64"),
        (lambda: CE(PACKED, np.zeros((20, 3), int)), r"whole numbers of shape \(N,\)"),
        (lambda: MSE(PACKED, np.zeros((20, 4))), r"\(N, 3\) or \(N,\), got \(20, 4\)"),
        (lambda: MSE(PACKED, np.zeros((20, 3, 1))), r"got \(20, 3, 1\)"),
        (lambda: CE(PACKED, np.zeros(16, int)), r"2 groups of up to 16 samples; .* \(16,\)"),
        (lambda: CE(PACKED, np.zeros(33, int)), r"\(33,\) do not fit"),
        (lambda: CE(PACKED[:0], np.zeros(0, int)), "do not fit"),
        (lambda: CE(PACKED, 1), r"shape \(\) do not fit"),
        (lambda: CE(np.zeros((20, 3)), TWENTY), r"in lanes, \(G, K, 16\), got shape \(20, 3\)"),
        (lambda: CE(np.zeros((2, 3, 1, 1, 16)), TWENTY), "must end in a vector"),
        (lambda: SoftmaxCrossEntropy(1.0), r"\[0, 1\), got 1.0"),
        (lambda: SoftmaxCrossEntropy(-0.1), "got -0.1"),
        (lambda: SoftmaxCrossEntropy(math.nan), "got nan"),
        (lambda: SoftmaxCrossEntropy("0.1"), "got '0.1'"),
        (lambda: SoftmaxCrossEntropy(False), "got False"),
    ],
)
def test_what_cannot_work_is_refused(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


@pytest.mark.parametrize("scores", [None, [[1.0]], 3])
def test_scores_that_are_no_array_are_refused_at_the_first_call(scores):
    with pytest.raises(ArgumentError, match="scores"):
        SoftmaxCrossEntropy()(scores, np.zeros(3, int))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_of_one_class_are_that_class(smoothing, dtype):
    rng = np.random.default_rng(3)
    scores, labels = 5 * rng.normal(size=(37, 6)), rng.integers(0, 6, 37)
    packed, loss = lanes.pack(scores, dtype), SoftmaxCrossEntropy(smoothing)
    value, gradient = loss(packed, labels)
    hard = value, gradient.copy()
    value, gradient = loss(packed, np.eye(6)[labels])
    assert value == pytest.approx(hard[0], rel=1e-14)
    np.testing.assert_allclose(gradient, hard[1], rtol=1e-6, atol=np.finfo(dtype).eps / 37)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_probabilities_is_linear_in_them(smoothing):
    """As mixup needs it: the share of one label and the share of another."""
    rng = np.random.default_rng(4)
    packed, loss = (
        lanes.pack(3 * rng.normal(size=(20, 5)), np.float64),
        SoftmaxCrossEntropy(smoothing),
    )
    one, other = rng.integers(0, 5, (2, 20))
    values, gradients = [], []
    for labels in (one, other):
        value, gradient = loss(packed, labels)
        values.append(value), gradients.append(gradient.copy())
    value, gradient = loss(packed, 0.3 * np.eye(5)[one] + 0.7 * np.eye(5)[other])
    assert value == pytest.approx(0.3 * values[0] + 0.7 * values[1], rel=1e-14)
    np.testing.assert_allclose(gradient, 0.3 * gradients[0] + 0.7 * gradients[1], atol=1e-16)


@pytest.mark.parametrize(
    "targets",
    [
        np.full((20, 5), 0.3),
        np.eye(5)[[0] * 20] * 2 - 0.2,
        np.full((20, 4), 0.25),
        np.full((20, 5), np.nan),
    ],
)  # fmt: skip
def test_targets_that_are_no_probabilities(targets):
    with pytest.raises(ArgumentError, match="probabilities"):
        SoftmaxCrossEntropy()(lanes.pack(np.zeros((20, 5)), np.float64), targets)
