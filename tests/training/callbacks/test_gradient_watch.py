"""GradientWatch: when no weight learns, and the reason that it gives."""

import numpy as np
import pytest

from minicnn.data.dataset import Dataset
from minicnn.training.callbacks.gradient_watch import GradientWatch
from tests.training.toys import dense_model, toy, trainer


def watch(model, **settings):
    callback = GradientWatch()
    run = trainer(model, callbacks=[callback], **settings)
    run.fit()
    return callback, callback.explanation(run)


@pytest.mark.parametrize("activation", ["relu", "tanh", "prelu"])
def test_all_zero_weights_learn_the_last_bias_only(activation):
    model = dense_model(8, 8, activation=activation, init="zeros")
    callback, text = watch(model)
    last = model.parameters()[-1].name
    assert callback.all_zero and callback.steps == 6 and callback.learned == [last]
    assert "exactly 0 in all 6 steps" in text and "All weights are zero" in text
    assert f"Only {last} learned" in text and "how frequent each class is" in text
    assert "predicts 1 class." in text
    assert all(not p.value.any() for p in model.parameters() if p.decay)


def test_sigmoid_wakes_up_from_all_zero_weights():
    callback, text = watch(dense_model(8, activation="sigmoid", init="zeros"))
    assert not callback.all_zero and text is None


def test_nothing_is_looked_at_after_the_first_gradient():
    model = dense_model(8)
    callback, text = watch(model)
    assert (callback.all_zero, callback.steps, text) == (False, 1, None)


def test_nothing_is_said_before_the_first_step():
    callback = GradientWatch()
    assert callback.explanation(trainer(dense_model(8, init="zeros"))) is None


def test_dead_units_are_not_called_zero_weights():
    model = dense_model(8, activation="relu", init="constant:-1")
    callback, text = watch(model)
    assert callback.all_zero and "All weights are zero" not in text
    assert "what the initializer made them" in text and "Only 3.dense.bias learned" in text


def test_balanced_classes_leave_even_the_last_bias_alone():
    images = np.ones((12, 1, 4, 4), np.float32)
    data = Dataset(images, np.arange(12) // 4, classes=3)
    model = dense_model(8, activation="tanh", init="zeros")
    callback, text = watch(model, train=data, test=toy(), batch_size=12, epochs=1)
    moved = [p.name for p in model.parameters() if p.grad.any()]
    assert callback.all_zero and callback.learned == moved
    assert ("Nothing learned" in text) == (not moved)


def test_a_gradient_of_a_single_weight_counts():
    callback, run = GradientWatch(), trainer(dense_model(8))
    for parameter in run.model.parameters():
        parameter.grad[...] = 0
    callback.on_step_end(run)
    assert callback.all_zero
    run.model.parameters()[0].grad[3, 5] = 1e-30
    callback.on_step_end(run)
    assert not callback.all_zero
