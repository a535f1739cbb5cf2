"""A step that is replayed has the bits of its parts, one after the other; and it is one call."""

import gc
import weakref

import numpy as np
import pytest

from minicnn import lanes, optimizers
from minicnn.errors import ArgumentError
from minicnn.initializers import Fans
from minicnn.kernels.runtime import replay
from minicnn.layers import (
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Dropout2d,
    Flatten,
    NumpyLayer,
    PReLU,
    ReLU,
)
from minicnn.losses import BCEWithLogitsLoss, FocalLoss, MeanSquaredError, SoftmaxCrossEntropy
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


def grouped(parameters):
    optimizer = optimizers.Adam(parameters, 0.01)
    optimizer.groups = ["*.bias:lr_factor=3", "*.weight:weight_decay=0.2"]
    optimizer.clip_norm, optimizer.clip_value = 0.3, 0.05
    return optimizer


NETS = {
    "plain": lambda: [Conv2d(4, 3), ReLU(), Flatten(), Dense(CLASSES)],
    "python": lambda: [Conv2d(4, 3), Square(), Flatten(), Dropout(0.3), Dense(CLASSES)],
    "random": lambda: [Conv2d(4, 3), Dropout2d(0.2), Flatten(), Dropout(0.3), Dense(CLASSES)],
    "mixes": lambda: [Conv2d(4, 3), BatchNorm(), PReLU(), Flatten(), Dense(CLASSES)],
}
LOSSES = {
    "smooth": lambda: SoftmaxCrossEntropy(0.1),
    "weighted": lambda: SoftmaxCrossEntropy(weight=[1, 2, 0.5][:CLASSES], ignore_index=1),
    "logits": lambda: BCEWithLogitsLoss(reduction="sum"),
    "squares": MeanSquaredError,
    "own": lambda: lambda scores, labels: SoftmaxCrossEntropy()(scores, labels),
}
OPTIMIZERS = {
    "sgd": lambda p: optimizers.SGD(p, 0.05),
    "nesterov": lambda p: optimizers.SGD(p, 0.05, 0.9, 0.01, nesterov=True),
    "rmsprop": lambda p: optimizers.RMSProp(p, 0.01, momentum=0.5),
    "adamw": lambda p: optimizers.AdamW(p, 0.01),
    "adagrad": lambda p: optimizers.Adagrad(p, 0.01, lr_decay=0.1),
    "nadam": lambda p: optimizers.NAdam(p, 0.01, weight_decay=0.01),
    "lion": lambda p: optimizers.Lion(p, 0.001),
    "damped": lambda p: optimizers.SGD(p, 0.05, 0.9, dampening=0.5),
    "muon": lambda p: optimizers.Muon(p, 0.01, ns_steps=2),
    "grouped": grouped,
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
    # Before the layer, behind it and around the loss, before it again; and the update.
    assert steps("python", [], monkeypatch)[3:] == [4, 4, 4]


def test_dropout_stands_between_none(monkeypatch):
    assert steps("random", [], monkeypatch)[3:] == [1, 1, 1]


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


def test_settings_of_a_loss_that_need_another_kernel_are_seen_at_once():
    def values(replayed):
        model = Sequential(*NETS["plain"]())
        model.initialize(SHAPE)
        loss, focal = SoftmaxCrossEntropy(), FocalLoss()
        step = TrainingStep(model, loss, SGD(model.parameters(), 0.1))
        x = lanes.pack(np.random.default_rng(0).normal(size=(16, *SHAPE)).astype(np.float32))
        found = []
        for i in range(16):
            step.loss = (loss, focal)[i // 8]
            loss.weight = np.array([1.0, 2.0, 3.0]) if i % 4 > 1 else None
            focal.gamma = i % 3
            if replayed:
                found.append(step(x, np.arange(16) % CLASSES))
            else:
                found.append(compute_gradients(model, step.loss, x, np.arange(16) % CLASSES))
                step.optimizer.step()
        return found

    assert values(True) == values(False)


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


class Gain(NumpyLayer):
    """Gives its parameter another gradient array in each pass, and cuts its value."""

    def setup(self, rng):
        self.w = self.add_parameter("weight", (1,), "ones", Fans(1, 1), rng)
        return self.input_shape

    def forward(self, x):
        if self.cut:
            self.w.value = np.clip(self.w.value, 0.999, 1.001)
        self.x = x
        return x * self.w.value

    def backward(self, dy):
        gradient = np.array([(dy * self.x).sum()], self.dtype)
        if self.cut:
            self.w.grad[...] = gradient
        else:
            self.w.grad = gradient
        return dy * self.w.value


def losses_of(layers, change, replayed, steps=12):
    """Losses of some steps, with what `change` does before each of them."""
    model = Sequential(*layers)
    model.initialize(SHAPE, seed=1)
    loss, optimizer = SoftmaxCrossEntropy(), optimizers.Adam(model.parameters(), 0.05)
    step = TrainingStep(model, loss, optimizer)
    x = lanes.pack(np.random.default_rng(0).normal(size=(16, *SHAPE)).astype(np.float32))
    labels, found = np.arange(16) % CLASSES, []
    for i in range(steps):
        change(i, model, loss, optimizer)
        if replayed:
            found.append(step(x, labels))
        else:
            found.append(compute_gradients(model, loss, x, labels))
            optimizer.step()
    return found, optimizer.steps


def nothing(i, model, loss, optimizer):
    pass


def clipped_by_hand(i, model, loss, optimizer):
    def update():
        for parameter in model.parameters():
            np.clip(parameter.grad, -0.01, 0.01, out=parameter.grad)
        type(optimizer).update(optimizer)

    if i == 5:
        optimizer.update = update


def doubled_loss(i, model, loss, optimizer):
    def compute(kept):
        type(loss).compute(loss, kept)
        kept.gradient *= 2

    if i == 5:
        loss.compute = compute


def other_arrays(i, model, loss, optimizer):
    for parameter in model.parameters() if i % 4 == 3 else []:
        parameter.value = parameter.value.copy()


@pytest.mark.parametrize("change", [nothing, clipped_by_hand, doubled_loss, other_arrays])
@pytest.mark.parametrize("cut", [None, False, True])
def test_what_somebody_replaces_is_seen_at_once(cut, change):
    def layers():
        gain = Gain()
        gain.cut = cut
        own = [] if cut is None else [gain]
        return [Conv2d(4, 3), ReLU(), Flatten(), *own, Dense(CLASSES)]

    plain = losses_of(layers(), change, replayed=False)
    assert losses_of(layers(), change, replayed=True) == plain


def test_a_layer_that_raises_leaves_the_optimizer_as_it_was():
    class Raises(NumpyLayer):
        fails = False

        def forward(self, x):
            if self.fails:
                raise RuntimeError("no")
            return x

        def backward(self, dy):
            return dy

    layer = Raises()
    model = Sequential(Flatten(), layer, Dense(CLASSES))
    model.initialize(SHAPE)
    step = TrainingStep(model, SoftmaxCrossEntropy(), optimizers.Adam(model.parameters(), 0.1))
    x = lanes.pack(np.ones((16, *SHAPE), np.float32))
    for i in range(6):
        layer.fails = i == 4
        if layer.fails:
            with pytest.raises(RuntimeError, match="no"):
                step(x, np.zeros(16, int))
        else:
            step(x, np.zeros(16, int))
    assert step.optimizer.steps == 5


def test_an_array_that_a_loss_replaces_in_its_midst():
    def run(replayed):
        model = Sequential(*NETS["plain"]())
        model.initialize(SHAPE, seed=1)
        calls, base = [], SoftmaxCrossEntropy()

        def loss(scores, labels):
            calls.append(1)
            if len(calls) == 2:
                weight = model.parameters()[0]
                weight.value = weight.value * np.float32(2)
            return base(scores, labels)

        optimizer = SGD(model.parameters(), 0.1)
        step = TrainingStep(model, loss, optimizer)
        x = lanes.pack(np.random.default_rng(0).normal(size=(16, *SHAPE)).astype(np.float32))
        found = []
        for _ in range(6):
            if replayed:
                found.append(step(x, np.arange(16) % CLASSES))
            else:
                found.append(compute_gradients(model, loss, x, np.arange(16) % CLASSES))
                optimizer.step()
        return found

    assert run(True) == run(False)


def test_old_arrays_are_let_go():
    model = Sequential(*NETS["plain"]())
    model.initialize(SHAPE)
    step = TrainingStep(model, SoftmaxCrossEntropy(), SGD(model.parameters(), 0.1))
    x, seen = lanes.pack(np.ones((16, *SHAPE), np.float32)), []
    for i in range(40):
        if i % 4 == 3:
            for parameter in model.parameters():
                parameter.value = parameter.value.copy()
            seen.append(weakref.ref(model.parameters()[0].value))
        step(x, np.zeros(16, int))
    gc.collect()
    assert sum(ref() is not None for ref in seen) <= 2


def test_a_loss_of_any_kind_of_callable():
    class Slots:
        __slots__ = ()

        def __call__(self, scores, labels):
            return SoftmaxCrossEntropy()(scores, labels)

    model = Sequential(*NETS["plain"]())
    model.initialize(SHAPE)
    step = TrainingStep(model, Slots(), SGD(model.parameters(), 0.1))
    x = lanes.pack(np.ones((16, *SHAPE), np.float32))
    losses = [step(x, np.zeros(16, int)) for _ in range(4)]
    assert losses == sorted(losses, reverse=True)
