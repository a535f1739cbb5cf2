"""Saving and loading from Python: weights, and a training to go on with."""

import numpy as np
import pytest

from minicnn import training
from minicnn.errors import ArgumentError, DataError
from minicnn.optimizers import SGD
from minicnn.training.averaging import EMA
from minicnn.training.callbacks.base import Callback
from minicnn.training.callbacks.early_stopping import EarlyStopping
from tests.training.test_averaging import a_model, a_set, a_trainer


class Save(Callback):
    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_step_end(self, trainer):
        if trainer.step == self.step:
            trainer.save(self.path)
            raise RuntimeError


@pytest.mark.parametrize("step", [1, 6, 8])
@pytest.mark.parametrize("average", [None, EMA])
def test_a_training_goes_on_from_a_file_with_the_same_bits(tmp_path, step, average):
    def made(*callbacks):
        own = None if average is None else average(0.9)
        stop = EarlyStopping(5, "train_loss")
        return a_trainer(own, callbacks=[stop, *callbacks], validation=a_set(20, seed=3))

    whole, path = made(), tmp_path / "training.safetensors"
    whole.fit()
    with pytest.raises(RuntimeError):
        made(Save(step, path)).fit()
    again = made()
    again.load(path)
    assert again.step == step
    again.fit()
    for name, array in again.model.state_dict().items():
        np.testing.assert_array_equal(array, whole.model.state_dict()[name], err_msg=name)
    assert again.history[-1]["test_loss"] == whole.history[-1]["test_loss"]


def test_a_file_of_another_training_is_named(tmp_path):
    path = tmp_path / "training.safetensors"
    a_trainer().save(path)
    other = a_trainer(epochs=1)
    other.train.labels[0] = (other.train.labels[0] + 1) % 3
    with pytest.raises(DataError, match="training.safetensors does not fit.*data set is not"):
        other.load(path)
    training.save_weights(a_model(), path)
    with pytest.raises(DataError, match="does not fit this training"):
        a_trainer().load(path)
    with pytest.raises(DataError, match="cannot read"):
        a_trainer().load(tmp_path / "nothing")
    with pytest.raises(ArgumentError, match="nowhere"):
        a_trainer().save(tmp_path / "nowhere" / "file")


def test_weights_there_and_back(tmp_path):
    trainer, path = a_trainer(epochs=1), tmp_path / "weights.safetensors"
    trainer.fit()
    training.save_weights(trainer.model, path)
    other = a_model()
    assert training.load_weights(other, path) == {}
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, trainer.model.state_dict()[name])


def test_without_a_test_set(tmp_path):
    model, train = a_model(), a_set()
    optimizer = SGD(model.parameters(), lr=0.1)
    trainer = training.Trainer(
        model, optimizer, train, validation=a_set(20, seed=3), batch_size=16, epochs=2,
        callbacks=[training.NanGuard(), training.Progress()],
    )  # fmt: skip
    line = trainer.fit()[-1]
    assert not any(name.startswith("test") for name in line) and "validation_loss" in line
    assert trainer.predicted is None
    with pytest.raises(ArgumentError, match="no test set to evaluate on"):
        trainer.evaluate()
    trainer.save(tmp_path / "file")
    with pytest.raises(DataError):
        a_trainer().load(tmp_path / "file")


@pytest.mark.parametrize(("size", "steps"), [(16, 4), (24, 2), (63, 1)])
def test_a_smaller_last_batch_is_dropped(size, steps):
    sizes = []

    class Look(Callback):
        def on_step_end(self, trainer):
            sizes.append(trainer.batch.samples)

    model = a_model()
    trainer = training.Trainer(
        model, SGD(model.parameters(), lr=0.1), a_set(), batch_size=size, epochs=2, drop_last=True,
        callbacks=[Look()],
    )  # fmt: skip
    trainer.fit()
    assert sizes == [size] * (2 * steps) and trainer.total_steps == 2 * steps
