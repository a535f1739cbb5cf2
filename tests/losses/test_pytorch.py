"""Losses beside PyTorch: the same values and gradients, and the same plain equations."""

import numba
import numpy as np
import pytest

from minicnn import lanes
from minicnn.gradcheck import check_loss
from minicnn.kernels.runtime.thread_pool import get_num_threads, set_num_threads
from minicnn.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    FocalLoss,
    HuberLoss,
    L1Loss,
    MeanSquaredError,
    NLLLoss,
    SigmoidFocalLoss,
    SmoothL1Loss,
    SoftmaxCrossEntropy,
)

SCORES = np.array([[1.0, -2.0, 0.5], [0.3, 0.7, -1.1], [-0.4, 0.2, 2.0], [0.0, 0.6, -0.9]])
LABELS = np.array([2, 0, 1, 1])
SHARES = np.array([[0.2, 0.5, 0.3], [1, 0, 0], [0.1, 0.1, 0.8], [0, 0.4, 0.6]])
W, V = [0.5, 2.0, 1.0], [3.0, 0.5, 1.5]
CE = SoftmaxCrossEntropy

LOSSES = {
    "weighted": (CE(weight=W), LABELS),
    "smoothed": (CE(0.2, weight=W), LABELS),
    "ignored": (CE(0.2, weight=W, ignore_index=1), LABELS),
    "sum": (CE(0.2, weight=W, ignore_index=2, reduction="sum"), LABELS),
    "soft": (CE(0.2, weight=W), SHARES),
    "nll": (NLLLoss(weight=W, ignore_index=0), LABELS),
    "logits": (BCEWithLogitsLoss(weight=W, pos_weight=V), SHARES),
    "logits-sum": (BCEWithLogitsLoss(pos_weight=V, reduction="sum"), SHARES),
    "probabilities": (BCELoss(weight=W), SHARES),
    "huber": (HuberLoss(0.7), SHARES),
    "smooth-l1": (SmoothL1Loss(0.7), SHARES),
    "l1": (L1Loss(), SHARES),
    "l1-sum": (L1Loss("sum"), SHARES),
    "mse-sum": (MeanSquaredError("sum"), SHARES),
    "focal": (FocalLoss(1.5, W), LABELS),
    "sigmoid-focal": (SigmoidFocalLoss(), SHARES),
    "sigmoid-focal-sum": (SigmoidFocalLoss(None, 0.5, "sum"), SHARES),
}

# Value, gradient of the first sample and sum of all |gradients|, from PyTorch 2.14.1 in float64. It
# has no focal loss; these are written in it, with its automatic gradient, the second as torchvision
# has it.
PYTORCH = [
    ("weighted", 1.21969649559, [0.109772526572, 0.005465252285, -0.115237778858], 1.29429249056),
    ("smoothed", 1.23990265539, [0.107371004731, -0.018594996881, -0.08877600785], 1.08835447338),
    ("ignored", 1.35517236943, [0.393693684013, -0.06818165523, -0.325512028784], 1.06964213224),
    ("sum", 5.46471447221, [0.0, 0.0, 0.0], 4.80486855157),
    ("soft", 1.71927514212, [0.175935043197, -0.223163409706, 0.047228366509], 0.821123424672),
    ("nll", -0.42, [0.0, 0.0, -0.2], 1),
    ("logits", 0.957677548846, [0.017645083753, -0.026766301414, 0.022152352574], 0.458257405649),
    ("logits-sum", 10.5007250324, [0.42348201008, -0.160597808483, 0.26582823088], 5.07230057846),
    ("probabilities", 0.96565546976, [0.11254373227, -0.60447673464, 0.1143454743], 2.32493156258),
    ("huber", 0.367083333333, [0.058333333333, -0.058333333333, 0.016666666667], 0.491666666667),
    ("smooth-l1", 0.524404761905, [0.083333333333, -0.083333333333, 0.02380952381], 0.702380952381),
    ("l1", 0.791666666667, [0.083333333333, -0.083333333333, 0.083333333333], 0.916666666667),
    ("l1-sum", 9.5, [1.0, -1.0, 1.0], 11),
    ("mse-sum", 13.11, [1.6, -5.0, 0.4], 19),
    (
        "sigmoid-focal",
        0.133606494922,
        [0.020818231359, -0.003966636229, 0.009111863112],
        0.134141983926,
    ),
    (
        "sigmoid-focal-sum",
        6.62831784904,
        [0.50656147198, -0.269264196094, 0.291196046022],
        3.97943708651,
    ),
    ("focal", 1.09321094023, [0.142469229093, 0.007093125249, -0.149562354343], 1.74039459125),
]
DTYPES = {np.float32: 1e-5, np.float64: 1e-12}


def scores_for(name, scores=SCORES):
    return 1 / (1 + np.exp(-scores)) if name == "probabilities" else scores


