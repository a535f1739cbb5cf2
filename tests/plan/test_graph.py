"""The graph of a model: its nodes, what they are joined by, and what is refused."""

import numpy as np
import pytest

from minicnn import Sequential
from minicnn.errors import ArgumentError
from minicnn.layers import Conv2d, Dense, Flatten, Identity, ReLU, Tanh
from minicnn.models import Branches, Residual, zoo
from minicnn.plan import Graph, trace
from tests import alone


def built(*layers, shape=(3, 4, 4)):
    model = Sequential(*layers)
    model.initialize(shape)
    return model


def named(graph):
    return {node.name: [before.name for before in node.inputs] for node in graph}


def test_a_chain_is_its_layers_in_order():
    graph = trace(built(Conv2d(2, 3), Sequential(ReLU(), Flatten()), Dense(5)))
    assert named(graph) == {
        "input": [],
        "0.conv2d": ["input"],
        "1.0.relu": ["0.conv2d"],
        "1.1.flatten": ["1.0.relu"],
        "2.dense": ["1.1.flatten"],
    }
    assert [node.shape for node in graph] == [(3, 4, 4), (2, 2, 2), (2, 2, 2), (8,), (5,)]
    assert graph.output.name == "2.dense" and graph.input.layer is None


def test_joins_are_nodes_of_several_inputs():
    graph = trace(
        built(
            Residual(Conv2d(3, 1)),
            Residual(Conv2d(4, 1)),
            Branches(Identity(), Sequential(Tanh(), ReLU()), join="concat"),
        )
    )
    joins = {name: inputs for name, inputs in named(graph).items() if len(inputs) > 1}
    assert joins == {
        "0.residual": ["0.residual.0.conv2d", "input"],
        "1.residual": ["1.residual.0.conv2d", "1.residual.shortcut"],
        "2.branches": ["2.branches.0.identity", "2.branches.1.1.relu"],
    }


@pytest.mark.parametrize("name", zoo.names())
def test_every_architecture_has_an_order(name):
    model = zoo.build(name.replace("densenetN", "densenet7").replace("N", "8").replace(
        "WIDTHS", "12x2"))  # fmt: skip
    model.initialize((1, 28, 28))
    graph = trace(model)
    for place, node in enumerate(graph):
        assert node.index == place and all(before.index < place for before in node.inputs)
        assert all(node in after.inputs for after in node.consumers)
        assert node.layer is None or graph.of(node.layer) is node
    assert graph.output is graph.nodes[-1] and graph.output.shape == model.output_shape
    assert {node.layer for node in graph} - {None} == set(model.all_layers())


def test_following_a_signal_gives_the_models_scores():
    """By the layers' own passes, a join being the layer that knows how to join."""
    model = built(Branches(Conv2d(2, 1), Residual(Conv2d(3, 1)), join="concat"), Flatten())
    x = np.random.default_rng(0).normal(size=(16, 3, 4, 4)).astype(np.float32)

    def step(node, values):
        if isinstance(node.layer, Residual):
            return sum(values)
        if isinstance(node.layer, Branches):
            return np.concatenate(values, axis=1)
        packed = np.moveaxis(values[0], 0, -1)[None].copy()
        return np.moveaxis(alone.forward(node.layer, packed)[0], -1, 0)

    graph = trace(model)
    scores = graph.forward(x, step)[graph.output]
    np.testing.assert_array_equal(scores, model.predict(x))


def test_going_back_counts_the_ways_from_the_output():
    """With ones handed on and added, a node has the number of ways to it."""
    model = built(Branches(Identity(), Residual(Tanh()), Residual(ReLU()), join="add"), ReLU())
    graph = trace(model)
    order = []

    def step(node, value):
        order.append(node.index)
        return [value] * len(node.inputs)

    ways = graph.backward(1, step, lambda first, second: first + second)
    assert ways[graph.input] == 5 and ways[graph.output] == 1
    assert order == sorted(order, reverse=True)


def test_what_a_fork_gets_is_added_with_the_first_consumer_first():
    graph = trace(built(Branches(Identity(), Tanh(), ReLU(), join="add")))
    found = graph.backward("", lambda node, _: [f"{i.index}" for i in node.inputs] if len(
        node.inputs) > 1 else [node.name[-4:]], lambda a, b: f"({a}+{b})")  # fmt: skip
    assert found[graph.input] == "(tity+(tanh+relu))"


def test_no_layer_at_all_is_the_input():
    graph = trace(built(shape=(4,)))
    assert len(graph) == 1 and graph.output is graph.input


def test_what_cannot_be_traced():
    with pytest.raises(ArgumentError, match="no weights yet: call initialize"):
        trace(Sequential(Tanh()))
    with pytest.raises(ArgumentError, match=r"built for samples of shape \(3, 4, 4\), got \(1,\)"):
        trace(built(Tanh()), (1,))
    with pytest.raises(ArgumentError, match="layer|model"):
        trace("lenet5")
    model = built(Tanh())
    model.layers.append(model)
    with pytest.raises(ArgumentError, match="stands inside itself"):
        trace(model)
    model = built(Tanh())
    model.layers *= 2
    with pytest.raises(ArgumentError, match="one place only"):
        trace(model)
    graph, other = Graph((3,)), trace(built(Tanh(), shape=(3,)))
    with pytest.raises(ArgumentError, match="no node of this graph"):
        graph.add(Tanh(), [other.output])
    with pytest.raises(ArgumentError, match="no node of its own"):
        other.of(Tanh())
