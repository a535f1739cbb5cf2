"""Gradients of a batch, whole or in parts."""

import numpy as np
import pytest

from minicnn import Sequential, lanes
from minicnn.errors import ArgumentError
from minicnn.layers import BatchNorm, Dense, Dropout, Flatten, ReLU
from minicnn.losses import (
    BCEWithLogitsLoss,
    FocalLoss,
    MeanSquaredError,
    SoftmaxCrossEntropy,
    predicted_classes,
)
from minicnn.models import zoo
from minicnn.plan.micro_batches import CACHE
from minicnn.training import gradients


def batch(samples, shape=(1, 8, 8)):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, *shape))
    return x, rng.integers(0, 10, samples)


def computed(model, x, labels):
    classes = []
    value = gradients.compute_gradients(
        model, SoftmaxCrossEntropy(), lanes.pack(x, model.dtype), labels,
        lambda scores, n: classes.append(predicted_classes(scores, n)),
    )  # fmt: skip
    return value, np.concatenate(classes), [p.grad.copy() for p in model.parameters()]


@pytest.mark.parametrize("samples", [1, 31, 32, 33, 100, 128])
def test_parts_add_up_to_the_whole(monkeypatch, samples):
    monkeypatch.setattr(gradients, "PART", 32)
    x, labels = batch(samples)
    model = zoo.build("plain5", activation="tanh")
    model.initialize((1, 8, 8), seed=0, dtype=np.float64)
    value, predicted, found = computed(model, x, labels)
    monkeypatch.setattr(gradients, "PART", 1000)
    whole, classes, expected = computed(model, x, labels)
    assert value == pytest.approx(whole, rel=1e-13)
    np.testing.assert_array_equal(predicted, classes)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * np.abs(b).max())


def calls(model, x, labels):
    sizes, forward = [], model.forward
    model.forward = lambda part, *rest: sizes.append(len(part)) or forward(part, *rest)
    computed(model, x, labels)
    return sizes


def test_what_mixes_samples_is_computed_at_once(monkeypatch):
    monkeypatch.setattr(gradients, "PART", 32)
    x, labels = batch(70)
    for layer, expected in ((BatchNorm(), [5]), (ReLU(), [2, 2, 1]), (Dropout(0.5), [2, 2, 1])):
        model = Sequential(Flatten(), Dense(12), layer, Dense(10))
        model.initialize((1, 8, 8), seed=0)
        assert calls(model, x, labels) == expected


def test_large_signals_are_computed_in_smaller_parts():
    model = Sequential(Flatten(), Dense(CACHE // 4 // 100), ReLU(), Dense(10))
    model.initialize((1, 8, 8), seed=0)  # 128 samples of the largest signal do not fit, 64 do
    x, labels = batch(130)
    assert calls(model, x, labels) == [4, 4, 1]


@pytest.mark.parametrize(
    "name, case",
    {
        "model": (Dense(3), "model must be an object of Sequential"),
        "loss": (lambda scores, labels: None, "must return a value and a gradient, got None"),
        "labels": (3, "labels must be an array with one for each sample, got int"),
        "x": (np.zeros((1, 2)), "expected samples in lanes"),
        "look": (len, "look must be a function of 2 arguments"),
        "passes": (3, "passes must be Passes of the model, got int"),
    }.items(),
)
def test_wrong_arguments_are_named(name, case):
    x, labels = batch(5)
    model = Sequential(Flatten(), Dense(10))
    model.initialize((1, 8, 8))
    given = dict(model=model, loss=SoftmaxCrossEntropy(), x=lanes.pack(x), labels=labels)
    with pytest.raises(ArgumentError, match=case[1]):
        gradients.compute_gradients(**{**given, name: case[0]})


WEIGHTS = np.linspace(0.2, 3, 10)
WEIGHTED = {
    "weights": SoftmaxCrossEntropy(0.1, weight=WEIGHTS),
    "ignored": SoftmaxCrossEntropy(weight=WEIGHTS, ignore_index=3),
    "sum": SoftmaxCrossEntropy(weight=WEIGHTS, reduction="sum"),
    "focal": FocalLoss(alpha=WEIGHTS, ignore_index=3),
    "squares": MeanSquaredError(),
    "sum of squares": MeanSquaredError("sum"),
    "logits": BCEWithLogitsLoss(weight=WEIGHTS, pos_weight=WEIGHTS[::-1]),
}


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("kind", ["labels", "probabilities", "one part ignored"])
def test_parts_add_up_whatever_the_samples_count(monkeypatch, name, kind):
    loss, (x, labels) = WEIGHTED[name], batch(100)
    if kind == "probabilities":
        labels = np.random.default_rng(1).dirichlet(np.ones(10), 100)
    if kind == "one part ignored":
        labels[32:64] = 3
    model = Sequential(Flatten(), Dense(12), ReLU(), Dense(10))
    model.initialize((1, 8, 8), seed=0, dtype=np.float64)
    found = {}
    for size in (32, 1000):
        monkeypatch.setattr(gradients, "PART", size)
        value = gradients.compute_gradients(model, loss, lanes.pack(x, np.float64), labels)
        found[size] = value, [p.grad.copy() for p in model.parameters()]
    assert found[32][0] == pytest.approx(found[1000][0], rel=1e-13)
    for a, b in zip(found[32][1], found[1000][1]):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * np.abs(b).max())


def test_parts_in_which_nothing_counts_are_refused(monkeypatch):
    monkeypatch.setattr(gradients, "PART", 32)
    x, labels = batch(70)
    model = Sequential(Flatten(), Dense(10))
    model.initialize((1, 8, 8), seed=0)
    loss = SoftmaxCrossEntropy(ignore_index=3)
    with pytest.raises(ArgumentError, match="no sample of the batch counts"):
        gradients.compute_gradients(model, loss, lanes.pack(x, model.dtype), 0 * labels + 3)
