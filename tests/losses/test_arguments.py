"""What losses refuse, and what they count."""

import math
import re

import numpy as np
import pytest

from minicnn import lanes, losses
from minicnn.errors import ArgumentError
from minicnn.losses import BCELoss, BCEWithLogitsLoss, FocalLoss, L1Loss, NLLLoss, SigmoidFocalLoss
from minicnn.losses import SoftmaxCrossEntropy as CE
from minicnn.losses.reduction import batch_weight, mean_of

PACKED = np.full((2, 3, 16), 0.5)
TWENTY, HALVES = np.zeros(20, int), np.full((20, 3), 0.5)
CLASSES = [CE, NLLLoss]
REDUCED = [
    getattr(losses, name) for name in losses.__all__ if name.endswith(("Loss", "Error", "Entropy"))
]


@pytest.mark.parametrize("cls", REDUCED)
def test_a_loss_for_each_sample_is_refused(cls):
    with pytest.raises(ArgumentError, match='"mean" or "sum", got \'none\'. A backward pass'):
        cls(reduction="none")
    assert cls().reduction == "mean" and cls(reduction="sum").reduction == "sum"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CE(reduction=None), "reduction must be"),
        (lambda: CE(weight=[1, -1, 1]), "weight must hold finite numbers from 0 on, got -1"),
        (lambda: CE(weight=[1, math.nan, 1]), "got nan"),
        (lambda: NLLLoss(weight=[0, 0]), "a sum above 0"),
        (lambda: CE(weight=3), "a vector of K numbers"),
        (lambda: CE(weight=["a"]), "a vector of K numbers"),
        (lambda: CE(weight=[[1, 2]]), "a vector of K numbers"),
        (lambda: CE(ignore_index=0.5), "ignore_index must be an integer"),
        (lambda: CE(weight=[1, 2])(PACKED, TWENTY), "each of the 3 scores, got 2"),
        (lambda: CE(weight=[1, 2, 3])(PACKED, TWENTY + 3), "from 0 to 2.*got 3 to 3"),
        (lambda: CE(weight=[0, 1, 1])(PACKED, TWENTY), "no sample of the batch counts"),
        (lambda: CE()(PACKED, TWENTY - 100), "no sample of the batch counts.*-100"),
        (lambda: NLLLoss(ignore_index=0)(PACKED, TWENTY), 'reduction="sum"'),
        (lambda: FocalLoss(-1), "gamma must be a finite number from 0 on, got -1"),
        (lambda: FocalLoss(alpha=-1.0), "alpha must hold finite numbers"),
        (lambda: FocalLoss(alpha=[1, 2])(PACKED, TWENTY), "alpha must have a number for each"),
        (lambda: SigmoidFocalLoss(alpha=-1), "from 0 to 1, or None for no weights, got -1"),
        (lambda: SigmoidFocalLoss(gamma=-0.5), "gamma must be a finite number from 0 on"),
        (lambda: SigmoidFocalLoss()(PACKED, 3 * HALVES), "from 0 to 1, got 1.5 to 1.5"),
        (lambda: losses.HuberLoss(0), "delta"),
        (lambda: losses.SmoothL1Loss(-1), "beta must be a finite number from 0 on"),
        (lambda: BCEWithLogitsLoss()(PACKED, 3 * HALVES), "from 0 to 1, got 1.5 to 1.5"),
        (lambda: BCELoss()(PACKED, HALVES * math.nan), "from 0 to 1, got nan"),
        (lambda: BCELoss(weight=[1])(PACKED, HALVES), "weight must have a number for each"),
        (lambda: BCEWithLogitsLoss(pos_weight=[1] * 4)(PACKED, HALVES), "pos_weight must have"),
        (lambda: BCELoss()(PACKED, TWENTY + 3), "from 0 to 2"),
        (lambda: L1Loss()(PACKED, np.zeros((20, 4))), r"\(N, 3\) or \(N,\)"),
        (lambda: L1Loss()(PACKED, np.full((20, 3), "a")), "that are numbers"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(make, message):
    with pytest.raises(ArgumentError, match=re.compile(message, re.DOTALL)):
        make()


@pytest.mark.parametrize("cls", [CE, NLLLoss, FocalLoss])
def test_a_sum_over_nothing_is_zero(cls):
    value, gradient = cls(ignore_index=0, reduction="sum")(PACKED, TWENTY)
    assert value == 0 and not gradient.any()


def test_ignored_samples_are_as_if_they_were_not_there():
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(20, 3)), rng.integers(0, 3, 20)
    kept = np.arange(20) % 3 != 1
    for outside in (-100, 3):
        loss = CE(0.1, ignore_index=outside)
        value, gradient = loss(lanes.pack(rows, np.float64), np.where(kept, labels, outside))
        gradient = lanes.unpack(gradient, 20)
        expected, part = CE(0.1)(lanes.pack(rows[kept], np.float64), labels[kept])
        assert value == pytest.approx(expected, rel=1e-14)
        np.testing.assert_allclose(gradient[kept], lanes.unpack(part, kept.sum()), atol=1e-17)
        assert not gradient[~kept].any()


@pytest.mark.parametrize(
    "cls", [BCEWithLogitsLoss, BCELoss, SigmoidFocalLoss, L1Loss, losses.MeanSquaredError]
)
def test_one_output_takes_one_target_a_sample(cls):
    scores, targets = lanes.pack(np.linspace(0.1, 0.9, 5)[:, None], np.float64), [0, 1, 1, 0, 1]
    value, gradient = cls()(scores, targets)
    gradient = gradient.copy()
    again = cls()(scores, np.array(targets, float)[:, None])
    assert value == again[0]
    np.testing.assert_array_equal(gradient, again[1])


def test_the_weight_of_a_batch():
    labels = np.array([0, 1, 1, 2])
    assert batch_weight(CE(), labels) == batch_weight(lambda s, t: None, labels) == 4
    assert batch_weight(CE(weight=[0.5, 2, 1], ignore_index=2), labels) == 4.5
    assert batch_weight(CE(weight=[0.5, 2, 1]), np.eye(3)) == 3
    assert mean_of(CE(reduction="sum"), 6.0, 4) == 1.5 and mean_of(CE(), 6.0, 4) == 6
