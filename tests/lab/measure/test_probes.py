"""Probes: what they measure is right, and training does not notice them."""

import math

import numpy as np
import pytest

from minicnn import Sequential
from minicnn.data.batches import Batches
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError
from minicnn.lab.measure import probes
from minicnn.lab.measure.probes import Probes, dead_units, probe, update_ratios
from minicnn.lab.measure.signals import Signals
from minicnn.layers import (
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool2d,
    PReLU,
    ReLU,
    Sigmoid,
    Tanh,
)
from minicnn.metrics import entropy
from tests.training.toys import At, dense_model, toy, trainer

SHAPE = (1, 4, 4)


def batch(samples=24, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((samples, *SHAPE)).astype(np.float32), rng.integers(0, 3, samples)


def noisy_model():
    """With random numbers and running statistics that a careless look would move on."""
    model = Sequential(
        Conv2d(4, 3, padding=1), BatchNorm(), ReLU(), MaxPool2d(2), Dropout(0.4),
        Flatten(), PReLU(), Dense(3),
    )  # fmt: skip
    model.initialize(SHAPE, seed=1)
    return model


def test_second_moments_of_a_linear_network_by_hand():
    model = Sequential(Flatten(), Dense(5), Dense(3))
    model.initialize(SHAPE, seed=0, dtype=np.float64)
    images, labels = batch()
    w1, _, w2, _ = (p.value for p in model.parameters())
    x = images.reshape(len(images), -1).astype(float)
    scores = x @ w1.T @ w2.T
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    delta = (p - np.eye(3)[labels]) / len(images)
    found = probe(model, images, labels)
    assert found["1.dense"].output.second_moment == pytest.approx(np.mean((x @ w1.T) ** 2))
    assert found["2.dense"].delta.second_moment == pytest.approx(np.mean(delta**2))
    assert found["1.dense"].delta.second_moment == pytest.approx(np.mean((delta @ w2) ** 2))
    gradient = (delta @ w2).T @ x
    assert found["1.dense"].gradient.second_moment == pytest.approx(np.mean(gradient**2))
    assert found["0.flatten"].gradient is None
    rms = [np.sqrt(np.mean(d**2)) for d in (delta @ w2, delta)]
    assert found.delta_ratio == pytest.approx(rms[0] / rms[1])
    assert found.loss == pytest.approx(-np.log(p[np.arange(len(labels)), labels]).mean())
    assert found.logit_std == pytest.approx(np.sqrt(scores.var(axis=0).mean()))
    shares = np.bincount(labels) / len(labels)
    assert found.class_entropy == pytest.approx(-np.sum(shares * np.log(shares)))
    assert (found.classes, found.samples, found.step) == (3, 24, None)


def test_layers_stand_in_the_order_of_the_forward_pass():
    model, (images, labels) = noisy_model(), batch()
    names = [layer.name for layer in model.all_layers()]
    assert [layer.name for layer in probe(model, images, labels).layers] == names
    chosen = probe(model, images, labels, ["7.dense", "2.relu"])
    assert [layer.name for layer in chosen.layers] == ["2.relu", "7.dense"]


def test_slopes_and_scales_are_no_weights():
    found = probe(noisy_model(), *batch())
    with_weight = [layer.name for layer in found.layers if layer.gradient is not None]
    assert with_weight == ["0.conv2d", "7.dense"]


def test_frequencies_of_a_whole_data_set_give_the_entropy():
    found = probe(noisy_model(), *batch(), frequencies=[0.5, 0.5, 0.0])
    assert found.class_entropy == pytest.approx(math.log(2))
    assert entropy([1.0, 0.0]) == 0.0


def test_a_network_that_ignores_its_input_has_no_logit_std():
    model = dense_model(4, init="zeros")
    model.parameters()[-1].value[:] = 1.0, 2.0, 3.0
    assert probe(model, *batch()).logit_std < 1e-12


def three_units(*layers):
    """Units that are never, sometimes and always above 0, for pixels within ±10."""
    model = Sequential(Flatten(), Dense(3), *layers)
    model.initialize((1, 1, 2), seed=0)
    weight, bias = model.parameters()[:2]
    weight.value[...] = [[0, 0], [1, 0], [0, 0]]
    bias.value[:] = -1, 0, 1
    return model


def test_dead_units_of_a_batch_and_of_a_data_set():
    model = three_units(ReLU(), Dense(2))
    below = np.full((20, 1, 1, 2), -1, np.float32)
    above = np.full((20, 1, 1, 2), 1, np.float32)
    labels = np.arange(20) % 2
    assert probe(model, below, labels)["2.relu"].dead == pytest.approx(2 / 3)
    assert probe(model, above, labels)["2.relu"].dead == pytest.approx(1 / 3)
    whole = Dataset(np.concatenate([below, above]), np.concatenate([labels, labels]))
    found = dead_units(model, Batches(whole, 16))
    assert {n: list(d) for n, d in found.items()} == {"2.relu": [True, False, False]}


def test_a_channel_is_alive_if_any_position_is():
    model = Sequential(Conv2d(2, 1), ReLU(), Flatten(), Dense(3))
    model.initialize(SHAPE, seed=0)
    model.parameters()[0].value[...] = 1
    model.parameters()[1].value[:] = 0, -100
    images = np.full((5, *SHAPE), -1, np.float32)
    images[3, 0, 2, 2] = 1
    labels = np.array([0, 1, 2, 0, 1])
    assert probe(model, images, labels)["1.relu"].dead == 0.5
    found = dead_units(model, Batches(Dataset(images, labels), 2), ["1.relu"])
    assert list(found["1.relu"]) == [False, True]


def test_spare_lanes_do_not_revive_a_unit():
    model = three_units(ReLU(), Dense(2))
    model.parameters()[1].value[1] = 0.5  # an empty lane would give 0.5
    images = np.full((3, 1, 1, 2), -1, np.float32)
    assert probe(model, images, np.array([0, 1, 0]))["2.relu"].dead == pytest.approx(2 / 3)


@pytest.mark.parametrize("layer, edge", [(Tanh(), math.atanh(0.95)), (Sigmoid(), math.log(19))])
def test_saturated_outputs_are_within_a_twentieth_of_a_bound(layer, edge):
    model = three_units(layer, Dense(2))
    name = f"2.{type(layer).__name__.lower()}"
    model.parameters()[1].value[:] = -0.99 * edge, 0, 1.01 * edge
    images = np.zeros((4, 1, 1, 2), np.float32)
    images[:, 0, 0, 0] = [-1.01 * edge, -0.99 * edge, 0.99 * edge, 1.01 * edge]
    # Unit 0 never, unit 1 for two samples of four, unit 2 always.
    found = probe(model, images, np.array([0, 1, 0, 1]))
    assert found[name].saturated == pytest.approx(6 / 12) and found[name].dead is None


def test_update_ratios_are_of_norms():
    before = {"a": np.array([3.0, 4.0]), "b": np.zeros(2), "c": np.zeros(2), "gone": np.ones(1)}
    after = {"a": np.array([3.0, 4.5]), "b": np.ones(2), "c": np.zeros(2)}
    found = update_ratios(before, after)
    assert list(found) == ["a", "b", "c"]
    assert found["a"] == pytest.approx(0.1) and found["b"] == np.inf and math.isnan(found["c"])


def train(*callbacks, **settings):
    run = trainer(noisy_model(), callbacks=callbacks, **settings)
    run.fit()
    return run


def test_a_training_with_probes_gives_the_same_bits():
    plain, probed = train(), train(Probes(*batch(), every=1))
    assert len(probed.callbacks[0].records) == 7
    for name, array in plain.model.state_dict().items():
        assert np.array_equal(array, probed.model.state_dict()[name]), name
    losses = [[line["test_loss"], line["train_loss"]] for line in plain.history]
    assert losses == [[line["test_loss"], line["train_loss"]] for line in probed.history]
    states = [run.model.layers[4].rng.state for run in (plain, probed)]
    assert states[0] == states[1]


@pytest.mark.parametrize(
    "settings, steps",
    [({"every": 2}, [0, 2, 4, 6]), ({"at": [5, 1]}, [1, 5]), ({"at": [0]}, [0]), ({}, [0, 3, 6])],
)
def test_the_steps_that_are_measured(settings, steps):
    found = train(Probes(*batch(), **settings)).callbacks[0].records
    assert [record.step for record in found] == steps


def test_records_are_of_the_moment_and_hold_the_update_of_their_step():
    values = []
    keep = At("on_step_end", lambda t: True, lambda t: values.append(t.model.state_dict()))
    run = train(keep, Probes(*batch(), at=[0, 4]))
    start, fourth = run.callbacks[1].records
    name = "7.dense.weight"
    step = np.linalg.norm(values[3][name].astype(float) - values[2][name])
    expected = step / np.linalg.norm(values[2][name].astype(float))
    assert fourth["7.dense"].update == pytest.approx(expected, rel=1e-9) and expected > 1e-4
    assert start["7.dense"].update is None and fourth["2.relu"].update is None
    model = noisy_model()
    assert start["7.dense"].output == probe(model, *batch())["7.dense"].output
    model.load_state_dict(values[3])
    # Dropout draws anew, so compare what stands before it.
    assert fourth["3.maxpool2d"].output == probe(model, *batch())["3.maxpool2d"].output
    assert start.class_entropy == pytest.approx(entropy(run.train.class_frequencies()))


def test_nothing_is_computed_in_the_steps_between(monkeypatch):
    """By default one pass over the images for each epoch, and one at the beginning."""
    passes, copies = [], []
    record = Signals.record
    monkeypatch.setattr(
        Signals,
        "record",
        lambda s, images, *rest: passes.append(len(images)) or record(s, images, *rest),
    )
    monkeypatch.setattr(
        probes, "update_ratios", lambda before, after: copies.append(len(before)) or {}
    )
    callback = Probes(*batch(4), layers=["7.dense"])
    before = At("on_step_end", lambda t: True, lambda t: kept.append(callback._before))
    kept = []
    run = train(before, callback, train=toy(160), epochs=3)  # ten steps an epoch
    assert passes == [4] * 4 and copies == [1] * 3
    assert [step for step, held in enumerate(kept, 1) if held] == [10, 20, 30]
    # Work is at most ten passes a number: 16 images of 480 trained on.
    assert sum(passes) <= 0.04 * run.trained_images


def test_a_probe_only_unpacks_the_chosen_layers(monkeypatch):
    counted = []
    of = probes.Statistics.of
    monkeypatch.setattr(probes.Statistics, "of", lambda a: counted.append(np.size(a)) or of(a))
    probe(noisy_model(), *batch(24), ["7.dense"])
    assert sorted(counted) == [3 * 16, 24 * 3, 24 * 3]


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Probes(*batch(), every=0), "Probes: every must be an integer of at least 1"),
        (lambda: Probes(*batch(), at=[1, -1]), "at must hold numbers of steps from 0, got -1"),
        (lambda: Probes(*batch(), at=[1.5]), "numbers of steps"),
        (lambda: Probes(*batch(), every=1, at=[1]), "every or at, not both"),
        (lambda: train(Probes(*batch(), layers=["7.dence"])), "unknown layer.*mean '7.dense'"),
        (lambda: probe(noisy_model(), *batch(), ["relu"]), "unknown layer 'relu'.*'2.relu'"),
        (lambda: dead_units(noisy_model(), [], ["7.dense"]), "unknown ReLU layer.*Known: 2.relu"),
        (lambda: dead_units(noisy_model(), []), "at least one batch"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ArgumentError, match=words):
        make()


def test_layers_may_be_given_one_by_one():
    names = ["0.conv2d", "2.relu"]
    found = [
        Probes(*batch(), every=1, layers=layers) for layers in (names, iter(names), "0.conv2d")
    ]
    train(*found)
    shown = [[[layer.name for layer in r.layers] for r in probes.records] for probes in found]
    assert shown[0] == shown[1] == len(found[0].records) * [names]
    assert shown[2] == len(found[0].records) * [["0.conv2d"]]


def test_update_ratios_of_what_does_not_match():
    with pytest.raises(ArgumentError, match=r"w has shape \(2, 3\) before, but \(3, 2\) after"):
        update_ratios({"w": np.ones((2, 3))}, {"w": np.ones((3, 2))})
    with pytest.raises(ArgumentError, match="w must be an array of real numbers"):
        update_ratios({"w": np.ones(3)}, {"w": "abc"})
