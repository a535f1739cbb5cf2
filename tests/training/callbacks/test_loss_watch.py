"""LossWatch: what it says of trainings that did not learn, and that it is silent otherwise."""

import json
import re

import numpy as np
import pytest

from minicnn.data.dataset import Dataset
from minicnn.losses import MeanSquaredError, SoftmaxCrossEntropy
from minicnn.optimizers import SGD, Adam
from minicnn.training import Trainer
from minicnn.training.callbacks.loss_watch import LossWatch
from tests.training.toys import At, dense_model, toy, trainer

TOO_HIGH = "the learning rate is likely too high"
TOO_WEAK = "the signal is too weak"
TOO_LARGE = "the initial weights are too large"
TOO_SMALL = "steps were too small or too few"
DECAY = "the weight decay is likely too strong"
CAUSES = {TOO_HIGH, TOO_WEAK, TOO_LARGE, TOO_SMALL, DECAY}


def watched(model=None, optimizer=None, **settings):
    watch = LossWatch()
    run = trainer(model, callbacks=[watch], **settings)
    if optimizer is not None:
        run.optimizer = optimizer(run.model.parameters())
        run.base_lr = run.optimizer.lr
    run.fit()
    return run, watch, watch.explanation(run)


def sgd(**settings):
    return lambda parameters: SGD(parameters, **settings)


def adam(lr):
    return lambda parameters: Adam(parameters, lr)


LONG = {"epochs": 40}  # 120 steps
RELU = {"activation": "relu"}


@pytest.mark.parametrize(
    ("model", "optimizer", "settings", "cause", "advice"),
    [
        (RELU, sgd(lr=30.0), LONG, TOO_HIGH, "--lr 3,"),
        ({}, adam(100.0), LONG, TOO_HIGH, "--lr 10,"),
        (RELU, sgd(lr=1.0, momentum=0.999), LONG, TOO_HIGH, "--lr 0.1 or --momentum 0.9,"),
        ({"init": "normal:1e-4"}, sgd(lr=0.01), LONG, TOO_WEAK, "--init"),
        ({"init": "zeros", "activation": "sigmoid"}, sgd(lr=0.01), LONG, TOO_WEAK, "--init"),
        ({"init": "normal:30", "activation": "relu"}, sgd(lr=1e-6), LONG, TOO_LARGE, "--init msra"),
        ({}, sgd(lr=1e-9), LONG, TOO_SMALL, "--lr 0.03, or more --epochs"),
        ({}, adam(1e-9), LONG, TOO_SMALL, "--lr 0.001, or more --epochs"),
        (RELU, sgd(lr=30.0), {"epochs": 2}, TOO_HIGH, "--lr 3,"),
        ({}, sgd(lr=0.01, weight_decay=50.0), LONG, DECAY, "--weight-decay 0.5."),
    ],
)
def test_each_cause_is_told_from_the_others(model, optimizer, settings, cause, advice):
    run, watch, text = watched(dense_model(8, 8, **model), optimizer, **settings)
    assert {other for other in CAUSES if other in text} == {cause}, text
    assert advice in text
    last = run.history[-1]
    for number in (watch.first, last["train_loss"], last["test_loss"]):
        assert f"{number:.3g}" in text


@pytest.mark.parametrize("optimizer", [sgd(lr=0.1), sgd(lr=0.1, momentum=0.9), adam(0.01)])
def test_nothing_is_said_of_a_training_that_learns(optimizer):
    assert watched(dense_model(8), optimizer, **LONG)[2] is None


@pytest.mark.parametrize("init", ["xavier", "normal:1e-4", "zeros"])
def test_nothing_is_said_of_one_that_is_only_short(init):
    assert watched(dense_model(8, init=init), sgd(lr=1e-3), epochs=1)[2] is None


def test_the_worst_loss_is_that_of_its_step():
    losses = []
    keep = At("on_loss", lambda t: True, lambda t: losses.append(t.loss_value))
    model = dense_model(8, activation="relu")
    before = model.state_dict()
    run, watch, text = watched(model, sgd(lr=30.0), **LONG)
    model.load_state_dict(before)
    run = trainer(model, lr=30.0, callbacks=[keep], **LONG)
    run.fit()
    assert watch.first == losses[0] and watch.worst == max(losses)
    assert watch.worst_step == losses.index(max(losses)) + 1
    assert f"rose to {max(losses):.3g} in step {watch.worst_step}," in text


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 0.5]])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_of_guessing_is_the_least_that_ignores_the_images(smoothing, weight, reduction):
    labels = np.repeat([0, 1, 2], [20, 10, 2])
    images = np.random.default_rng(0).random((32, 1, 4, 4), np.float32)
    data = Dataset(images, labels, classes=3)
    loss = SoftmaxCrossEntropy(smoothing, weight=weight, reduction=reduction)
    model = dense_model(init="zeros")
    bias = model.parameters()[-1].value
    q = (1 - smoothing) * np.array([20, 10, 2]) / 32 + smoothing / 3
    q *= 1 if weight is None else weight
    bias[...] = np.log(q / q.sum())  # every score is its bias
    watch = LossWatch()
    run = Trainer(
        model, SGD(model.parameters(), 1e-9), data, data, loss=loss, batch_size=8, epochs=25,
        callbacks=[watch],
    )  # fmt: skip
    run.fit()
    guess = re.search(r"frequencies costs ([\d.]+)\.", watch.explanation(run))[1]
    assert float(guess) == pytest.approx(run.history[-1]["test_loss"], rel=5e-3)  # of 3 digits


def test_one_class_needs_no_learning():
    data = toy(classes=1)
    assert watched(dense_model(8), sgd(lr=1e-9), train=data, test=data, **LONG)[2] is None


def test_another_loss_has_no_loss_of_guessing():
    run, _, text = watched(dense_model(8), sgd(lr=1e-9), loss=MeanSquaredError(), **LONG)
    assert text is None and run.history


def test_it_goes_on_from_its_state():
    run, watch, text = watched(dense_model(8), sgd(lr=1e-9), **LONG)
    again = LossWatch()
    again.load_state_dict(json.loads(json.dumps(watch.state_dict(), allow_nan=False)))
    assert again.explanation(run) == text
    fresh = LossWatch()
    fresh.load_state_dict(json.loads(json.dumps(LossWatch().state_dict(), allow_nan=False)))
    assert fresh.state_dict() == LossWatch().state_dict() and fresh.explanation(run) is None


def test_what_was_not_seen_from_the_start_is_not_explained():
    watch = LossWatch()
    late = At("on_epoch_begin", lambda t: t.epoch == 2, lambda t: t.callbacks.append(watch))
    run = trainer(dense_model(8), lr=1e-9, callbacks=[late], **LONG)
    run.fit()
    assert watch.worst_step > 3 and watch.explanation(run) is None


def test_a_signal_that_large_steps_destroy_is_no_weak_one():
    """All hidden units die in the first step, although the weights hardly change in size."""

    def kill(run):
        hidden = run.model.parameters()[1].value
        hidden[...] = -100

    watch, model = LossWatch(), dense_model(8, **RELU)
    killer = At("on_step_end", lambda t: t.step == 1, kill)
    run = trainer(model, lr=0.01, callbacks=[watch, killer], **LONG)
    run.fit()
    text = watch.explanation(run)
    assert "destroyed the signal" in text and TOO_HIGH in text and TOO_WEAK not in text
