"""Branches: several paths from one signal, joined by concatenation, their sum or their product."""

import itertools
import math
from typing import Any

import numpy as np

from minicnn.checks import takes
from minicnn.errors import ArgumentError, unknown
from minicnn.kernels.channels import channel_products, gate_channels
from minicnn.kernels.joins import add, copy_channels
from minicnn.lanes import LANES
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context, Shape
from minicnn.layers.module import check_graph
from minicnn.layers.views import flat, planes
from minicnn.plan import Graph, Node

JOINS = ("concat", "add", "multiply")


class Branches(Layer):
    """Layers side by side, all of the same input; a branch of several layers is a Sequential.

    ::

        concat   y = [f_1(x); f_2(x); ...] along the channels     dE/dx = sum of f_b'(x)ᵀ (dE/dy)_b
        add      y = f_1(x) + f_2(x) + ...                        dE/dx = sum of f_b'(x)ᵀ dE/dy
        multiply y = f_1(x) f_2(x)      dE/dx = f_1'(x)ᵀ (dE/dy f_2(x)) + f_2'(x)ᵀ (dE/dy f_1(x))

    where ``(dE/dy)_b`` are the channels of dE/dy that came from branch b. Concatenation is that
    of Inception (Szegedy et al., CVPR 2015) and DenseNet (Huang et al., CVPR 2017); a branch
    ``Identity()`` hands x on, as a skip connection does.

    In a product the second branch may give one number for each channel, (C,) or (C, 1, 1), a gate:
    then ``y[c, i, j] = f_1(x)[c, i, j] f_2(x)[c]``, and dE/df_2 sums over the pixels. This is
    squeeze-and-excitation (Hu et al., CVPR 2018).

    Parameters
    ----------
    *branches : Layer
        At least two; of a product two.
    join : str
        ``"concat"``, ``"add"`` or ``"multiply"``.

    Raises
    ------
    ArgumentError
        For fewer branches, something that is no layer or another join; and at `build` for
        branches whose shapes do not fit: to be concatenated they must be alike but for the
        channels, to be added altogether, to be multiplied altogether or as a gate.

    Examples
    --------
    Squeeze-and-excitation of 16 channels, of which 4 numbers remain in between:

    >>> from minicnn.layers import Conv2d, Dense, GlobalAvgPool2d, Identity, ReLU, Sigmoid
    >>> from minicnn.models import Branches, Sequential
    >>> squeeze = Sequential(GlobalAvgPool2d(), Dense(4), ReLU(), Dense(16), Sigmoid())
    >>> model = Sequential(Conv2d(16, 3), Branches(Identity(), squeeze, join="multiply"))
    >>> model.initialize((3, 8, 8), seed=0)
    (16, 6, 6)
    """

    _reads = ()

    def __init__(self, *branches: Layer, join: str = "concat"):
        super().__init__()
        for layer in branches:
            if not isinstance(layer, Layer):
                raise ArgumentError(
                    f"Branches takes layers, got {layer!r}: put the layers of a branch into a"
                    " Sequential."
                )
        if len(branches) < 2:
            raise ArgumentError(f"Branches takes at least two branches, got {len(branches)}.")
        if join not in JOINS:
            raise unknown("join", join, JOINS)
        if join == "multiply" and len(branches) > 2:
            raise ArgumentError(
                f"Branches multiplies two branches, got {len(branches)}: put one Branches into"
                " another."
            )
        self.branches, self.join = list(branches), join

    def children(self) -> list[Layer]:
        """The branches, in order."""
        return self.branches

    def parts(self) -> dict[str, Layer]:
        """The branches, as ``branches.0``, ``branches.1`` and so on."""
        return {f"branches.{index}": layer for index, layer in enumerate(self.branches)}

    @takes(graph=check_graph)
    def connect(self, graph: Graph, x: Node) -> Node:
        """Each branch from `x` on, and the join of their ends."""
        return graph.add(self, [branch.connect(graph, x) for branch in self.branches])

    def setup(self, rng: np.random.Generator) -> Shape:
        """Build the layers inside; what they give must fit to be joined."""
        shapes = []
        for branch, own in zip(self.branches, rng.spawn(len(self.branches))):
            branch.needs_input_gradient = self.needs_input_gradient
            shapes.append(branch.build(self.input_shape, own, self.dtype))
        if self.join == "multiply":
            return self._product_shape(*shapes)
        kept = 0 if self.join == "add" else 1
        for index, (branch, shape) in enumerate(zip(self.branches, shapes)):
            if len(shape) != len(shapes[0]) or shape[kept:] != shapes[0][kept:]:
                alike = " in height and width" if kept and len(shapes[0]) == 3 else ""
                raise self.error(
                    f"branch 0 ({self.branches[0].name}) gives {shapes[0]} and branch {index}"
                    f" ({branch.name}) gives {shape}: to be joined by {self.join!r} they must be"
                    f" alike{alike}."
                )
        *self._starts, channels = itertools.accumulate((s[0] for s in shapes), initial=0)
        return (channels if kept else shapes[0][0], *shapes[0][1:])

    def _product_shape(self, shape, gate):
        fits = gate == shape or (gate[0] == shape[0] and math.prod(gate) == gate[0])
        if not fits:
            raise self.error(
                f"branch 0 ({self.branches[0].name}) gives {shape} and branch 1"
                f" ({self.branches[1].name}) gives {gate}: to be multiplied they must be alike, or"
                f" the second one number for each of the {shape[0]} channels, as ({shape[0]},)."
            )
        return shape

    def backward_reads(self, training: bool) -> tuple[str, ...]:
        """Both factors, for a product."""
        return ("x",) if self.join == "multiply" else ()

    @property
    def shares_gradient(self) -> bool:  # type: ignore[override]
        """Whether every branch gets dE/dy itself, and the sum may take the first one's place."""
        return self.join == "add"

    forward_in_place = shares_gradient

    def forward(self, x: tuple[Array, ...], y: Array, ctx: Context) -> None:
        """What the branches gave, side by side, added or multiplied."""
        if self.join == "multiply":
            signal, gate = _by_gate(*x)
            gate_channels(signal, gate, y.reshape(signal.shape))
            return
        if self.join == "add":
            total = x[0]
            for part in x[1:]:
                add(flat(total), flat(part), False, flat(y))
                total = y
            return
        for part, start in zip(x, self._starts):
            copy_channels(planes(part), 0, planes(y), start, part.shape[1])

    def backward(self, x: tuple[Array, ...], y: Array, dy: Array, dx: Any, ctx: Context) -> None:
        """Each branch's channels of dE/dy, for a concatenation; dE/dy times the other factor."""
        if self.join == "multiply":
            signal, gate = _by_gate(*x)
            delta = dy.reshape(signal.shape)
            gate_channels(delta, gate, dx[0].reshape(signal.shape))
            channel_products(signal, delta, dx[1].reshape(gate.shape))
            return
        for part, start in zip(dx, self._starts):
            copy_channels(planes(dy), start, planes(part), 0, part.shape[1])

    def describe(self) -> str:
        """How many branches, and how they are joined."""
        return f"{len(self.branches)} branches, {self.join}"


def _by_gate(signal, gate):
    """``(G, K, P, 16)`` and ``(G, K, 16)``: K gates, each of P numbers."""
    gate = gate.reshape(len(gate), -1, LANES)
    return signal.reshape(*gate.shape[:2], -1, LANES), gate
