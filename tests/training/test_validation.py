"""Whether what a trainer is given fits together, also when it has changed since."""

import copy
import threading

import numpy as np
import pytest

from minicnn import lanes
from minicnn.errors import ArgumentError, DataError
from minicnn.layers import Conv2d, Dense, Dropout, Flatten, ReLU
from minicnn.losses import MeanSquaredError, SoftmaxCrossEntropy
from minicnn.models import Sequential
from minicnn.optimizers import SGD, Adam
from minicnn.parameter import Parameter
from minicnn.training.trainer import Trainer
from tests.training.toys import CLASSES, At, toy

SHAPE = (1, 4, 4)


def made(*layers):
    model = Sequential(*(layers or (Conv2d(4, 3), ReLU(), Flatten(), Dense(CLASSES))))
    model.initialize(SHAPE, seed=0)
    return model


def training(model, epochs=2, **settings):
    return Trainer(
        model, SGD(model.parameters(), 0.1), toy(), toy(), batch_size=16, epochs=epochs, **settings
    )


def bits(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def another_parameter(model):
    dense = model.layers[-1]
    new = dense._parameters["weight"] = Parameter(dense.own_parameters()["weight"].value)
    assert new in model.parameters()


CHANGES = {
    "initialized again": lambda model: model.initialize(SHAPE, seed=1),
    "another parameter": another_parameter,
    "a layer put in": lambda model: model.layers.insert(2, Dropout(0.5)),
    "a layer taken out": lambda model: model.layers.pop(1),
    "another layer": lambda model: model.layers.__setitem__(-1, Dense(CLASSES)),
    "layers replaced": lambda model: setattr(model, "layers", model.layers[:1] + model.layers[2:]),
}


@pytest.mark.parametrize("when", ["before fit", "between fits", "on_train_begin", "on_epoch_begin"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_model_that_has_changed_is_not_trained(change, when):
    """All of these once trained arrays that no model has, for all epochs."""
    model = made()
    if when.startswith("on_"):
        second = At(when, lambda t: t.epoch == (when == "on_epoch_begin"), lambda t: change(model))
        run = training(model, callbacks=[second])
    else:
        run = training(model)
        if when == "between fits":
            run.epochs = 1
            run.fit()
            run.epochs = 2
        change(model)
    with pytest.raises(ArgumentError, match="initialized|initialize"):
        run.fit()


def test_a_layer_taken_out_of_a_block_is_seen_by_predict_too():
    model = made(Sequential(Conv2d(4, 3), ReLU()), Flatten(), Dense(CLASSES))
    images = np.ones((2, *SHAPE), np.float32)
    model.predict(images)
    model.layers[0].layers.pop()
    with pytest.raises(ArgumentError, match="layers have changed .* initialize it again"):
        model.predict(images)
    model.initialize(SHAPE)
    model.predict(images)
    copy.deepcopy(model).predict(images)


def test_some_of_the_parameters_may_be_left_as_they_are():
    model = made()
    before = model.state_dict()
    first, *rest = model.parameters()
    Trainer(model, SGD(rest, 0.1), toy(), toy(), epochs=1).fit()
    after = model.state_dict()
    same = [name for name in before if np.array_equal(before[name], after[name])]
    assert same == [first.name]


def test_values_of_another_model_may_be_taken_over():
    model, other = made(), made()
    run, expected = training(model), training(other)
    other.initialize(SHAPE, seed=5)
    model.load_state_dict(other.state_dict())
    expected = training(other)
    run.fit(), expected.fit()
    assert bits(model) == bits(other)


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_epoch_end", "on_train_begin"])
def test_another_array_of_the_same_numbers_changes_nothing(hook):
    """Arrays are looked up anew, by the optimizer and by passes that are replayed."""
    plain, moved = made(), made()

    def move(trainer):
        for parameter in moved.parameters():
            parameter.value, parameter.grad = parameter.value.copy(), parameter.grad.copy()

    training(plain, epochs=3).fit()
    training(moved, epochs=3, callbacks=[At(hook, lambda t: True, move)]).fit()
    assert bits(plain) == bits(moved)
    again = made()
    run = training(again, epochs=3)
    for run.epochs in (1, 2, 3):
        for parameter in again.parameters():
            parameter.value = parameter.value.copy()
        run.fit()
    assert bits(again) == bits(plain)


@pytest.mark.parametrize("change", [
    lambda run: setattr(run, "train", toy(20)), lambda run: setattr(run, "test", toy(20)),
    lambda run: setattr(run, "batch_size", 7), lambda run: setattr(run, "epochs", 3),
])  # fmt: skip
def test_data_that_were_replaced_are_not_ignored(change):
    run = training(made())
    change(run)
    with pytest.raises(ArgumentError, match="make another Trainer"):
        run.fit()


def test_labels_that_were_replaced_are_checked():
    run = training(made())
    run.train.labels = run.train.labels + 1
    with pytest.raises(DataError, match=r"from 1 to 3, but .* 3 scores.*use labels - 1"):
        run.fit()


def test_a_rate_set_after_the_trainer_was_made_is_used():
    plain, later, replaced = made(), made(), made()
    Trainer(plain, SGD(plain.parameters(), 0.3), toy(), toy(), epochs=1).fit()
    run = Trainer(later, SGD(later.parameters(), 0.1), toy(), toy(), epochs=1)
    run.optimizer.lr = 0.3
    run.fit()
    assert bits(later) == bits(plain) and run.optimizer.lr == run.base_lr == 0.3
    run = Trainer(replaced, Adam(replaced.parameters(), 0.1), toy(), toy(), epochs=1)
    run.optimizer = SGD(replaced.parameters(), 0.3)
    run.fit()
    assert bits(replaced) == bits(plain)


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_epoch_end", "on_train_begin"])
def test_a_rate_that_the_schedule_would_overwrite_is_not_ignored(hook):
    halve = At(hook, lambda t: True, lambda t: setattr(t.optimizer, "lr", 0.05))
    with pytest.raises(ArgumentError, match="set trainer.base_lr"):
        training(made(), callbacks=[halve]).fit()
    rates = []
    halve = At(hook, lambda t: True, lambda t: setattr(t, "base_lr", 0.05))
    look = At("on_step_end", lambda t: True, lambda t: rates.append(t.optimizer.lr))
    training(made(), callbacks=[halve, look]).fit()
    assert rates[-1] == 0.05


class Spoiled(MeanSquaredError):
    """With something done to the gradient."""

    def __init__(self, spoil):
        super().__init__()
        self.spoil, self.calls = spoil, 0

    def __call__(self, scores, targets):
        self.calls += 1
        value, gradient = super().__call__(scores, targets)
        return value, self.spoil(gradient, len(targets))


def full(gradient, samples):
    gradient[..., samples:] = 1e-9
    return gradient


@pytest.mark.parametrize(("spoil", "message"), [
    (full, "must be 0 in lanes without a sample: of 5 samples it is not 0 from lane 5 on"),
    (lambda g, n: g + 1, "must be 0 in lanes"),
    (lambda g, n: g * np.where(np.arange(16) < n, 1, np.nan).astype(g.dtype), "must be 0 in lanes"),
    (lambda g, n: g.astype(np.float16), "gradient like the scores, float32 .* got float16"),
    (lambda g, n: lanes.unpack(g, n), r"got float32 of shape \(5, 3\)"),
    (lambda g, n: None, "got NoneType"),
])  # fmt: skip
def test_a_loss_of_ones_own_is_tried_once(spoil, message):
    model = made()
    run = training(model, loss=Spoiled(spoil))
    before = bits(model)
    with pytest.raises(ArgumentError, match=message):
        run.fit()
    assert bits(model) == before
    function = Spoiled(spoil)
    with pytest.raises(ArgumentError, match=message):
        training(made(), loss=lambda scores, labels: function(scores, labels)).fit()


def test_trying_a_loss_changes_neither_it_nor_the_training():
    plain, own = made(), made()
    training(plain, loss=MeanSquaredError()).fit()
    loss = Spoiled(lambda gradient, samples: gradient)
    training(own, loss=loss).fit()
    assert bits(own) == bits(plain)
    assert loss.calls == 2 * (3 + 1)  # steps and one evaluation in each epoch


def test_losses_of_the_package_are_not_tried(monkeypatch):
    calls, load = [], SoftmaxCrossEntropy.load
    monkeypatch.setattr(
        SoftmaxCrossEntropy, "load", lambda self, *a: calls.append(1) or load(self, *a)
    )
    training(made(), epochs=1).fit()
    assert len(calls) == 3 + 1


def test_what_is_no_model_or_optimizer():
    model = made()
    for parts in ((model.layers, SGD(model.parameters(), 0.1)), (model, SGD), (model, None)):
        with pytest.raises(ArgumentError, match="must be"):
            Trainer(*parts, toy(), toy())
    unbuilt = Sequential(Dense(CLASSES))
    with pytest.raises(ArgumentError, match="call initialize"):
        Trainer(unbuilt, SGD(model.parameters(), 0.1), toy(), toy())


def test_a_loss_that_cannot_be_copied_is_tried_itself():
    loss = Spoiled(lambda gradient, samples: gradient)
    loss.lock = threading.Lock()
    training(made(), loss=loss, epochs=1).fit()
    assert loss.calls == 1 + 3 + 1
