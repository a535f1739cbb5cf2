"""Frozen parameters: no gradients of theirs are computed, and the others' bits are the same."""

import numpy as np
import pytest

from minicnn import lanes, optimizers
from minicnn.layers import (
    BatchNorm,
    Conv2d,
    Dense,
    GlobalAvgPool2d,
    GroupNorm,
    LayerNorm2d,
    LayerScale,
    MaxPool2d,
    PReLU,
    ReLU,
)  # fmt: skip
from minicnn.layers.scalars import Scale, Shift
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.models import Residual, Sequential
from minicnn.plan import Plan
from minicnn.training.step import TrainingStep


def network():
    return Sequential(
        Conv2d(8, 3, padding=1), BatchNorm(), ReLU(), MaxPool2d(2),
        Residual(
            Sequential(
                LayerNorm2d(), Conv2d(8, 3, padding=1), GroupNorm(2), PReLU(), Shift(), Scale(0.5)
            )
        ),
        Conv2d(8, 1), LayerScale(0.1), GlobalAvgPool2d(), Dense(9), ReLU(), Dense(4),
    )  # fmt: skip


def training(groups=(), fuse=True):
    model = network()
    model.initialize((3, 8, 8), seed=1, fuse=fuse)
    optimizer = optimizers.create("sgd", model.parameters(), lr=0.1)
    optimizer.groups = groups
    return model, optimizer, TrainingStep(model, SoftmaxCrossEntropy(), optimizer)


X = lanes.pack(np.random.default_rng(0).standard_normal((20, 3, 8, 8)).astype(np.float32))
LABELS = np.arange(20) % 4


@pytest.mark.parametrize("pattern", ["0.*", "4.*", "[0-5].*", "8.*", "*.weight", "1.*", "5.*"])
@pytest.mark.parametrize("fuse", [True, False])
def test_the_others_have_the_same_gradients_and_the_frozen_ones_none(pattern, fuse):
    (whole, _, step), (model, optimizer, frozen_step) = (
        training(groups, fuse) for groups in ((), [f"{pattern}:frozen"])
    )
    start = model.state_dict()
    step(X, LABELS)
    frozen_step(X, LABELS)
    assert any(p.frozen for p in model.parameters())
    for own, other in zip(model.parameters(), whole.parameters()):
        if own.frozen:
            np.testing.assert_array_equal(own.value, start[own.name])
        else:
            np.testing.assert_array_equal(own.grad, other.grad, err_msg=own.name)
            np.testing.assert_array_equal(own.value, other.value, err_msg=own.name)
    of_layer = {p.name.rpartition(".")[0]: [] for p in model.parameters()}
    for p in model.parameters():
        of_layer[p.name.rpartition(".")[0]].append(p)
    for parameters in of_layer.values():
        if all(p.frozen for p in parameters):
            assert not any(p.grad.any() for p in parameters)


def first(name):
    """The number of the outermost layer."""
    return int(name.partition(".")[0])


def nodes_gone_back_through(model):
    """The layers whose backward pass the plan calls."""
    plan = model.plan()
    plan.check()
    return {step.layer.name for step in plan._steps if step.has_work}


def test_the_plan_holds_no_backward_pass_of_frozen_layers_at_the_front():
    model, optimizer, _ = training(["[0-4].*:frozen"])
    names = [layer.name for layer in model.all_layers()]
    gone = nodes_gone_back_through(model)
    assert {first(name) for name in gone} == {5, 6, 7, 8, 9, 10}
    model.run(X, True, 20)
    assert model.backward(lanes.pack(np.ones((20, 4), np.float32))) is None
    plan = model.plan()
    reads = {step.layer.name: step.reads(True) for step in plan._steps}
    assert not any(reads[name] for name in names if name in reads and first(name) < 5)
    optimizer.groups = []
    assert {first(name) for name in nodes_gone_back_through(model)} >= {0, 1, 4}


def test_a_frozen_convolution_behind_others_reads_no_input():
    model, _, _ = training(["5.*:frozen"])
    model.plan().check()
    reads = {step.layer.name: step.reads(True) for step in model.plan()._steps}
    (name,) = (layer.name for layer in model.all_layers() if layer is model.layers[5])
    assert reads[name] == set()


def test_unfreezing_goes_on_with_all_gradients():
    """After steps that were replayed, with the bits of a training that was never frozen."""
    model, optimizer, step = training(["[0-4].*:frozen"])
    for _ in range(3):
        step(X, LABELS)
    plain, other, plain_step = training()
    plain.load_state_dict(model.state_dict())
    optimizer.groups = []
    for _ in range(3):
        step(X, LABELS)
        plain_step(X, LABELS)
    for own, twin in zip(model.parameters(), plain.parameters()):
        assert own.grad.any() or not twin.grad.any()
        np.testing.assert_array_equal(own.value, twin.value)


def test_another_optimizer_frees_its_parameters():
    model, _, _ = training(["0.*:frozen"])
    optimizers.create("sgd", model.parameters(), lr=0.1)
    assert not any(p.frozen for p in model.parameters())


def test_who_looks_sees_all_gradients():
    """An observer, and a plan that keeps everything, are handed those before frozen layers, too."""
    model, _, _ = training(["[0-4].*:frozen"])
    seen, dy = [], lanes.pack(np.ones((20, 4), np.float32))

    def look(layer, which, arrays, compute):
        seen.append((layer, which))
        return compute()

    with model.plan().observed(look):
        model.run(X, True, 20)
        model.backward(dy)
    assert (model.layers[0], "backward") in seen
    plan = Plan(model, keeps=True)
    plan.forward(X, True, 20)
    plan.backward(dy)
    assert plan.gradient(plan.graph.of(model.layers[1])).any()
