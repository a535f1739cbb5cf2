"""Checkpoints: when they are written, that one is always whole, and what is refused."""

import json
import os

import numpy as np
import pytest

from minicnn import Sequential, optimizers
from minicnn.errors import ArgumentError, DataError
from minicnn.layers import BatchNorm, Conv2d, Dense, Dropout, Flatten, MaxPool2d, ReLU
from minicnn.models import Residual
from minicnn.training.callbacks.base import Callback
from minicnn.training.callbacks.checkpoint import (
    BEST,
    NEWEST,
    PREVIOUS,
    Checkpoint,
    parse_interval,
    read_checkpoint,
)
from minicnn.training.callbacks.gradient_watch import GradientWatch
from minicnn.training.runs import snapshot, tensors
from minicnn.training.runs.weights import load_weights
from minicnn.training.trainer import Trainer
from tests.training.same import bits, checkpoint
from tests.training.toys import CLASSES, At, toy, trainer

STEPS = 3  # of an epoch: 40 samples in batches of 16
NETS = {
    "dense": lambda: [Flatten(), Dense(8), ReLU(), Dense(CLASSES)],
    "norm": lambda: [Conv2d(3, 3, padding=1), BatchNorm(), ReLU(), Flatten(), Dense(CLASSES)],
    "dropout": lambda: [
        Dropout(0.2), Flatten(), Dense(8), ReLU(), Dropout(0.5), Dense(CLASSES)
    ],
    "all": lambda: [
        Conv2d(3, 3, padding=1), BatchNorm(), ReLU(), MaxPool2d(2),
        Residual(Sequential(Conv2d(5, 1), BatchNorm(), Dropout(0.3))),
        Flatten(), Dense(CLASSES),
    ],
}  # fmt: skip


def make(net="dense", optimizer="sgd", settings=None, *, train=None, epochs=3, callbacks=()):
    model = Sequential(*NETS[net]())
    model.initialize((1, 4, 4), seed=1)
    chosen = optimizers.create(optimizer, model.parameters(), **{"lr": 0.05, **(settings or {})})
    return Trainer(
        model, chosen, train or toy(), toy(seed=1), schedule="one-cycle", batch_size=16,
        epochs=epochs, seed=2, callbacks=callbacks, validation=toy(seed=3),
    )  # fmt: skip


def stop_at(step, folder, *arguments, hook="on_step_end", **named):
    """A trainer that wrote a checkpoint after a step, and was ended then."""
    write = Checkpoint(folder, every=10**6)

    def end(trainer):
        write.write(trainer)
        raise KeyboardInterrupt

    others = named.pop("callbacks", [])
    run = make(
        *arguments, callbacks=[*others, write, At(hook, lambda t: t.step == step, end)], **named
    )
    with pytest.raises(KeyboardInterrupt):
        run.fit()
    return run


def restored(folder, *arguments, **named):
    run = make(*arguments, **named)
    arrays, about, note = read_checkpoint(folder)
    assert note is None
    snapshot.restore(run, arrays, about, snapshot.describe_data(run))
    return run


class Names(Callback):
    """Keeps what is in the folder after each step and epoch."""

    def __init__(self, folder):
        self.folder, self.steps = folder, []

    def on_step_end(self, trainer):
        if (self.folder / NEWEST).exists():
            self.steps.append(tensors.read(self.folder / NEWEST)[1]["trainer"]["step"])
        else:
            self.steps.append(None)


