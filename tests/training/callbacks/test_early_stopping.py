"""The learning rate falls on a plateau, as PyTorch's does, and goes on so after a resume."""

import pytest

from minicnn.errors import ArgumentError
from minicnn.training.callbacks.early_stopping import EarlyStopping, ReduceLROnPlateau
from tests.training.test_averaging import a_set, a_trainer


class Told:
    """What the callback sees of a trainer whose validation losses are known."""

    validation = evaluated = True

    def __init__(self, lr):
        self.base_lr, self.history, self.epoch = lr, [], 0

    def end(self, callback, loss):
        self.epoch += 1
        self.history.append({"validation_loss": loss})
        callback.on_epoch_end(self)
        return self.base_lr


LOSSES = [1, 0.9, 0.95, 0.91, 0.92, 0.93, 0.89, 0.89, 0.9, 0.91, 0.92, 0.93, 0.94]
#: torch.optim.lr_scheduler.ReduceLROnPlateau(SGD(lr=1), factor=0.5, patience=2, threshold=0), 2.14
RATES = [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


def test_the_rates_are_pytorchs():
    callback, trainer = ReduceLROnPlateau(0.5, patience=2), Told(1.0)
    callback.on_train_begin(trainer)
    assert [trainer.end(callback, loss) for loss in LOSSES] == RATES


@pytest.mark.parametrize("stopped", range(1, len(LOSSES)))
def test_it_goes_on_from_its_state(stopped):
    callback, trainer = ReduceLROnPlateau(0.5, patience=2), Told(1.0)
    rates = [trainer.end(callback, loss) for loss in LOSSES[:stopped]]
    again, other = ReduceLROnPlateau(0.5, patience=2), Told(1.0)
    again.load_state_dict(callback.state_dict())
    other.epoch = trainer.epoch
    again.on_train_begin(other)
    rates += [other.end(again, loss) for loss in LOSSES[stopped:]]
    assert rates == RATES


def test_there_is_a_least_rate():
    callback, trainer = ReduceLROnPlateau(0.1, patience=1, min_lr=0.05), Told(0.2)
    rates = [trainer.end(callback, 1.0) for _ in range(9)]
    assert min(rates) == 0.05 and rates[-1] == 0.05
    small = Told(0.01)
    assert {small.end(ReduceLROnPlateau(0.1, 1, min_lr=0.05), 1.0) for _ in range(5)} == {0.01}


def test_a_training_has_the_lower_rate():
    callback = ReduceLROnPlateau(0.5, patience=1, min_delta=100)
    trainer = a_trainer(callbacks=[callback], epochs=7, validation=a_set(20, seed=3))
    trainer.fit()
    assert trainer.optimizer.lr == trainer.base_lr == 0.1 / 8


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau])
def test_wrong_settings_are_named(kind):
    with pytest.raises(ArgumentError, match=f"{kind.__name__}: metric must be one of"):
        kind(metric="test_loss")
    with pytest.raises(ArgumentError, match="patience"):
        kind(patience=0)
    with pytest.raises(ArgumentError, match="without a validation set"):
        a_trainer(callbacks=[kind()]).fit()
    for wrong in ({"factor": 1}, {"factor": 0}, {"min_lr": -1}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            ReduceLROnPlateau(**wrong)
