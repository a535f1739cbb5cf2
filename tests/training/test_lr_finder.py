"""The learning rate finder and the trial on one batch leave everything as it was."""

import math

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.layers import Dense, Flatten
from minicnn.models import Sequential
from minicnn.optimizers import SGD, Adam
from minicnn.training import find_lr, overfit_batch
from minicnn.training.lr_finder import LRCurve
from tests.training.test_averaging import a_model, a_set, a_trainer


@pytest.mark.parametrize("use", [find_lr, overfit_batch])
@pytest.mark.parametrize("rule", [lambda p: SGD(p, 0.1, 0.9), lambda p: Adam(p, 0.01)])
def test_a_training_is_the_same_after_it(use, rule):
    def trained(with_it):
        trainer = a_trainer(epochs=2)
        trainer.optimizer = rule(trainer.model.parameters())
        trainer.base_lr = trainer._rate = trainer.optimizer.lr
        if with_it:
            use(trainer.model, trainer.optimizer, trainer.train, batch_size=16, steps=20)
        trainer.fit()
        return trainer.model.state_dict()

    for (name, a), b in zip(trained(False).items(), trained(True).values()):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_the_curve_is_that_of_the_steps():
    model, train = a_model(), a_set()
    curve = find_lr(model, SGD(model.parameters(), 0.1), train, batch_size=16, steps=30)
    assert len(curve.lrs) == len(curve.losses) == len(curve.smoothed)
    np.testing.assert_allclose(curve.lrs, np.geomspace(1e-6, 10, 30)[: len(curve.lrs)])
    mean = 0.0
    for number, (loss, smoothed) in enumerate(zip(curve.losses, curve.smoothed), start=1):
        mean = 0.9 * mean + 0.1 * loss
        assert smoothed == pytest.approx(mean / (1 - 0.9**number), rel=1e-12)
    assert curve.suggestion == curve.lrs[curve.smoothed.argmin()] / 3


def test_an_explosion_ends_it():
    model = Sequential(Flatten(), Dense(3))
    model.initialize((1, 6, 6), seed=0)
    optimizer = SGD(model.parameters(), 0.1)
    curve = find_lr(model, optimizer, a_set(), batch_size=16, highest=1e6)
    assert len(curve.lrs) < 100 and np.isfinite(curve.losses).all()
    assert optimizer.lr == 0.1 and optimizer.steps == 0


def test_a_loss_that_never_falls_has_no_suggestion():
    assert LRCurve(np.array([1.0, 2, 3]), np.ones(3), np.array([1.0, 2, 3])).suggestion is None
    assert LRCurve(np.zeros(0), np.zeros(0), np.zeros(0)).suggestion is None


def test_one_batch_is_learned_or_not():
    model, train = a_model(), a_set()
    losses = overfit_batch(model, SGD(model.parameters(), 0.1, 0.9), train, batch_size=16)
    assert len(losses) == 100 and losses[-1] < 0.1 * losses[0]
    zero = Sequential(Flatten(), Dense(4, init="zeros"), Dense(3, init="zeros"))
    zero.initialize((1, 6, 6))
    losses = overfit_batch(zero, SGD(zero.parameters(), 0.1), train, batch_size=16, steps=20)
    assert losses[0] == pytest.approx(math.log(3)) and losses[-1] > 0.5 * losses[0]


def test_wrong_settings_are_named():
    model, train = a_model(), a_set()
    optimizer = SGD(model.parameters(), 0.1)
    for wrong in ({"lowest": 0}, {"steps": 2}, {"highest": 1e-9}, {"batch_size": 0}):
        with pytest.raises(ArgumentError, match=next(iter(wrong)).replace("_", ".")):
            find_lr(model, optimizer, train, **wrong)
    with pytest.raises(ArgumentError, match="parameters that are not the model's"):
        overfit_batch(a_model(), optimizer, train)
