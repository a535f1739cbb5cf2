"""The profile: every layer has its rows, the shares add up, and nothing stays behind."""

import re

import pytest

from minicnn.errors import DivergedError
from minicnn.layers import Conv2d, Dense, Flatten, NumpyLayer, ReLU
from minicnn.models import Residual, Sequential, zoo
from minicnn.training import Callback
from minicnn.training.callbacks.nan_guard import NanGuard
from minicnn.training.callbacks.profile import Profile
from tests.training.toys import CLASSES, dense_model, toy, trainer


@pytest.fixture(scope="module")
def profiled():
    body = Sequential(Conv2d(4, 3, padding=1), ReLU(), Conv2d(4, 3, padding=1))
    model = Sequential(Conv2d(4, 3), Residual(body), Flatten(), Dense(CLASSES))
    data = toy(shape=(1, 8, 8))
    model.initialize(data.shape)
    profile = Profile()
    trainer(model, train=data, test=data, callbacks=[profile]).fit()
    return model, profile


def test_every_layer_and_pass_has_a_row_and_the_shares_add_up(profiled):
    model, profile = profiled
    _, *rows, peak, called = profile.table().splitlines()
    layers = model.all_layers()  # joins among them
    for layer in layers:
        for which in ("forward", "backward"):
            assert sum(row.startswith(f"{layer.name} {which}") for row in rows) == 1
    *parts, step = [float(re.search(r"([\d.]+) %", row)[1]) for row in rows]
    assert step == 100
    assert sum(parts) == pytest.approx(100, abs=0.05 * len(parts))  # each rounded to a tenth
    assert len(parts) == 2 * len(layers) + 1
    assert profile.peak > 0
    assert f"{profile.peak / 1e9:.0f}" in peak
    assert called.endswith(": none")


class Square(NumpyLayer):
    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dy):
        return 2 * self.x * dy


def test_a_layer_in_numpy_and_a_callback_leave_the_other_layers_to_be_replayed():
    class Mine(Callback):
        def on_loss(self, trainer):
            self.seen = trainer.loss_value

    model, data = zoo.build("lenet5"), toy(shape=(1, 28, 28))
    model.layers.insert(4, Square())
    model.initialize(data.shape)
    profile = Profile()
    trainer(model, train=data, test=data, callbacks=[profile, Mine()]).fit()
    assert profile.table().splitlines()[-1].endswith(": 4.square")


def test_the_layers_are_as_before(profiled):
    for layer in profiled[0].all_layers():
        assert not {"forward", "backward"} & set(vars(layer))


def test_operations_are_those_of_the_equations(profiled):
    first, *_, last = [layer for layer in profiled[0].all_layers() if layer.multiply_adds()]
    assert first.multiply_adds() == (4 * 6 * 6) * (1 * 3 * 3)
    assert last.multiply_adds() == CLASSES * (4 * 6 * 6)


def test_one_step_is_too_short_to_tell():
    profile = Profile()
    trainer(dense_model(), train=toy(8), epochs=1, callbacks=[profile]).fit()
    assert "more than one step" in profile.table()


def test_a_training_that_diverges_under_the_clocks_is_told_as_without():
    model = dense_model(8, 8, activation="relu", init="constant:1e30")
    training = trainer(model, epochs=1, callbacks=[Profile(), NanGuard()])
    with pytest.raises(DivergedError, match="it starts in layer"):
        training.fit()
    for layer in training.model.all_layers():
        assert not {"forward", "backward"} & set(vars(layer))
