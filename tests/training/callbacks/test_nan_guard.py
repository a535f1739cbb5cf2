"""NanGuard names the step and the layer where a number stops being one."""

import math

import numpy as np
import pytest

from minicnn import Sequential
from minicnn.data.batches import Batches
from minicnn.data.dataset import Dataset
from minicnn.errors import DivergedError
from minicnn.layers import Dense, Flatten, NumpyLayer, ReLU, Tanh
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.models import Residual
from minicnn.training.callbacks.nan_guard import NanGuard, first_broken_output
from tests.training.toys import CLASSES, At, Spoil, dense_model, toy, trainer


def build(*layers):
    model = Sequential(Flatten(), Dense(6), *layers, Dense(CLASSES))
    model.initialize((1, 4, 4))
    return model


def diverge(model, *callbacks, **settings):
    """The message of the guard, and the trainer."""
    run = trainer(model, callbacks=[*callbacks, NanGuard()], **settings)
    with pytest.raises(DivergedError) as caught:
        run.fit()
    return str(caught.value), run


def test_a_sound_run_is_left_alone():
    assert len(trainer(callbacks=[NanGuard()]).fit()) == 2


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
@pytest.mark.parametrize(("index", "name"), [(0, "1.dense, whose weight"), (3, "3.dense, whose b")])
def test_a_parameter_that_an_update_breaks(index, name, value, word):
    model = dense_model(8, activation="identity")

    def spoil(trainer):
        model.parameters()[index].value.flat[0] = value

    message, run = diverge(model, At("on_step_end", lambda t: t.step == 4, spoil))
    assert name in message and f"holds {word} after the update of step 4" in message
    assert "in step 5 (epoch 2)" in message
    assert run.step == 4  # stopped before the loss changed anything


def test_of_several_broken_parameters_the_last_is_where_backward_began():
    model = dense_model(8, 8)

    def spoil(trainer):
        for parameter in model.parameters()[:4]:
            parameter.value[...] = np.nan

    message, _ = diverge(model, At("on_step_end", lambda t: t.step == 1, spoil))
    assert "layer 3.dense, whose bias holds NaN after the update of step 1" in message


def test_a_huge_learning_rate():
    message, run = diverge(dense_model(8, activation="relu"), lr=1e30)
    assert run.step < run.total_steps
    assert f"in step {run.step + 1} " in message
    assert "starts in layer" in message and "dense" in message and "than 1e+30" in message


@pytest.mark.parametrize("lane", [0, 7])
def test_the_first_layer_with_a_broken_output(lane):
    spoil = Spoil(np.inf, calls=4, training=(True,), lane=lane)
    message, _ = diverge(build(spoil))
    assert message.startswith("the loss is nan in step 4 (epoch 2)")
    assert f"layer {spoil.name}, whose output holds infinity while all parameters" in message


def test_a_layer_within_a_block_is_named():
    spoil = Spoil(np.nan)
    message, _ = diverge(build(Residual(Sequential(Tanh(), spoil, Tanh()))))
    assert spoil.name.startswith("2.residual.0.1")
    assert f"layer {spoil.name}, whose output holds NaN" in message


def test_spare_lanes_do_not_count():
    spoil = Spoil(np.nan, lane=7)
    model = build(spoil)
    for samples, broken in ((4, False), (7, False), (8, True)):
        batch = next(iter(Batches(toy(samples), 16)))
        found = first_broken_output(model, batch, training=False)
        assert (found is not None and found[0] is spoil) == broken


def test_only_the_loss_overflows():
    class Huge(SoftmaxCrossEntropy):
        def __call__(self, scores, labels):
            _, gradient = super().__call__(scores, labels)
            return math.inf, gradient

    message, _ = diverge(dense_model(8), loss=Huge())
    assert "it starts in the loss itself" in message


def test_only_the_test_set_breaks():
    spoil = Spoil(np.nan, training=(False,))
    message, run = diverge(build(spoil))
    assert "the test loss is nan after step 3 (epoch 1)" in message
    assert f"layer {spoil.name}, whose output holds NaN" in message
    assert len(run.history) == 1


def test_a_broken_parameter_that_the_loss_does_not_show():
    class Hide(NumpyLayer):
        def forward(self, x):
            return np.nan_to_num(x)

        def backward(self, dy):
            return dy

    model = build(Hide())

    def spoil(trainer):
        model.parameters()[1].value[2] = np.nan

    message, run = diverge(model, At("on_loss", lambda t: t.step == 2, spoil))
    assert "layer 1.dense, whose bias holds NaN after the update of step 3" in message
    assert run.step == 3


def test_layers_are_as_before_after_the_search():
    model = build(Residual(Sequential(Tanh(), Spoil(np.nan))))
    diverge(model)
    assert not any("forward" in vars(layer) for layer in model.all_layers())


def test_a_fused_relu_hides_nothing():
    """One unit is -infinity, which its ReLU turns into 0; another overflows a layer later."""
    model = Sequential(Flatten(), Dense(2, bias=False), ReLU(), Dense(CLASSES))
    model.initialize((1, 4, 4))
    first, last = (layer.weight.value for layer in (model.layers[1], model.layers[3]))
    first[0], first[1], last[...] = -3e38, 1e20, 1e30
    images, labels = np.ones((20, 1, 4, 4), np.float32), np.zeros(20, int)
    (batch,) = Batches(Dataset(images, labels), 20, None, np.float32)
    with np.errstate(all="ignore"):
        layer, output = first_broken_output(model, batch, training=False)
    assert layer is model.layers[1] and output.min() == -np.inf
