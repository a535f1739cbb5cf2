"""A plan computes what the layers' equations say, shows it, and is refused when it is old."""

import copy
import pickle

import numpy as np
import pytest

from minicnn import Sequential, lanes
from minicnn.errors import ArgumentError
from minicnn.layers import Conv2d, Dense, Flatten, Identity, ReLU, Tanh
from minicnn.layers.views import joined
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.models import Branches, Residual, zoo
from minicnn.plan import Passes, Plan
from minicnn.training.gradients import compute_gradients
from tests import alone

SHAPE = (2, 6, 6)


def forked():
    """Every kind of join, forks of three, and a branch that does nothing."""
    inner = Branches(Identity(), Conv2d(2, 1), Residual(Sequential(Conv2d(2, 1), ReLU())))
    return Sequential(
        Conv2d(2, 3, padding=1), ReLU(), inner, ReLU(),
        Branches(Identity(), Tanh(), ReLU(), join="add"), Residual(Tanh()), ReLU(),
        Flatten(), Dense(4),
    )  # fmt: skip


def initialized(model, **settings):
    model.initialize(SHAPE, seed=0, **{"dtype": np.float64, "input_gradient": True, **settings})
    return model


def batch(samples=20, seed=0):
    rng = np.random.default_rng(seed)
    return lanes.pack(rng.normal(size=(samples, *SHAPE)), np.float64), np.arange(samples) % 4


def step(model, x, labels, **settings):
    loss = SoftmaxCrossEntropy()
    scores = model.forward(x, True, len(labels))
    value, delta = loss(scores, labels)
    dx = model.backward(delta)
    return value, dx.copy(), [p.grad.copy() for p in model.parameters()]


def by_recursion(layer, x):
    """The scores by the containers' own passes, one inside the other."""
    if isinstance(layer, Sequential):
        for child in layer.layers:
            x = by_recursion(child, x)
        return x
    if layer.children():
        parts = [by_recursion(child, x) for child in layer.children()]
        return joined(layer, [*parts, x] if len(parts) == 1 else parts)
    return alone.forward(layer, x, True).copy()


def test_nodes_in_order_give_what_the_containers_give_one_inside_the_other():
    model, twin = (initialized(forked(), fuse=False) for _ in range(2))
    x, labels = batch(32)
    np.testing.assert_array_equal(model.forward(x, True), by_recursion(twin, x))


def test_gradients_through_forks_are_difference_quotients():
    model = initialized(forked())
    x, labels = batch(16)
    _, dx, _ = step(model, x, labels)
    direction, h = np.random.default_rng(3).normal(size=x.shape), 1e-6
    above, below = (step(model, x + sign * h * direction, labels)[0] for sign in (1, -1))
    assert (above - below) / (2 * h) == pytest.approx(np.sum(dx * direction), rel=1e-6)


def test_fused_or_not_the_bits_are_the_same():
    x, labels = batch()
    (value, dx, gradients), plain = (
        step(initialized(forked(), fuse=fuse), x, labels) for fuse in (True, False)
    )
    assert value == plain[0]
    np.testing.assert_array_equal(dx, plain[1])
    for one, other in zip(gradients, plain[2], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["inception", "densenet7", "unet", "resnet8"])
def test_networks_with_joins_learn_the_same_replayed(name):
    models = [zoo.build(name, 10) for _ in range(2)]
    for model in models:
        model.initialize((1, 16, 16), seed=0)
    losses = [SoftmaxCrossEntropy() for _ in models]
    passes, calls, run = Passes(models[1]), [], models[1].run
    models[1].run = lambda *a, **named: calls.append(0) or run(*a, **named)
    x = lanes.zeros((2, 1, 16, 16, 16), np.float32)
    for i in range(5):
        x[...] = lanes.pack(np.random.default_rng(i).normal(size=(20, 1, 16, 16)))
        values = [
            compute_gradients(model, loss, x, np.arange(20) % 10, passes=own)
            for model, loss, own in zip(models, losses, (None, passes))
        ]
        assert values[0] == values[1]
        for model in models:
            for p in model.parameters():
                p.value -= 0.01 * p.grad
    assert len(calls) == 2
    for (key, mine), theirs in zip(models[0].state_dict().items(), models[1].state_dict().values()):
        np.testing.assert_array_equal(mine, theirs, err_msg=key)


def test_an_observer_sees_every_node_both_ways_and_changes_nothing():
    model, x, labels = initialized(forked()), *batch()
    plain, seen, inner = step(model, x, labels), [], []

    def look(layer, which, arrays, compute):
        result = compute()
        seen.append((layer.name, which, len(arrays)))
        return result

    def first(layer, which, arrays, compute):
        inner.append(len(seen))
        return compute()

    with model.plan().observed(first), model.plan().observed(look):
        found = step(model, x, labels)
    assert found[0] == plain[0]
    np.testing.assert_array_equal(found[1], plain[1])
    names = [layer.name for layer in model.all_layers()]
    forwards = [name for name, which, _ in seen if which == "forward"]
    backwards = [name for name, which, _ in seen if which == "backward"]
    assert sorted(forwards) == sorted(names) and backwards == forwards[::-1]
    assert {name: count for name, which, count in seen if which == "forward"}["2.branches"] == 3
    assert inner == list(range(len(seen)))  # within the other
    with pytest.raises(ZeroDivisionError), model.plan().observed(lambda *_: 1 / 0):
        model.forward(x)
    assert model.plan().observer is None