def evaluate(loss, rows, targets, dtype=np.float64):
    value, gradient = loss(lanes.pack(np.asarray(rows), dtype), targets)
    return value, lanes.unpack(gradient, len(rows))


@pytest.mark.parametrize(("name", "value", "first", "size"), PYTORCH)
def test_values_and_gradients_are_those_of_pytorch(name, value, first, size):
    loss, targets = LOSSES[name]
    found, gradient = evaluate(loss, scores_for(name), targets)
    assert found == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(gradient[0], first, atol=1e-11)
    assert np.abs(gradient).sum() == pytest.approx(size, rel=1e-10)


def random_targets(targets, samples, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    if targets.ndim == 1:
        return rng.integers(0, classes, samples)
    return rng.dirichlet(np.ones(classes), samples)


def plain(name, loss, s, t):
    """The equations in NumPy: a value for each sample, what they are divided by, and slopes."""
    mean, (samples, outputs) = loss.reduction == "mean", s.shape
    w = np.ones(outputs) if getattr(loss, "weight", None) is None else loss.weight
    d = s - t if t.ndim == 2 else None
    numbers = s.size if mean else 1
    if isinstance(loss, (CE, NLLLoss, FocalLoss)):
        hard, smoothing = t.ndim == 1, loss.label_smoothing
        shares = np.eye(outputs)[t] if hard else t
        w = loss.alpha if isinstance(loss, FocalLoss) else w
        c = w * ((1 - smoothing) * shares + smoothing / outputs)
        counted = t != loss.ignore_index if hard else np.ones(samples, bool)
        c = c * counted[:, None]
        sizes = w[t] if hard and not isinstance(loss, FocalLoss) else np.ones(samples)
        numbers = (sizes * counted).sum() if mean else 1
        if isinstance(loss, NLLLoss):
            return -(c * s), numbers, -c
        log_p = s - np.logaddexp.reduce(s, axis=1, keepdims=True)
        p, gamma = np.exp(log_p), getattr(loss, "gamma", 0)
        u = c * (gamma * (1 - p) ** (gamma - 1) * p * log_p - (1 - p) ** gamma)
        return -c * (1 - p) ** gamma * log_p, numbers, u - p * u.sum(1, keepdims=True)
    if isinstance(loss, BCEWithLogitsLoss):
        v, p = 1 if loss.pos_weight is None else loss.pos_weight, 1 / (1 + np.exp(-s))
        terms = w * (v * t * np.logaddexp(0, -s) + (1 - t) * np.logaddexp(0, s))
        return terms, numbers, w * ((1 - t) * p - v * t * (1 - p))
    if isinstance(loss, SigmoidFocalLoss):
        p, alpha, gamma = 1 / (1 + np.exp(-s)), loss.alpha, loss.gamma
        a = 1 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
        entropy = t * np.logaddexp(0, -s) + (1 - t) * np.logaddexp(0, s)
        q, q_slope = p * (1 - t) + (1 - p) * t, p * (1 - p) * (1 - 2 * t)
        slope = q**gamma * (p - t) + gamma * q ** (gamma - 1) * q_slope * entropy
        return a * q**gamma * entropy, numbers, a * slope
    if isinstance(loss, BCELoss):
        terms = -w * (t * np.log(s) + (1 - t) * np.log(1 - s))
        return terms, numbers, w * (s - t) / (s * (1 - s))
    if isinstance(loss, MeanSquaredError):
        return d**2, numbers, 2 * d
    limit = loss.delta if isinstance(loss, HuberLoss) else loss.beta
    scale = limit if isinstance(loss, HuberLoss) else 1
    inside = np.abs(d) < limit
    ratio = d / limit if limit else d
    terms = np.where(inside, ratio * d / 2, np.abs(d) - limit / 2)
    return scale * terms, numbers, scale * np.where(inside, ratio, np.sign(d))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_kernels_are_the_plain_equations(name, dtype):
    loss, targets = LOSSES[name]
    t = random_targets(targets, 37).astype(targets.dtype if targets.ndim == 1 else dtype)
    s = scores_for(name, np.random.default_rng(1).normal(0, 2, (37, 3))).astype(dtype)
    values, divisor, slopes = plain(name, loss, s.astype(np.float64), t.astype(np.float64)
                                    if t.ndim == 2 else t)  # fmt: skip
    value, gradient = evaluate(loss, s, t, dtype)
    assert value == pytest.approx(values.sum() / divisor, rel=DTYPES[dtype])
    scale = np.abs(slopes / divisor).max()
    np.testing.assert_allclose(gradient, slopes / divisor, rtol=0, atol=DTYPES[dtype] * scale)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_difference_quotients(name):
    loss, targets = LOSSES[name]
    rng = np.random.default_rng(7)
    t = random_targets(targets, 17, seed=3)
    if t.ndim == 1:  # batches of one sample must count
        t[0] = next(k for k in range(3) if k != loss.ignore_index)
    report = check_loss(loss, scores_for(name, rng.normal(size=(17, 3))), t)
    assert report.worst < 1e-7, report


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_scores_of_ten_thousand_are_finite_and_a_nan_is_seen(name, dtype):
    loss, targets = LOSSES[name]
    rows = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [1e4, 1e4, -1e4], [0, 0, 1e4]])
    rows = np.array([[0, 1, 0.5], [1, 0, 0], [0, 0, 1], [1, 1, 1]]) if "prob" in name else rows
    value, gradient = evaluate(loss, rows, targets, dtype)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    for place in ((0, 0), (1, 2), (2, 1)):
        broken = scores_for(name).copy()
        broken[place] = np.nan
        value, gradient = evaluate(loss, broken, targets, dtype)
        assert np.isnan(value) and np.isnan(gradient[place])
        assert np.isfinite(gradient[3]).all()


