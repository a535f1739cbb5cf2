"""Trials: what they say of learning rates, and that they leave everything as it was."""

import numpy as np
import pytest

from minicnn import schedules
from minicnn.data.dataset import Dataset
from minicnn.lab import trial
from minicnn.lab.preflight import preflight
from minicnn.lab.trial import Trial, _Shortened, attempt
from minicnn.optimizers import SGD, Adam, RMSProp
from tests.training.toys import CLASSES, dense_model, toy

GUESS = np.log(CLASSES)


def tried(optimizer, activation="relu", samples=400, **training):
    model, data = dense_model(20, 20, 20, activation=activation), toy(samples)
    images, labels = data.normalized(slice(None)), data.labels
    return attempt(model, optimizer(model.parameters()), data, images, labels, **training)


@pytest.mark.parametrize(
    ("activation", "optimizer", "lr", "kind"),
    [
        ("relu", SGD, 1e-7, "too slow"), ("relu", SGD, 0.1, "fine"),
        ("relu", SGD, 100.0, "too fast"), ("relu", SGD, 1e4, "too fast"),
        ("relu", Adam, 1e-7, "too slow"), ("relu", Adam, 0.01, "fine"),
        ("relu", Adam, 100.0, "too fast"), ("relu", RMSProp, 0.01, "fine"),
        ("tanh", SGD, 1e-7, "too slow"), ("tanh", SGD, 0.1, "fine"), ("tanh", Adam, 0.01, "fine"),
        ("tanh", Adam, 1e-7, "too slow"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("schedule", ["constant", "one-cycle", "warmup:0.2"])
def test_rates_that_are_far_off_are_told(activation, optimizer, lr, kind, schedule):
    found = tried(lambda p: optimizer(p, lr), activation, schedule=schedule, total_steps=300)
    assert found.kind(GUESS, 1e-3) == kind, str(found)
    assert found.lr == lr


@pytest.mark.parametrize(
    ("loss", "std", "moved", "kind"),
    [
        (2.3, 0.02, 0.1, "fine"), (2.3, 0.001, 0.1, "fine"), (2.0, 0.01, 0.9, "fine"),
        (2.3, 0.02, 0.9, "fine"), (2.3, 0.01, 0.9, "too fast"),
        (2.9, 0.1, 0.1, "too fast"), (np.nan, np.nan, np.inf, "too fast"),
        (2.3, 1e-5, 0.1, "too fast"), (2.3, 0.03, 1e-4, "too slow"), (2.3, 0.03, 2e-3, "fine"),
    ],
)  # fmt: skip
def test_the_verdict_is_one_of_loss_scores_and_weights(loss, std, moved, kind):
    found = Trial(0.1, 60, 600, 2.3, loss, 0.03, std, moved)
    assert found.kind(np.log(10), 2.5e-4) == kind


def test_nothing_changes_and_a_seed_repeats_it():
    model, data = dense_model(20), toy(400)
    images, labels = data.normalized(slice(None)), data.labels
    optimizer = SGD(model.parameters(), 0.1, momentum=0.999)
    arrays = {**model.state_dict(), **optimizer.state_dict()}
    first, again = (attempt(model, optimizer, data, images, labels, seed=3) for _ in range(2))
    assert first == again != attempt(model, optimizer, data, images, labels, seed=4)
    for name, array in {**model.state_dict(), **optimizer.state_dict()}.items():
        np.testing.assert_array_equal(array, arrays[name])
    assert (optimizer.lr, optimizer.momentum) == (0.1, 0.999)


@pytest.mark.parametrize("name", ["constant", "one-cycle", "step", "cosine", "warmup:50"])
def test_a_shortened_schedule_is_the_whole_one_in_fewer_steps(name):
    whole = schedules.from_string(name)
    short = _Shortened(whole, 1000)
    assert [short(i, 100) for i in range(101)] == [whole(10 * i, 1000) for i in range(101)]
    assert max(short(i, 100) for i in range(100)) == 1


def test_a_long_memory_is_judged_by_the_steps_that_it_leads_to():
    """lr / (1 - momentum) is the length of a step in a gradient that stays the same."""
    optimizer = SGD(dense_model(4).parameters(), 0.01, momentum=0.999)
    trial._shorten_memory(optimizer, steps=100, total_steps=10**6)
    assert optimizer.momentum == pytest.approx(0.95)
    assert optimizer.lr / (1 - optimizer.momentum) == pytest.approx(10.0)
    trial._shorten_memory(optimizer, steps=100, total_steps=10**6)
    assert optimizer.lr / (1 - optimizer.momentum) == pytest.approx(10.0)
    for momentum, kind in ((0.9, "fine"), (0.9999, "too fast")):
        found = tried(lambda p: SGD(p, 0.05, momentum=momentum), total_steps=10**5)  # noqa: B023
        assert found.kind(GUESS, 1e-3) == kind, str(found)


def test_a_data_set_in_order_of_its_classes_is_seen_as_a_whole():
    labels = np.repeat(np.arange(5), 1000)
    data = Dataset(np.zeros((5000, 1, 2, 2), np.uint8), labels, classes=5)
    data = data.with_normalization(0.25, 0.5)
    part = trial._part(data, 50)
    assert np.bincount(part.labels).tolist() == [10] * 5
    assert (part.mean, part.std, part.classes) == (0.25, 0.5, 5)


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_any_batch_size(size):
    found = tried(lambda p: SGD(p, 0.02), batch_size=size)
    assert trial.LEAST <= found.steps <= trial.MOST
    assert found.kind(GUESS, 1e-3) == "fine", str(found)


def test_a_training_that_is_only_short_is_not_too_slow():
    found = tried(lambda p: SGD(p, 1e-7), total_steps=3)
    assert found.kind(GUESS, 1e-3) == "fine"


@pytest.mark.parametrize(("lr", "kind"), [(0.1, "fine"), (1e4, "too fast"), (1e30, "too fast")])
def test_preflight_judges_an_optimizer_if_it_is_given(lr, kind):
    model, data = dense_model(20, activation="relu"), toy(400)
    images, labels = data.normalized(slice(None)), data.labels
    assert preflight(model, images, labels).kind == "fine"
    found = preflight(model, images, labels, SGD(model.parameters(), lr), schedule="one-cycle")
    assert found.kind == kind and found.trains == (kind == "fine"), str(found)
    assert kind == "fine" or f"will not train at a learning rate of {lr:g}" in str(found)
    assert found.trial.lr == lr
