"""Theory beside measurement: the same numbers, and where they part."""

import numpy as np
import pytest

from minicnn.lab.measure import comparison
from minicnn.lab.measure.layer_stats import SIGNALS
from minicnn.lab.measure.probes import probe
from minicnn.lab.theory.prediction import predict
from minicnn.models import zoo


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """A terminal that has room for all columns side by side."""
    monkeypatch.setenv("COLUMNS", "200")


def measured(init="msra", scale=1.0):
    model = zoo.build("mlp:200x2", init=init)
    model.initialize((1, 6, 6), seed=0)
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(32, 1, 6, 6)).astype(np.float32), rng.integers(0, 10, 32)
    predictions = predict(model, images, labels)
    model.parameters()[0].value[...] *= scale
    return probe(model, images, labels), predictions


def test_an_initialization_is_what_it_promises():
    record, predictions = measured()
    z = comparison.scores(record, predictions)
    assert list(z) == list(SIGNALS)
    assert all(abs(value) < 4 for by_layer in z.values() for value in by_layer.values())
    text = comparison.table(record, predictions)
    assert len(text.splitlines()) == len(record.layers) + 2
    assert text.endswith(f" 0 of {sum(map(len, z.values()))} z-scores are beyond ±4"[1:])


def test_weights_that_are_not_what_they_promised_are_seen():
    record, predictions = measured(scale=1.5)
    z = comparison.scores(record, predictions)["output"]
    assert abs(z["0.flatten"]) < 0.01 and z["1.dense"] > 4 and z["5.dense"] > 2
    name, rms, theory, score = comparison.table(record, predictions).splitlines()[2].split()[:4]
    assert name == "1.dense" and float(score) > 4
    assert abs(float(rms) / float(theory) - 1.5) < 0.2


def test_without_a_promise_nothing_stands_beside():
    record, predictions = measured("constant:0.1")
    text = comparison.table(record, predictions, ["1.dense"])
    row = text.splitlines()[1].split()
    assert row[0] == "1.dense" and len(row) == 4  # three measurements


def test_only_the_layers_asked_for():
    record, predictions = measured()
    lines = comparison.table(record, predictions, ["3.dense"]).splitlines()
    assert len(lines) == 3 and lines[1].startswith("3.dense")


def test_at_80_columns_each_signal_stays_beside_its_theory(monkeypatch):
    record, predictions = measured()
    wide = comparison.table(record, predictions)
    monkeypatch.setenv("COLUMNS", "80")
    text = comparison.table(record, predictions)
    assert max(map(len, text.splitlines())) <= 80 < max(map(len, wide.splitlines()))
    headers = [block.splitlines()[0] for block in text.split("\n\n")]
    assert all(header.startswith("layer") for header in headers)
    assert sum(header.count("theory     z") for header in headers) == len(SIGNALS)
    assert {*text.split()} == {*wide.split()}


def test_layers_may_be_given_one_by_one():
    record, predictions = measured()
    names = ["1.dense", "3.dense"]
    expected = comparison.table(record, predictions, names)
    assert comparison.table(record, predictions, (name for name in reversed(names))) == expected