@pytest.mark.parametrize(
    ("every", "steps"),
    [
        (1, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("4", [None, None, None, 4, 4, 4, 4, 8, 8]),
        ("1epoch", [None, None, None, 3, 3, 3, 6, 6, 6]),
        ("2epochs", [None, None, None, None, None, None, 6, 6, 6]),
        ("100", [None] * 9),
    ],
)
def test_when_checkpoints_are_written(tmp_path, every, steps):
    names = Names(tmp_path)
    make(callbacks=[Checkpoint(tmp_path, every), names]).fit()
    assert names.steps == steps
    assert sorted(set(os.listdir(tmp_path)) - {PREVIOUS}) == [BEST, NEWEST]
    assert tensors.read(tmp_path / NEWEST)[1]["trainer"]["step"] == 9
    assert (tmp_path / PREVIOUS).exists() == (every != "100")


def test_the_same_place_is_written_once(tmp_path):
    write = Checkpoint(tmp_path)
    run = make(callbacks=[write])
    run.fit()
    before = (tmp_path / NEWEST).stat().st_ino
    write.write(run)
    assert (tmp_path / NEWEST).stat().st_ino == before
    assert tensors.read(tmp_path / PREVIOUS)[1]["trainer"]["step"] == 6


def test_the_steps_that_are_due_are_counted_from_the_beginning(tmp_path):
    stop_at(5, tmp_path)
    again, names = restored(tmp_path), Names(tmp_path)
    again.callbacks = [Checkpoint(tmp_path, 4), names]
    again.fit()
    assert names.steps == [5, 5, 8, 8]


@pytest.mark.parametrize("text", ["0", "", "-5", "1.5", "epoch", "0epochs", "5 epochs", "1e", "²"])
def test_intervals_that_are_none(text):
    with pytest.raises(ArgumentError, match="checkpoint-every must be.*500.*1epoch"):
        parse_interval(text)


def test_the_best_weights_are_the_first_of_the_best_epochs(tmp_path):
    scores, kept = [0.5, 0.7, 0.6, 0.7, 0.8, 0.1], []

    def pretend(trainer):
        trainer.history[-1]["validation_accuracy"] = scores[trainer.epoch - 1]
        kept.append(trainer.model.state_dict())

    run = make(
        epochs=6, callbacks=[At("on_epoch_end", lambda t: True, pretend), Checkpoint(tmp_path)]
    )
    for last, best in ((4, 1), (6, 4)):
        run.epochs = last
        run.fit()
        model = Sequential(*NETS["dense"]())
        model.initialize((1, 4, 4), seed=5)
        assert load_weights(model, tmp_path / BEST)["step"] == STEPS * (best + 1)
        for name, array in model.state_dict().items():
            np.testing.assert_array_equal(array, kept[best][name])


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path):
    make(callbacks=[Checkpoint(tmp_path, 4)]).fit()
    good = (tmp_path / PREVIOUS).read_bytes()
    for damaged in (b"", good[:-1], (tmp_path / NEWEST).read_bytes()[:500]):
        (tmp_path / NEWEST).write_bytes(damaged)
        (tmp_path / PREVIOUS).write_bytes(good)
        arrays, about, note = read_checkpoint(tmp_path)
        assert about["trainer"]["step"] == 8 and f"{NEWEST} is damaged" in note
        assert f"goes on from {tmp_path / PREVIOUS}" in note
        assert (tmp_path / NEWEST).read_bytes() == good  # what is written next keeps this one
        assert not (tmp_path / PREVIOUS).exists()


def test_the_name_alone_may_be_missing_after_a_kill(tmp_path):
    make(callbacks=[Checkpoint(tmp_path, 4)]).fit()
    (tmp_path / NEWEST).unlink()
    assert read_checkpoint(tmp_path)[1]["trainer"]["step"] == 8


def test_no_whole_checkpoint_is_an_error(tmp_path):
    make(callbacks=[Checkpoint(tmp_path, 4)]).fit()
    for name in (NEWEST, PREVIOUS):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(DataError, match=f"{NEWEST} is damaged.*{PREVIOUS} is damaged.*no other"):
        read_checkpoint(tmp_path)


