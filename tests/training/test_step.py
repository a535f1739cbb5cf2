"""A step that is replayed has the bits of its parts, one after the other; and it is one call."""

import numpy as np
import pytest

from minicnn import lanes, optimizers
from minicnn.errors import ArgumentError
from minicnn.kernels.runtime import replay
from minicnn.layers import BatchNorm, Conv2d, Dense, Dropout, Flatten, NumpyLayer, PReLU, ReLU
from minicnn.losses import MeanSquaredError, SoftmaxCrossEntropy
from minicnn.models import Sequential
from minicnn.optimizers import SGD, clip_grad_norm
from minicnn.training.gradients import compute_gradients
from minicnn.training.step import TrainingStep

SHAPE, CLASSES = (2, 6, 6), 3


class Square(NumpyLayer):
    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dy):
        return 2 * self.x * dy


class Own(SGD):
    def step(self):
        for parameter in self.parameters:
            parameter.value -= np.float32(self.lr) * np.sign(parameter.grad)


NETS = {
    "plain": lambda: [Conv2d(4, 3), ReLU(), Flatten(), Dense(CLASSES)],
    "python": lambda: [Conv2d(4, 3), Square(), Flatten(), Dropout(0.3), Dense(CLASSES)],
    "mixes": lambda: [Conv2d(4, 3), BatchNorm(), PReLU(), Flatten(), Dense(CLASSES)],
}
LOSSES = {
    "smooth": lambda: SoftmaxCrossEntropy(0.1),
    "squares": MeanSquaredError,
    "own": lambda: lambda scores, labels: SoftmaxCrossEntropy()(scores, labels),
}
OPTIMIZERS = {
    "sgd": lambda p: optimizers.SGD(p, 0.05),
    "nesterov": lambda p: optimizers.SGD(p, 0.05, 0.9, 0.01, nesterov=True),
    "rmsprop": lambda p: optimizers.RMSProp(p, 0.01, momentum=0.5),
    "adamw": lambda p: optimizers.AdamW(p, 0.01),
    "own": lambda p: Own(p, 0.01),
}


def trained(net, loss, optimizer, clipped, replayed):
    """Bits of weights and losses after steps with batches of two sizes, in the same places."""
    model = Sequential(*NETS[net]())
    model.initialize(SHAPE, seed=1)
    loss, optimizer = LOSSES[loss](), OPTIMIZERS[optimizer](model.parameters())
    rng, found, seen = np.random.default_rng(0), [], []
    places = {n: lanes.pack(np.zeros((n, *SHAPE), np.float32)) for n in (20, 35)}
    step = TrainingStep(model, loss, optimizer)

    def look(scores, samples):
        seen.append(lanes.unpack(scores, samples).tobytes())

    def clip(value):
        found.append(clip_grad_norm(model.parameters(), 0.1))

    for i in range(9):
        n = 35 if i % 3 == 2 else 20
        x, labels = places[n], rng.integers(0, CLASSES, n)
        lanes.pack(rng.normal(size=(n, *SHAPE)), np.float32, out=x)
        optimizer.lr = 0.001 * (i + 1)
        if i == 6 and hasattr(optimizer, "momentum"):
            optimizer.momentum = 0.7
        if replayed:
            found.append(step(x, labels, look, clip if clipped else None))
        else:
            value = compute_gradients(model, loss, x, labels, look)
            if clipped:
                clip(value)
            found.append(value)
            optimizer.step()
    if clipped:  # the loss is returned after the clipping either way
        found = sorted(found)
    return found, seen, [p.value.tobytes() for p in model.parameters()]


@pytest.mark.parametrize("clipped", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("net", NETS)
def test_the_bits_are_those_of_the_parts(net, loss, optimizer, clipped):
    plain = trained(net, loss, optimizer, clipped, replayed=False)
    assert trained(net, loss, optimizer, clipped, replayed=True) == plain


def steps(net, calls, monkeypatch, count=6, between=None, **changed):
    """How often kernels are replayed in each of some steps."""
    model = Sequential(*NETS[net]())
    model.initialize(SHAPE)
    step = TrainingStep(model, SoftmaxCrossEntropy(), SGD(model.parameters(), 0.1))
    x = lanes.pack(np.zeros((16, *SHAPE), np.float32))
    own = replay._replay
    monkeypatch.setattr(replay, "_replay", lambda words: calls.append(1) or own(words))
    made = []
    for _ in range(count):
        before = len(calls)
        step(x, np.zeros(16, int), between=between)
        made.append(len(calls) - before)
    return made


def test_a_step_is_one_call(monkeypatch):
    assert steps("plain", [], monkeypatch)[3:] == [1, 1, 1]


def test_python_stands_between_two(monkeypatch):
    # Before the layer, behind it and around the loss, before it again; the dropout is called, too.
    assert max(steps("python", [], monkeypatch)[3:]) <= 5


def test_who_looks_at_gradients_parts_them_from_the_update(monkeypatch):
    assert steps("plain", [], monkeypatch, between=lambda value: None)[3:] == [2, 2, 2]


def test_the_settings_of_each_step_are_its_own():
    model = Sequential(*NETS["plain"]())
    model.initialize(SHAPE)
    loss = SoftmaxCrossEntropy()
    step = TrainingStep(model, loss, SGD(model.parameters(), 0.1))
    step.optimizer.lr = 1e-30  # as good as none
    x = lanes.pack(np.random.default_rng(0).normal(size=(16, *SHAPE)).astype(np.float32))
    labels = np.arange(16) % CLASSES
    values = {smoothing: [] for smoothing in (0.0, 0.3)}
    for i in range(8):
        loss.label_smoothing = 0.3 * (i % 2)
        values[loss.label_smoothing].append(step(x, labels))
    assert all(len(set(found)) == 1 for found in values.values())
    assert values[0.0][0] != values[0.3][0]


def test_wrong_labels_change_nothing():
    model = Sequential(*NETS["plain"]())
    model.initialize(SHAPE)
    step = TrainingStep(model, SoftmaxCrossEntropy(), SGD(model.parameters(), 0.1))
    x, labels = lanes.pack(np.ones((16, *SHAPE), np.float32)), np.zeros(16, int)
    for _ in range(4):
        step(x, labels)
    before = [p.value.tobytes() for p in model.parameters()]
    with pytest.raises(ArgumentError, match="labels must be from 0 to 2"):
        step(x, labels + CLASSES)
    assert [p.value.tobytes() for p in model.parameters()] == before and step.optimizer.steps == 4
