"""A model that is not evaluated after each epoch."""

import math

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.training.callbacks import Callback, EarlyStopping, ReduceLROnPlateau
from minicnn.training.callbacks.progress import epoch_line
from tests.training.test_averaging import a_set, a_trainer

HELD = "validation_accuracy", "validation_loss", "test_accuracy", "test_loss"


def lines_of(epochs, every, **given):
    trainer = a_trainer(
        epochs=epochs, eval_every=every, validation=a_set(20, seed=2), **given
    )  # fmt: skip
    return trainer, trainer.fit()


@pytest.mark.parametrize(("every", "due"), [(1, {1, 2, 3, 4, 5}), (2, {2, 4, 5}), (9, {5})])
def test_results_are_those_of_each_epoch_where_there_are_some(every, due):
    _, expected = lines_of(5, 1)
    trainer, found = lines_of(5, every)
    assert trainer.evaluated
    for line, whole in zip(found, expected):
        for name in HELD:
            if line["epoch"] in due:
                assert line[name] == whole[name]
            else:
                assert math.isnan(line[name])
        assert line["train_loss"] == whole["train_loss"]
        assert ("validation" in epoch_line(line, 5)) == (line["epoch"] in due)
        assert ("test" in epoch_line(line, 5)) == (line["epoch"] in due)


def test_what_goes_by_results_waits_for_them():
    """Patience is counted in epochs; training ends, and rates fall, where there is a result."""
    stopped, lines = lines_of(9, 3, callbacks=[EarlyStopping(1, min_delta=1)])
    assert [line["epoch"] for line in lines][-1] == 6 and stopped.evaluated
    plateau = ReduceLROnPlateau(patience=1, min_delta=1e9)
    rates = []

    class Look(Callback):
        def on_epoch_end(self, trainer):
            rates.append(trainer.base_lr)

    lines_of(6, 3, callbacks=[plateau, Look()])
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.1, 0.1, 0.1, 0.01])


def test_without_anything_to_evaluate_every_epoch_counts():
    trainer = a_trainer(epochs=2, eval_every=9)
    trainer.test = trainer.test_batches = None
    trainer.fit()
    assert trainer.evaluated
    assert not a_trainer().evaluated


def test_a_count_is_wanted():
    with pytest.raises(ArgumentError, match="eval_every"):
        a_trainer(eval_every=0)