def test_a_plan_that_keeps_has_every_signal_and_gradient_afterwards():
    model, x, labels = initialized(forked(), fuse=False), *batch()
    outputs, parts = {}, {}

    def look(layer, which, arrays, compute):
        result = compute()
        if which == "forward":
            outputs[layer] = lanes.unpack(result, len(labels))
        else:
            parts[layer] = [lanes.unpack(part, len(labels)) for part in result]
        return result

    loss, plan = SoftmaxCrossEntropy(), Plan(model, fused=True, keeps=True)
    for _ in range(2):  # the second time, every place has held something
        _, delta = loss(plan.forward(x, True, len(labels)), labels)
        plan.backward(delta)
        found = [parameter.grad.copy() for parameter in model.parameters()]
    with model.plan().observed(look):
        _, _, plain = step(model, x, labels)
    for one, other in zip(found, plain):
        np.testing.assert_array_equal(one, other)
    for node in plan.graph.nodes[1:]:
        np.testing.assert_array_equal(plan.value(node), outputs[node.layer], node.name)
    np.testing.assert_array_equal(plan.value(plan.graph.input), lanes.unpack(x, len(labels)))
    for node in plan.graph.nodes[:-1]:
        given = {user.index: user for user in node.consumers}.values()
        total = sum(
            part
            for user in given
            for before, part in zip(user.inputs, parts[user.layer])
            if before is node
        )
        np.testing.assert_allclose(plan.gradient(node), total, rtol=1e-13, atol=1e-17)
    np.testing.assert_array_equal(plan.gradient(plan.graph.output), lanes.unpack(delta, 20))


def test_a_signal_that_is_not_there_is_a_sentence():
    model, x, _ = initialized(forked(), input_gradient=False), *batch()
    node = model.plan().graph.nodes[1]
    with pytest.raises(ArgumentError, match="keeps=True"):
        model.plan().value(node)
    plan = Plan(model, keeps=True)
    with pytest.raises(ArgumentError, match="a node of this plan's graph"):
        plan.value(node)  # that of another
    node = plan.graph.nodes[1]
    with pytest.raises(ArgumentError, match="call plan.forward first"):
        plan.value(node)
    y = plan.forward(x)
    with pytest.raises(ArgumentError, match="call plan.backward first"):
        plan.gradient(node)
    plan.backward(np.ones_like(y))
    assert plan.gradient(node).shape == (32, *node.shape)
    with pytest.raises(ArgumentError, match="input_gradient=True"):
        plan.gradient(plan.graph.input)


def test_nothing_is_replayed_before_an_observer():
    model, x, labels = initialized(forked()), *batch()
    passes, seen, loss = Passes(model), [], SoftmaxCrossEntropy()
    for _ in range(3):
        compute_gradients(model, loss, x, labels, passes=passes)

    def look(layer, which, arrays, compute):
        seen.append(layer)
        return compute()

    with model.plan().observed(look):
        compute_gradients(model, loss, x, labels, passes=passes)
    assert len(seen) == 2 * len(model.all_layers())


@pytest.mark.parametrize("change", [lambda m: m.layers.pop(), lambda m: m.layers[0].layers.pop()])
def test_a_model_that_was_changed_under_its_plan_is_refused(change):
    model = initialized(Sequential(Sequential(Tanh(), ReLU()), Tanh()))
    x, _ = batch()
    model.forward(x)
    change(model)
    with pytest.raises(ArgumentError, match="layers have changed.*initialize it again"):
        model.forward(x)


def test_copies_make_plans_of_their_own():
    """A deep network's nodes are not copied one inside the other."""
    model = initialized(Sequential(*(Tanh() for _ in range(1500))))
    x, _ = batch(16)
    scores = model.forward(x).copy()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.forward(x), scores)
        assert other.plan() is not model.plan()


def test_a_model_that_was_changed_before_its_first_plan_is_refused_as_well():
    model = initialized(Sequential(Tanh(), ReLU()))
    model.layers.pop()
    with pytest.raises(ArgumentError, match="layers have changed.*initialize it again"):
        model.forward(batch()[0])


@pytest.mark.parametrize("make", [Tanh, lambda: Sequential(Tanh()), lambda: Residual(Tanh())])
def test_a_plan_of_layers_that_were_built_again_is_refused(make):
    """Its arrays would have the shapes of before."""
    layer = make()
    layer.build(SHAPE, np.random.default_rng(0), np.float64)
    plan = Plan(layer)
    plan.forward(batch()[0])
    layer.build((3, 9, 9), np.random.default_rng(0), np.float64)
    with pytest.raises(ArgumentError, match="built again after this plan was made"):
        plan.forward(lanes.zeros((2, 3, 9, 9, 16), np.float64))