def test_weights_are_no_checkpoint(tmp_path):
    make(callbacks=[Checkpoint(tmp_path)]).fit()
    (tmp_path / PREVIOUS).unlink(missing_ok=True)
    os.replace(tmp_path / BEST, tmp_path / NEWEST)
    with pytest.raises(DataError, match="is no checkpoint"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_a_whole_checkpoint(tmp_path, monkeypatch, step):
    run = make(callbacks=[Checkpoint(tmp_path, 4)])
    real = getattr(os, step)

    def fail(*arguments):
        if run.step == 8:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(ArgumentError, match="cannot write.*checkpoint.safetensors: No space left"):
        run.fit()
    monkeypatch.undo()
    assert read_checkpoint(tmp_path)[1]["trainer"]["step"] == 4
    again = restored(tmp_path)
    again.fit()
    whole = make()
    whole.fit()
    assert bits(again) == bits(whole)


def test_other_data_are_refused(tmp_path):
    stop_at(2, tmp_path)
    other = toy()
    other.storage = other.storage.copy()
    other.storage[39, 0, 3, 3] += 1e-6
    for train in (other, toy(39), toy().with_normalization(0.5, 1.0)):
        with pytest.raises(DataError, match="data set is not the one"):
            restored(tmp_path, train=train)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(("norm",), "not in both the model"), (("dense", "adam"), "state is not one of this Adam")],
)
def test_another_model_or_optimizer_is_refused(tmp_path, arguments, word):
    stop_at(2, tmp_path)
    with pytest.raises(DataError, match=word):
        restored(tmp_path, *arguments)


def spoiled(path, *keys, value):
    """The checkpoint with one value replaced, and a digest that is right."""
    arrays, about = tensors.read(path)
    inner = about
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_bytes(tensors.encode(arrays, about))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("format",), 99),
        (("trainer",), None),
        (("trainer", "step"), -1),
        (("trainer", "step"), 7),
        (("trainer", "step"), 4.0),
        (("trainer", "history"), 3),
        (("trainer", "history"), [{"epoch": 1}]),
        (("trainer", "history"), [{"epoch": 1, "test_accuracy": "high"}]),
        (("trainer", "shuffle"), {}),
        (("trainer", "shuffle", "state", "state"), -1),
        (("trainer", "shuffle", "state", "state"), 2**200),
        (("trainer", "totals"), {"samples": "x", "correct": 0, "loss": 0}),
        (("generators",), {}),
        (("generators",), {"0.dense": {}}),
        (("generators", "0.dropout"), {"seed": 1}),
        (("generators", "0.dropout"), {"seed": 1, "passes": -1}),
        (("generators", "0.dropout"), None),
        (("callbacks",), 1),
        (("callbacks",), {"GradientWatch": [{"steps": 1}]}),
        (("data",), None),
    ],
    ids=str,
)  # fmt: skip
def test_values_that_cannot_be_are_bad_data(tmp_path, keys, value):
    stop_at(4, tmp_path, "dropout")
    spoiled(tmp_path / NEWEST, *keys, value=value)
    with pytest.raises(DataError):
        restored(tmp_path, "dropout", callbacks=[GradientWatch()])


def test_masks_that_numpy_drew_cannot_go_on(tmp_path):
    """As before dropout had a generator of its own."""
    stop_at(4, tmp_path, "dropout")
    state = np.random.default_rng(0).bit_generator.state
    spoiled(tmp_path / NEWEST, "generators", "0.dropout", value=state)
    with pytest.raises(DataError, match="cannot go on with the same masks. Begin a new training"):
        restored(tmp_path, "dropout")


def test_what_is_in_a_checkpoint(tmp_path):
    run = stop_at(4, tmp_path, "all", "adam")
    arrays, about = checkpoint(tmp_path)
    assert {"model.0.weight", "model.4.body.0.weight", "model.4.shortcut.weight"} <= set(arrays)
    assert {"model.1.running_var", "optimizer.steps", "predicted"} <= set(arrays)
    assert "optimizer.0.conv2d.weight.second_moment" in arrays
    assert about["trainer"]["step"] == 4 and len(about["trainer"]["history"]) == 1
    assert list(about["generators"]) == ["4.residual.0.2.dropout"]
    assert about["data"]["mean"] == run.train.mean.tolist()
    json.dumps(about, allow_nan=False)


def test_an_accuracy_of_nan_does_not_keep_the_best_weights_from_being_written(tmp_path):
    training = trainer(epochs=9)
    checkpoint, written = Checkpoint(tmp_path, 10**6), []
    for accuracy in (float("nan"), 0.2, float("nan"), 0.1, 0.3):
        (tmp_path / BEST).unlink(missing_ok=True)
        training.history.append({"validation_accuracy": accuracy})
        checkpoint.on_epoch_end(training)
        written.append((tmp_path / BEST).exists())
    assert written == [False, True, False, False, True]
