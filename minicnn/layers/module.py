"""What a layer holds: parameters, other layers, and its place in a graph."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator

from minicnn import allocation, initializers
from minicnn.checks import check_array, check_flag, check_shape, check_text, shown, takes
from minicnn.errors import ArgumentError
from minicnn.hints.habits import Habits
from minicnn.initializers import Fans, Initializer
from minicnn.layers.context import Shape
from minicnn.parameter import Parameter

if TYPE_CHECKING:
    from minicnn.plan.graph import Graph, Node


def check_graph(value: Any, what: str) -> Any:
    """`value`, or an ArgumentError that names `what` if it is no Graph."""
    if isinstance(value, type) or not all(hasattr(value, n) for n in ("add", "nodes", "output")):
        raise ArgumentError(f"{what} must be a minicnn.plan.Graph, got {shown(value)}.")
    return value


def _check_shape(value, what):
    return check_shape(value, what, "such as (10, 784)")


def _check_initializer(value, what):
    return initializers.from_string(value)


class Module(Habits):
    """Base of :class:`minicnn.layers.Layer`: all of it but shapes and equations.

    Attributes
    ----------
    dtype : dtype
        float32, or float64 for gradient checks.
    name : str
        The path in the model, such as ``"3.dense"``; used in errors and summaries.
    """

    _made = "_parameters"

    def __init__(self):
        self.dtype = np.dtype(np.float32)
        self.name = type(self).__name__.lower()
        self._parameters, self._initializers = {}, {}

    def error(self, message: str) -> ArgumentError:
        """An ArgumentError that names this layer."""
        return ArgumentError(f"{self.name}: {message}" if self.name else message)

    @takes(
        name=check_text, shape=_check_shape, initializer=_check_initializer, fans=Fans,
        rng=Generator, decay=check_flag,
    )  # fmt: skip
    def add_parameter(
        self,
        name: str,
        shape: Shape,
        initializer: Any,
        fans: Fans,
        rng: np.random.Generator,
        decay: bool = True,
    ) -> Parameter:
        """Make a parameter; for `setup`.

        Parameters
        ----------
        name : str
            Such as ``"weight"``.
        shape : tuple of int
        initializer : str or Initializer
            Draws its value.
        fans : Fans
            The numbers of inputs and outputs that the initializer is told of.
        rng : numpy.random.Generator
        decay : bool
            Whether weight decay applies.

        Returns
        -------
        Parameter

        Raises
        ------
        ArgumentError
            If the initializer draws what is no weight of this shape.
        """
        drawn = 2 * 8 * math.prod(shape)  # in float64, then once more in the dtype
        with allocation.asked(drawn, f"weights of shape {tuple(shape)} for {self.name}"):
            try:
                value = initializer(shape, fans, rng, self.dtype)
            except ArgumentError as error:
                raise self.error(f"{name}: {error}") from error
        what = f"{self.name}: what initializer {initializer.name} draws for {name}"
        parameter = Parameter(check_array(value, shape, self.dtype, what), decay)
        self._parameters[name] = parameter
        self._initializers[name] = (initializer, initializer.variance(fans, shape) ** 0.5)
        return parameter

    def own_parameters(self) -> dict[str, Parameter]:
        """This layer's own parameters by name, such as ``{"weight": ..., "bias": ...}``."""
        return dict(self._parameters)

    @property
    def learns(self) -> bool:
        """Whether it has parameters of its own that are not all frozen."""
        return not all(parameter.frozen for parameter in self._parameters.values())

    def parameters(self) -> list[Parameter]:
        """All parameters, those of the layers inside included, in a fixed order."""
        inner = [p for child in self.children() for p in child.parameters()]
        return [*self._parameters.values(), *inner]

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that are no parameters but belong to what was learned, by name."""
        return {}

    def initializers(self) -> dict[str, tuple[Initializer, float]]:
        """Which initializer made each parameter: ``{name: (initializer, promised std)}``."""
        return dict(self._initializers)

    def children(self) -> list[Any]:
        """The layers inside this one, as a list; empty for most."""
        return []

    def walk(self) -> Iterator[Any]:
        """This layer and all inside it, each before those inside it."""
        yield self
        for child in self.children():
            yield from child.walk()

    def parts(self) -> dict[str, Any]:
        """The layers inside by the names that a file of weights gives them."""
        return {str(index): layer for index, layer in enumerate(self.children())}

    @takes(graph=check_graph)
    def connect(self, graph: "Graph", x: "Node") -> "Node":
        """Add what this layer is made of to a :class:`minicnn.plan.Graph`.

        Parameters
        ----------
        graph : Graph
        x : Node
            Whose output is this layer's input.

        Returns
        -------
        Node
            Whose output is this layer's: one of its own, but for a container.
        """
        return graph.add(self, [x])

    def describe(self) -> str:
        """The settings that make this layer what it is, for the summary table."""
        return ""
