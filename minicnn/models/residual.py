"""Residual: a block of layers with a shortcut around it."""

from typing import Any

import numpy as np

from minicnn import initializers
from minicnn.checks import takes
from minicnn.errors import ArgumentError
from minicnn.initializers import Initializer
from minicnn.kernels.conv.masked_copy import masked_copy
from minicnn.kernels.joins import add
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context, Shape
from minicnn.layers.conv import Conv2d
from minicnn.layers.module import check_graph
from minicnn.layers.views import flat, positions
from minicnn.plan import Graph, Node


class Residual(Layer):
    """A block that learns what to add to its input. He et al., CVPR 2016.

    ::

        y = f(x) + s(x)        dE/dx = f'(x)ᵀ dE/dy + s'(x)ᵀ dE/dy

    Parameters
    ----------
    body : Layer
        f, as a rule a Sequential.
    shortcut : Layer, optional
        s. By default the identity where f keeps the shape, else a 1×1 convolution without
        bias that gives f's channels, with the stride that gives f's size.
    init : str or Initializer
        Of that 1×1 convolution.

    Raises
    ------
    ArgumentError
        For a body that is no layer, and at `build` if the shapes of f(x) and s(x) differ.
    """

    fuses_relu, forward_in_place, backward_in_place = "output", True, "dy"
    shares_gradient, join, _reads = True, "add", ()

    def __init__(
        self, body: Layer, shortcut: Layer | None = None, init: str | Initializer = "msra"
    ):
        super().__init__()
        for layer in (body,) if shortcut is None else (body, shortcut):
            if not isinstance(layer, Layer):
                raise ArgumentError(f"Residual takes layers, got {layer!r}.")
        self.body, self.shortcut = body, shortcut
        self.init = initializers.from_string(init)
        self._joined = shortcut

    def children(self) -> list[Layer]:
        """The body and, if it has one, the shortcut's layer."""
        return list(self.parts().values())

    def parts(self) -> dict[str, Layer]:
        """Those two, as ``body`` and ``shortcut``."""
        named = {"body": self.body, "shortcut": self._joined}
        return {name: layer for name, layer in named.items() if layer is not None}

    @takes(graph=check_graph)
    def connect(self, graph: Graph, x: Node) -> Node:
        """The body and the shortcut from `x` on, and the sum of their ends."""
        inner = self.body.connect(graph, x)
        around = x if self._joined is None else self._joined.connect(graph, x)
        return graph.add(self, [inner, around])

    def setup(self, rng: np.random.Generator) -> Shape:
        """Build the layers inside; what they give must fit to be joined."""
        own, other = rng.spawn(2)
        self.body.needs_input_gradient = self.needs_input_gradient
        shape = self.body.build(self.input_shape, own, self.dtype)
        if self.shortcut is None:
            self._joined = self._projection(shape)
        if self._joined is not None:
            self._joined.needs_input_gradient = self.needs_input_gradient
            joined = self._joined.build(self.input_shape, other, self.dtype)
        else:
            joined = self.input_shape
        if joined != shape:
            raise self.error(
                f"the body gives {shape} and the shortcut {joined}: they must be alike to be added."
            )
        return shape

    def _projection(self, shape):
        if shape == self.input_shape:
            return None
        if len(shape) != 3 or len(self.input_shape) != 3:
            raise self.error(
                f"the body turns {self.input_shape} into {shape}: give a shortcut that does so too."
            )
        stride = tuple(-(-n // m) for n, m in zip(self.input_shape[1:], shape[1:]))
        projection = Conv2d(shape[0], 1, stride=stride, bias=False, init=self.init)
        projection.name = f"{self.name}.shortcut"
        return projection

    def forward(self, x: tuple[Array, ...], y: Array, ctx: Context) -> None:
        """The sum of what body and shortcut gave."""
        inner, around = x
        add(flat(inner), flat(around), ctx.relu, flat(y))

    def backward(self, x: tuple[Array, ...], y: Array, dy: Array, dx: Any, ctx: Context) -> None:
        """dE/dy where the sum is above 0: of a ReLU behind it, for body and shortcut alike."""
        pixels = (positions(array)[:, :, None] for array in (dy, y, dx))
        masked_copy(*pixels, 0, 0, False)
