"""Replayed passes give what the model's own give, and only what may be replayed is."""

import threading

import numpy as np
import pytest

from minicnn import Sequential, lanes
from minicnn.errors import ArgumentError
from minicnn.kernels.runtime.replay import Captured
from minicnn.lab.measure.signals import leaves
from minicnn.layers import (
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Dropout2d,
    Flatten,
    MaxPool2d,
    NumpyLayer,
    ReLU,
)
from minicnn.layers.scalars import Scale, Shift
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.models import zoo
from minicnn.plan.calls import runs_python
from minicnn.plan.passes import ATTEMPTS, Passes
from minicnn.training.callbacks.base import Callback
from minicnn.training.callbacks.progress import Progress
from minicnn.training.gradients import compute_gradients
from tests.layers.cases import CASES
from tests.training.toys import trainer


def small(*layers, dtype=np.float32):
    model = Sequential(*layers or (Conv2d(3, 3), ReLU(), MaxPool2d(2), Flatten(), Dense(4)))
    model.initialize((1, 8, 8), seed=0, dtype=dtype)
    return model


def calls_of_forward(model):
    """How often the own forward pass of a model or layer is called, in a list that grows."""
    name, calls = "run" if isinstance(model, Sequential) else "forward", []
    forward = getattr(model, name)
    setattr(model, name, lambda *a, **named: calls.append(a) or forward(*a, **named))
    return calls


def step(passes, x, dy, samples):
    """Scores, dE/dx and gradients, as copies."""
    scores = passes.forward(x, True, samples).copy()
    dx = passes.backward(dy)
    model = getattr(passes, "model", passes)
    gradients = [p.grad.copy() for p in model.parameters()]
    return [scores, *([] if dx is None else [dx.copy()]), *gradients]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        np.testing.assert_array_equal(a, b)


def steps_of(model, samples, count, seed=0):
    """So many batches and dE/dy, each in the same two arrays."""
    rng = np.random.default_rng(seed)
    x = lanes.pack(np.zeros((samples, *model.input_shape)), model.dtype)
    dy = lanes.pack(np.zeros((samples, *model.output_shape)), model.dtype)
    for _ in range(count):
        for array, shape in ((x, model.input_shape), (dy, model.output_shape)):
            array[...] = lanes.pack(rng.normal(size=(samples, *shape)), model.dtype)
        yield x, dy


def test_which_layers_are_replayed():
    """All but those that compute by NumPy."""
    for layer in (Scale(), Shift(), Doubled(), Noisy(4)):
        assert runs_python(layer)
    assert not runs_python(Dropout()) and not runs_python(Dropout2d())
    for case in CASES.values():
        assert not any(map(runs_python, leaves(case.built())))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_layers(name, dtype):
    """All of a layer's work is captured: its results are new, and those of the equations."""
    once, again = CASES[name].built(dtype), CASES[name].built(dtype)
    passes, samples = Passes(again), 19
    calls = calls_of_forward(again)
    for x, dy in steps_of(once, samples, 5):
        found = step(passes, x, dy, samples)
        assert_same(found, step(once, x.copy(), dy.copy(), samples))
    assert len(calls) <= 2  # the first may make the arrays, and the next is captured


@pytest.mark.parametrize("name", ["lenet5", "convnet", "plain5"])
@pytest.mark.parametrize("samples", [5, 16, 40])
def test_networks_that_learn(name, samples):
    models = [zoo.build(name, 10) for _ in range(2)]
    for model in models:
        model.initialize((1, 28, 28), seed=0)
    passes = Passes(models[1])
    calls, losses = calls_of_forward(models[1]), [SoftmaxCrossEntropy() for _ in models]
    for i, (x, _) in enumerate(steps_of(models[0], samples, 6)):
        labels = np.arange(i, i + samples) % 10
        values = [
            compute_gradients(model, loss, x, labels, passes=own)
            for model, loss, own in zip(models, losses, (None, passes))
        ]
        assert values[0] == values[1]
        for model in models:
            for p in model.parameters():
                p.value -= 0.01 * p.grad
    assert len(calls) == 2
    for a, b in zip(*(model.parameters() for model in models)):
        np.testing.assert_array_equal(a.value, b.value)


