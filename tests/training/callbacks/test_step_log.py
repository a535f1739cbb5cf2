"""Steps: the means of stretches, and that nothing is lost or there twice."""

import json

import numpy as np
import pytest

from minicnn.losses import SoftmaxCrossEntropy, predicted_classes
from minicnn.training.callbacks import step_log as module
from minicnn.training.callbacks.step_log import StepLog
from tests.training.toys import At, toy, trainer

SIZE = 16  # of a batch


@pytest.fixture
def path(tmp_path):
    return tmp_path / "steps.jsonl"


def train(path, epochs=4, most=400, **settings):
    """Train on 40 images, three steps an epoch; give the lines and each step's numbers."""
    seen = []

    def look(t):
        scores = t.model.forward(t.batch.x, False, t.batch.samples)
        predicted = predicted_classes(scores, t.batch.samples)
        right = int((predicted == t.batch.labels).sum())
        seen.append((t.step + 1, t.batch.samples, float(t.loss_value), right))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST", most)
        training = trainer(epochs=epochs, **settings)
        training.callbacks += [At("on_loss", lambda t: True, look), StepLog(path)]
        training.fit()
    return lines(path), np.array(seen), training


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_step_while_there_are_few(path):
    found, seen, _ = train(path)
    assert [line["step"] for line in found] == list(range(1, 13))
    assert [line["epoch"] for line in found] == [step / 3 for step in range(1, 13)]
    assert [line["train_loss"] for line in found] == pytest.approx(seen[:, 2], rel=1e-6)
    assert [line["train_accuracy"] for line in found] == pytest.approx(seen[:, 3] / seen[:, 1])


def test_batches_count_by_their_weight_in_the_loss(path, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    seen, log = [], StepLog(path)
    keep = At("on_step_end", lambda t: True, lambda t: seen.append((t.loss_value, t.loss_weight)))
    loss = SoftmaxCrossEntropy(weight=[0.1, 5, 1], reduction="sum")
    training = trainer(epochs=3, loss=loss, callbacks=[keep, log])
    training.fit()
    (values, weights), (first, last) = np.array(seen).T, lines(path)
    assert weights.std() > 1 and (first["step"], last["step"]) == (8, 9)
    mean = values[:8] @ weights[:8] / weights[:8].sum()
    assert first["train_loss"] == pytest.approx(mean, rel=1e-12)
    assert last["train_loss"] == pytest.approx(values[8], rel=1e-12)


def test_stretches_of_earlier_versions_go_on(path):
    log, state = StepLog(path), {"length": 1, "ended": [[3, 40, 6.0, 2]], "running": [0, 0, 0.0, 0]}
    log.load_state_dict(state)
    assert log.ended == [[3, 40, 6.0, 2, 40.0]] and log.running == [0, 0, 0.0, 0, 0.0]


@pytest.mark.parametrize("most", [2, 4, 6, 10])
@pytest.mark.parametrize("epochs", [1, 3, 7, 16])
def test_stretches_are_means_over_their_images(path, most, epochs):
    found, seen, training = train(path, epochs, most)
    ends = [0, *(line["step"] for line in found)]
    assert len(found) <= most and ends[-1] == 3 * epochs
    lengths = np.diff(ends)
    assert (lengths[:-1] == lengths[0]).all() and lengths[-1] <= lengths[0]
    for line, begin, end in zip(found, ends, ends[1:]):
        _, images, loss, right = seen[begin:end].T
        assert line["train_loss"] == pytest.approx(np.average(loss, weights=images), rel=1e-6)
        assert line["train_accuracy"] == pytest.approx(right.sum() / images.sum())
    images = sum(seen[:, 1])
    means = [epoch["train_loss"] for epoch in training.history]
    assert np.dot(seen[:, 1], seen[:, 2]) / images == pytest.approx(np.mean(means), rel=1e-6)


def test_a_longer_training_begins_with_the_same_lines(path):
    short, _, _ = train(path, 3, most=6, schedule="constant")
    whole = [train(path, epochs, most=6, schedule="constant")[0] for epochs in (3, 5)]
    assert whole[0] == short
    steps = [line["step"] for line in whole[1]]
    assert steps == list(range(4, 16, 4)) + [15]


@pytest.mark.parametrize("stop", range(1, 12))
@pytest.mark.parametrize("most", [4, 400])
def test_a_training_that_goes_on_has_the_same_lines(path, stop, most, monkeypatch):
    whole, _, _ = train(path, most=most)
    monkeypatch.setattr(module, "MOST", most)
    first, log, kept = trainer(epochs=4), StepLog(path), {}

    def keep(t):
        state = json.dumps({"trainer": t.state_dict(), "log": log.state_dict()})
        kept.update(json.loads(state), model=t.model.state_dict(), sums=t.optimizer.state_dict())

    first.callbacks += [log, At("on_step_end", lambda t: t.step == stop, keep)]
    first.fit()
    second, again = trainer(epochs=4), StepLog(path)
    second.model.load_state_dict(kept["model"])
    second.optimizer.load_state_dict(kept["sums"])
    second.load_state_dict(kept["trainer"])
    again.load_state_dict(kept["log"])
    second.callbacks.append(again)
    second.fit()
    assert lines(path) == whole


def test_half_as_many_points_at_least(path):
    found, _, _ = train(path, epochs=67, most=20, train=toy(40))
    assert 10 <= len(found) <= 20


def test_a_training_that_ends_within_an_epoch_has_its_lines(path):
    def fail(t):
        raise RuntimeError

    training = trainer(epochs=4)
    training.callbacks += [StepLog(path), At("on_loss", lambda t: t.step == 5, fail)]
    with pytest.raises(RuntimeError):
        training.fit()
    assert [line["step"] for line in lines(path)] == [1, 2, 3, 4, 5]
