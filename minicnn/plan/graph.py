"""The graph of a model: its layers as nodes, in an order in which they can be computed.

Containers dissolve: of ``Sequential`` nothing is left but the order, and of ``Residual`` and
``Branches`` the node that joins their branches. Whatever wants to follow a signal through a model
goes through the nodes, and needs to know no container.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from minicnn.checks import check_callable, check_items, check_shape, takes
from minicnn.errors import ArgumentError
from minicnn.layers.base import Layer


@dataclass(eq=False)
class Node:
    """One layer of a graph, or the input.

    Attributes
    ----------
    layer : Layer or None
        None for the graph's input. That of a join is the container that it joins.
    inputs : tuple of Node
        Where the layer's inputs come from: one, but for a join.
    shape : tuple of int
        Of one sample of the output.
    index : int
        The place in ``graph.nodes``.
    consumers : list of Node
        The nodes that this one is an input of; once for each time.
    """

    layer: Any
    inputs: tuple
    shape: tuple
    index: int
    consumers: list = field(default_factory=list, repr=False)

    @property
    def name(self) -> str:
        """That of the layer, ``"input"`` for the input."""
        return "input" if self.layer is None else self.layer.name


class Graph:
    """Nodes in topological order; made by :func:`trace`.

    Attributes
    ----------
    nodes : list of Node
        The input first; each comes after its inputs.
    output : Node
        Whose output is the model's; the input itself if there are no layers.
    """

    def __init__(self, input_shape: tuple[int, ...]):
        shape = check_shape(input_shape, "Graph: input_shape", "such as (1, 28, 28)")
        self.nodes = [Node(None, (), shape, 0)]
        self.output = self.nodes[0]
        self._of: dict[int, Node] = {}  # by the identity of the layer

    @property
    def input(self) -> Node:
        """The node of the model's input."""
        return self.nodes[0]

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __contains__(self, node: object) -> bool:
        return isinstance(node, Node) and self.nodes[node.index : node.index + 1] == [node]

    @takes(layer=Layer, inputs=check_items)
    def add(self, layer: Any, inputs: Sequence[Node]) -> Node:
        """A new node for `layer`, whose inputs are nodes of this graph.

        Raises
        ------
        ArgumentError
            If the layer has a node already, or an input is none of this graph.
        """
        inputs = tuple(inputs)
        for node in inputs:
            if node not in self:
                raise ArgumentError(f"{layer.name}: an input is no node of this graph.")
        if id(layer) in self._of:
            raise ArgumentError(
                f"{layer.name}: a layer object can stand in one place only: make a second one."
            )
        node = Node(layer, inputs, layer.output_shape, len(self.nodes))
        for before in inputs:
            before.consumers.append(node)
        self.nodes.append(node)
        self._of[id(layer)] = node
        return node

    def of(self, layer: Layer) -> Node:
        """The node of a layer.

        Raises
        ------
        ArgumentError
            If it has none: a Sequential is its layers, and what stands inside a user's layer is
            not seen.
        """
        if id(layer) not in self._of:
            raise ArgumentError(f"{getattr(layer, 'name', layer)} has no node of its own.")
        return self._of[id(layer)]

    def forward(self, start: Any, step: Callable[..., Any]) -> Any:
        """Follow something from the input to the output.

        Parameters
        ----------
        start : object
            What the input has.
        step : callable
            Is called as ``step(node, values)`` with what the node's inputs have, for each node but
            the input, in order; returns what the node has.

        Returns
        -------
        dict of Node to object
        """
        check_callable(step, "step", 2)
        values = {self.input: start}
        for node in self.nodes[1:]:
            values[node] = step(node, [values[before] for before in node.inputs])
        return values

    def backward(self, end: Any, step: Callable[..., Any], add: Callable[..., Any]) -> Any:
        """Follow something from the output back to the input; what a fork gets is added.

        Parameters
        ----------
        end : object
            What the output has.
        step : callable
            Is called as ``step(node, value)`` in reverse order; returns what it hands to each of
            the node's inputs, as a list.
        add : callable
            The sum of what two consumers hand to their common input. The consumer that comes first
            in the graph is the first argument.

        Returns
        -------
        dict of Node to object
        """
        check_callable(step, "step", 2)
        check_callable(add, "add", 2)
        values = {self.output: end}
        for node in reversed(self.nodes[1:]):
            if node not in values:  # no way leads from here to the output
                continue
            for before, value in zip(node.inputs, step(node, values[node])):
                known = before in values
                values[before] = add(value, values[before]) if known else value
        return values


@takes(model=Layer)
def trace(model: Layer, input_shape: tuple[int, ...] | None = None) -> Graph:
    """The graph of a model, a block or a single layer.

    Parameters
    ----------
    model : Layer
        With shapes: initialized, or a layer inside such a model.
    input_shape : tuple of int, optional
        Of one sample. That of the model, which it must be if it is given.

    Returns
    -------
    Graph

    Raises
    ------
    ArgumentError
        If the model has no shapes yet or others, a layer object stands in it twice, or a
        container inside itself.
    """
    if model.input_shape is None:
        raise model.error(model.not_built)
    if input_shape is not None:
        shape = check_shape(input_shape, "trace: input_shape", "such as (1, 28, 28)")
        if shape != model.input_shape:
            raise ArgumentError(
                f"trace: the model was built for samples of shape {model.input_shape}, got"
                f" {shape}: initialize it with this shape."
            )
    _refuse_cycles(model, [])
    graph = Graph(model.input_shape)
    graph.output = model.connect(graph, graph.input)
    return graph


def _refuse_cycles(layer, around):
    if any(layer is outer for outer in around):
        raise ArgumentError(
            f"{layer.name or type(layer).__name__} stands inside itself: a model must have an end."
        )
    for child in layer.children():
        _refuse_cycles(child, [*around, layer])