def a_larger_batch(model, passes):
    model.predict(np.ones((100, 1, 8, 8), np.float32))


def a_smaller_batch(model, passes):
    for x, dy in steps_of(model, 3, 3, seed=5):
        step(passes, x, dy, 3)


def other_weights_in_place(model, passes):
    for p in model.parameters():
        p.value *= 2


def another_array_of_weights(model, passes):
    for p in model.parameters():
        p.value, p.grad = 3 * p.value, np.zeros_like(p.grad)


def initialized_anew(model, passes):
    model.initialize((1, 8, 8), seed=1)


def a_forward_pass(model, passes):
    model.forward(lanes.pack(np.ones((20, 1, 8, 8))))


EVENTS = (
    a_larger_batch, a_smaller_batch, other_weights_in_place, another_array_of_weights,
    initialized_anew, a_forward_pass,
)  # fmt: skip


@pytest.mark.parametrize("event", EVENTS)
def test_what_happens_between_two_steps(event):
    """Nothing is replayed after it that is not so any more."""
    once, again = small(), small()
    passes, samples = Passes(again), 20
    for i, (x, dy) in enumerate(steps_of(once, samples, 9)):
        if i == 5:
            event(once, once)
            event(again, passes)
        assert_same(step(passes, x, dy, samples), step(once, x.copy(), dy.copy(), samples))


def test_a_gradient_from_elsewhere():
    """The loss may give another array than in the captured step."""
    once, again = small(), small()
    passes = Passes(again)
    for i, (x, dy) in enumerate(steps_of(once, 20, 6)):
        expected, given = step(once, x.copy(), dy.copy(), 20), dy
        if i > 3:
            given = dy.copy()
            dy[...] = np.nan
        assert_same(step(passes, x, given, 20), expected)


def test_views_of_the_same_place_and_two_batches_in_turn():
    once, again = small(), small()
    passes, calls = Passes(again), calls_of_forward(again)
    for (x, dy), (other, _) in zip(steps_of(once, 20, 4), steps_of(once, 20, 4, seed=9)):
        for batch in (x, other):
            found = step(passes, batch[:], dy[:], 20)
            assert_same(found, step(once, batch.copy(), dy.copy(), 20))
    assert len(calls) == 3  # one made the arrays, and one of each was captured


def test_batches_that_never_come_again_are_left_to_the_model():
    once, again = small(), small()
    passes = Passes(again)
    for x, dy in steps_of(once, 20, 3 * ATTEMPTS):
        found = step(passes, x.copy(), dy.copy(), 20)
        assert_same(found, step(once, x.copy(), dy.copy(), 20))
        assert len(passes._known) <= ATTEMPTS


def test_evaluation_is_replayed_beside_training():
    model, once = small(), small()
    passes, calls = Passes(model), calls_of_forward(model)
    for x, dy in steps_of(model, 20, 6):
        assert_same(step(passes, x, dy, 20), step(once, x.copy(), dy.copy(), 20))
        np.testing.assert_array_equal(passes.forward(x, False, 20), once.forward(x.copy()))
        with pytest.raises(ArgumentError, match="none to go back through"):
            passes.backward(dy)
    assert [arguments[1] for arguments in calls].count(False) <= 2


def test_nobody_goes_back_through_a_replayed_pass_twice_or_by_the_model_itself():
    model = small()
    passes = Passes(model)
    for x, dy in steps_of(model, 20, 3):
        step(passes, x, dy, 20)
    passes.forward(x, True, 20)
    with pytest.raises(ArgumentError, match="none to go back through"):
        model.backward(dy)
    for backwards in (model, passes):
        passes.forward(x, True, 20)
        passes.backward(dy)
        with pytest.raises(ArgumentError, match="none to go back through"):
            backwards.backward(dy)