@pytest.mark.parametrize("name", LOSSES)
def test_the_bits_are_those_of_one_thread(name):
    loss, targets = LOSSES[name]
    t = random_targets(targets, 200)
    s = scores_for(name, np.random.default_rng(2).normal(size=(200, 3)))
    found, before = [], get_num_threads()
    if numba.config.NUMBA_NUM_THREADS == 1:
        pytest.skip("one thread only")
    try:
        for threads in (1, 2):
            set_num_threads(threads)
            value, gradient = evaluate(loss, s, t, np.float32)
            found.append((value, gradient.tobytes()))
    finally:
        set_num_threads(before)
    assert found[0] == found[1]


def test_logarithms_of_probabilities_are_cut_off_as_in_pytorch():
    """Value and gradient from PyTorch 2.14.1: the logarithm is at least -100."""
    loss = BCELoss()
    value, gradient = evaluate(loss, [[0.0, 1.0, 0.5]], [[1.0, 1.0, 0.0]])
    assert value == pytest.approx(33.564382393519985, rel=1e-14)
    np.testing.assert_allclose(gradient[0], [-1 / 3e-12, 0, 2 / 3], rtol=1e-12)
    assert np.isnan(evaluate(loss, [[1.1, 0.2, 0.5]], [[1.0, 1.0, 0.0]])[0])


def test_a_focal_loss_without_focus_is_the_cross_entropy():
    rows = 3 * np.random.default_rng(0).normal(size=(20, 5))
    labels = np.arange(20) % 5
    value, gradient = evaluate(FocalLoss(0), rows, labels)
    expected = evaluate(CE(), rows, labels)
    assert value == pytest.approx(expected[0], rel=1e-14)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-16)


@pytest.mark.parametrize("gamma", [0.1, 0.5, 1, 5])
def test_a_focal_loss_is_smooth_where_a_sample_is_certain(gamma):
    rows = np.array([[40.0, 0, 0], [800, 0, 0], [0, 800, 0]])
    value, gradient = evaluate(FocalLoss(gamma, reduction="sum"), rows, [0, 0, 0])
    assert value == pytest.approx(800, rel=1e-14)
    assert np.isfinite(gradient).all() and abs(gradient[1]).max() == 0


def test_a_log_softmax_before_it_makes_the_likelihood_the_cross_entropy():
    log_p = SCORES - np.logaddexp.reduce(SCORES, axis=1, keepdims=True)
    for targets in (LABELS, SHARES):
        value, _ = evaluate(NLLLoss(W), log_p, targets)
        assert value == pytest.approx(evaluate(CE(weight=W), SCORES, targets)[0], rel=1e-14)
    log_p[0] = [-np.inf, -np.inf, 0]
    assert np.isfinite(evaluate(NLLLoss(), log_p, LABELS)[0])


def test_sigmoid_focal_loss_of_scores_of_any_size():
    """Without a focus it is the cross-entropy; right answers cost 0, wrong ones their score."""
    rows, targets = [[800.0, -800.0, 30.0]], np.array([[1.0, 0.0, 1.0]])
    plain_loss = evaluate(BCEWithLogitsLoss(reduction="sum"), rows, 1 - targets)
    for gamma in (0, 0.5, 2):
        loss = SigmoidFocalLoss(None, gamma, "sum")
        value, gradient = evaluate(loss, rows, 1 - targets)
        assert value == pytest.approx(plain_loss[0], rel=1e-10)
        np.testing.assert_allclose(gradient, plain_loss[1], atol=1e-9)
        value, gradient = evaluate(loss, rows, targets)
        assert 0 <= value < 1e-12 and np.abs(gradient).max() < 1e-12
    value, gradient = evaluate(SigmoidFocalLoss(), [[np.nan, 0.0, 0.0]], targets)
    assert np.isnan(value) and np.isnan(gradient[0, 0])