def test_another_thread_is_refused():
    model, errors = small(), []
    passes = Passes(model)
    for x, dy in steps_of(model, 20, 3):
        step(passes, x, dy, 20)

    def other():
        with pytest.raises(ArgumentError, match="cannot use this model") as error:
            passes.forward(x, True, 20)
        errors.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert errors


class Doubled(NumpyLayer):
    """Of somebody else, and in NumPy."""

    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        return 2 * dy


class Noisy(Dense):
    """Somebody's dense layer that does more than ours."""

    def forward(self, x, y, ctx):
        super().forward(x, y, ctx)
        y += 1


def of_others():
    patched = Dense(4)
    patched.forward = patched.forward
    inside = Sequential(Doubled())
    return {
        "a layer": [Flatten(), Doubled(), Dense(4)],
        "a layer inside": [Flatten(), inside, Dense(4)],
        "a subclass": [Flatten(), Noisy(4)],
        "another method": [Flatten(), patched],
    }


@pytest.mark.parametrize("which", of_others())
def test_what_others_wrote_is_run_in_every_step_between_what_is_replayed(which):
    made = of_others()[which]
    once, again = small(ReLU(), *of_others()[which]), small(ReLU(), *made)
    passes, models = Passes(again), calls_of_forward(again)
    (theirs,) = [layer for layer in again.all_layers() if runs_python(layer)]
    calls = calls_of_forward(theirs)
    for x, dy in steps_of(again, 20, 6):
        assert_same(step(passes, x, dy, 20), step(once, x.copy(), dy.copy(), 20))
    assert len(models) == 2 and len(calls) == 6


def test_dropout_draws_in_every_step():
    once, again = (small(Conv2d(3, 3), Dropout(0.5), Flatten(), Dense(4)) for _ in range(2))
    passes, calls, found = Passes(again), calls_of_forward(again), []
    for x, dy in steps_of(once, 20, 6):
        found.append(step(passes, x, dy, 20))
        assert_same(found[-1], step(once, x.copy(), dy.copy(), 20))
    assert len(calls) == 2


def test_a_method_that_is_put_in_a_layers_place_is_called_from_then_on():
    model = small()
    passes, seen = Passes(model), []
    for i, (x, dy) in enumerate(steps_of(model, 20, 8)):
        if i == 4:
            calls = calls_of_forward(model.layers[1])
        if i == 7:
            del model.layers[1].forward
        step(passes, x, dy, 20)
        seen.append(len(calls) if i >= 4 else 0)
    assert seen == [0, 0, 0, 0, 1, 2, 3, 3]


def test_settings_of_batch_norm_count_from_the_next_step_on():
    models = [small(Conv2d(3, 3), BatchNorm(), Flatten(), Dense(4)) for _ in range(2)]
    passes = Passes(models[1])
    for i, (x, dy) in enumerate(steps_of(models[0], 20, 6)):
        if i == 4:
            for model in models:
                model.layers[1].momentum, model.layers[1].eps = 0.7, 0.3
        assert_same(step(passes, x, dy, 20), step(models[0], x.copy(), dy.copy(), 20))
    for name, array in models[0].state_dict().items():
        np.testing.assert_array_equal(array, models[1].state_dict()[name])


class Watching(Callback):
    """A callback of somebody else."""


def test_a_trainer_replays_whatever_callbacks_there_are(monkeypatch):
    replayed, replay = [], Captured.replay
    monkeypatch.setattr(Captured, "replay", lambda own: replayed.append(own) or replay(own))
    weights = []
    for callbacks in ([Progress()], [Watching()]):
        own = trainer(callbacks=callbacks, batch_size=4)
        own.fit()
        assert replayed
        replayed.clear()
        weights.append([p.value for p in own.model.parameters()])
    assert_same(*weights)
