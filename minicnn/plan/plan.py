"""A plan: how the nodes of a model's graph are computed, forwards and back.

It owns every signal and gradient, and gives a place to the next one when nobody reads it any more.
A plan is for one thread.

For the package itself: it checks the arrays, which kernels read as they are; else it checks nothing
of what it is handed.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from minicnn.checks import check_flag, described
from minicnn.errors import ArgumentError
from minicnn.lanes import LANES, are_lanes, check_samples, unpack
from minicnn.layers.base import Layer
from minicnn.layers.context import Array
from minicnn.parameter import Parameter
from minicnn.plan import calls
from minicnn.plan.execute import Run
from minicnn.plan.fuse import fuse
from minicnn.plan.graph import Node, trace
from minicnn.plan.memory import Memory
from minicnn.plan.recompute import Recomputed, spares_lanes
from minicnn.plan.recording import Recording
from minicnn.plan.steps import NEVER, OFTEN, ONCE, Step, needs_gradients

NONE: list[Any] = []  # methods of others
#: Called as ``observer(layer, which, arrays, compute)``, see `Plan.observed`.
Observer = Callable[[Layer, str, list[np.ndarray], Callable[[], Any]], Any]


class Plan:
    """Computes a model node by node; what several nodes read gets the sum of their gradients.

    It is for the layers that the model has now: a model whose layers have changed is refused.

    Parameters
    ----------
    model : Layer
        Built: a model, or a layer alone.
    fused : bool
        Whether layers do the work of the ReLUs beside them.
    keeps : bool
        Whether every signal and gradient stays until the next forward pass, for `value` and
        `gradient`. This takes more memory, and nothing is fused.

    Attributes
    ----------
    graph : Graph
    memory : Memory
    arrangement : int
        How often it was decided who does whose work.
    observer : callable or None
        Who is shown every node, see `observed`.
    """

    def __init__(self, model: Layer, fused: bool = False, keeps: bool = False):
        self._model, self.graph = model, trace(model)
        for node in self.graph.nodes[1:]:
            calls.check_passes(node.layer)
        self._fused, self._keeps = fused and not keeps, keeps
        self._own = [vars(node.layer) for node in self.graph.nodes[1:]]
        self.arrangement = 0
        self._arrange()
        self._versions = [(step.layer, step.layer.version) for step in self._steps]
        self._chains = list(_chains(model))
        self.observer: Observer | None = None
        self._run: Any = None
        self._returned: Any = None
        self._groups: int | None = None  # of the last forward pass, to go back through
        self.memory = Memory(model.dtype)
        own = [s for s in self._steps if not (s.is_view(True) or s.layer.forward_in_place)]
        sizes = [LANES * math.prod(step.shape) for step in own]
        # Of a group of lanes, about: all signals, and the gradients of three.
        self._kept = sum(sizes) + 3 * max(sizes, default=0)

    def _arrange(self):
        """Decide who does whose work; a layer with a method of others does its own.

        What is frozen has no gradients, and none is handed to where nothing learns. An observer
        sees those of all nodes that have parameters behind them.
        """
        self._methods, self.arrangement = self.methods_of_others(), self.arrangement + 1
        hosts = fuse(self.graph) if self._fused and not self._methods else {}
        self._learns, self._changes = self._what_learns(), Parameter.changes
        self._whole = self._make_steps(hosts, True)
        self._steps = self._whole if self._keeps else self._make_steps(hosts, False)

    def _make_steps(self, hosts, whole):
        needed = [self._model.needs_input_gradient]
        for node in self.graph.nodes[1:]:
            above = any(needed[before.index] for before in node.inputs)
            needed.append(above or needs_gradients(node.layer, whole))
        return [Step(node, self.graph, hosts, needed, whole) for node in self.graph.nodes[1:]]

    def _what_learns(self):
        return [node.layer.learns for node in self.graph.nodes[1:]]

    def methods_of_others(self) -> list[Any]:
        """The methods that somebody has put in the place of layers' passes."""
        for own in self._own:
            if "forward" in own or "backward" in own:
                return [own[n] for own in self._own for n in ("forward", "backward") if n in own]
        return NONE

    def called(self) -> list[Layer]:
        """The layers that Python calls in every step, while the kernels of others are replayed."""
        steps = [step for step in self._steps if not step.is_view(True)]
        return [step.layer for step in steps if calls.runs_python(step.layer)]

    def check(self) -> None:
        """Raise unless the model's layers are those that the plan was made for.

        Raises
        ------
        ArgumentError
            That says to initialize the model again, or to make another plan.
        """
        for chain in self._chains:
            if chain.layers != chain.built:
                chain.check_layers()  # which says it
        for layer, version in self._versions:
            if layer.version != version:
                raise self._outdated()
        if self.methods_of_others() != self._methods:
            self._arrange()
        elif Parameter.changes != self._changes:
            self._changes = Parameter.changes
            if self._what_learns() != self._learns:
                self._arrange()

    @contextmanager
    def observed(self, observer: Observer) -> Iterator[None]:
        """Show every pass of every node to `observer`, for a block of code.

        Nothing is replayed meanwhile. Observers may be nested; the last one stands outermost.

        Parameters
        ----------
        observer : callable
            Is called as ``observer(layer, which, arrays, compute)`` in the place of each pass, with
            ``"forward"`` or ``"backward"``, and the arrays in lanes that the layer is handed: its
            inputs, or dE/dy. It must call ``compute()``, which returns the output, or a list of
            this layer's share of dE/dx, for each input. Arrays may be overwritten after the call,
            so copy what must last.
        """
        outer = self.observer
        self.observer = observer
        if outer is not None:

            def both(layer, which, arrays, compute):
                return observer(layer, which, arrays, partial(outer, layer, which, arrays, compute))

            self.observer = both
        try:
            yield
        finally:
            self.observer = outer

    def forward(
        self,
        x: Array,
        training: bool = False,
        samples: int | None = None,
        recording: Recording | None = None,
        backward: int = OFTEN,
    ) -> Array:
        """The output of the last node.

        Parameters
        ----------
        x : ndarray, shape (G, *input_shape, 16)
        training : bool
        samples : int, optional
            How many lanes hold a sample; all by default.
        recording : Recording, optional
            Where the pass is written down, so that it can be replayed.
        backward : int
            How often `backward` follows: ``NEVER``, ``ONCE`` or ``OFTEN``.

        Returns
        -------
        ndarray, shape (G, *output_shape, 16)
            Valid until the next forward pass.
        """
        self.check()
        self._check_lanes(x, self._model.input_shape)
        check_flag(training, "training")
        if samples is not None:
            check_samples(x, samples)
        self._groups = None
        if backward != NEVER:
            self.memory.reserve(len(x) * self._kept)
        self.memory.reset()
        few = backward == ONCE and spares_lanes(x, samples) and not self._keeps
        steps = self._used = self._steps if self.observer is None else self._whole
        again = Recomputed(steps, self.graph.output.index, training, few)
        run = self._run = Run(self.memory, len(self.graph), x, training, samples, backward, again)
        run.recording, run.keeps = recording, self._keeps
        self._returned = None
        for step in steps:
            compute = partial(run.forward, step)
            if self.observer is None:
                compute()
            else:
                arrays = [run.values[before] for before in step.inputs]
                self.observer(step.layer, "forward", arrays, compute)
        self._groups = None if backward == NEVER else len(x)
        return run.values[self.graph.output.index]

    def backward(self, dy: Array, recording: Recording | None = None) -> Any:
        """Fill the parameters' gradients, return dE/dx, or None if nobody needs it.

        Parameters
        ----------
        dy : ndarray, shape (G, *output_shape, 16)
            dE/dy, zero in spare lanes; it is not changed.
        recording : Recording, optional
            As in `forward`.
        """
        self._check_lanes(dy, self._model.output_shape)
        if len(dy) != self._groups:
            groups = self._groups
            last = "none to go back through" if groups is None else f"{groups} groups"
            raise self._model.error(
                f"dy has {len(dy)} groups of lanes, and the last forward pass {last}: call forward"
                " on this batch first, and predict nothing in between."
            )
        run = self._run
        if self._returned is not None:
            self.memory.release(self._returned)
        run.gradients, run.recording = {self.graph.output.index: (dy, None)}, recording
        for step in reversed(self._used):
            if step.index not in run.gradients:
                continue
            compute = partial(run.backward, step)
            if self.observer is None:
                compute()
            else:
                self.observer(step.layer, "backward", [run.gradients[step.index][0]], compute)
            run.hand(step)  # only now, as a sum may be written over the layer's share
        dx, self._returned = run.gradients.get(0, (None, None))
        return dx

    def value(self, node: Node) -> np.ndarray:
        """What a node gave in the last forward pass, for a plan that keeps it.

        Parameters
        ----------
        node : Node
            Of this plan's `graph`: ``plan.graph.of(layer)``, for example.

        Returns
        -------
        ndarray, shape (N, *node.shape)
            A copy.

        Raises
        ------
        ArgumentError
            If the plan was not made by ``Plan(model, keeps=True)``, has computed nothing yet, or
            the node is another graph's.
        """
        return self._copy(node, self._last_run(node).values[node.index], "call plan.forward first.")

    def gradient(self, node: Node) -> np.ndarray:
        """dE/d(output of a node) in the last backward pass, summed over all that read it.

        It takes, returns and raises what `value` does, and raises an ArgumentError where nobody
        needs this gradient, as no parameter stands before it.
        """
        gradient, _ = self._last_run(node).gradients.get(node.index, (None, None))
        return self._copy(
            node, gradient,
            "call plan.backward first. dE/dy is computed where a parameter stands before y, or"
            " after model.initialize(..., input_gradient=True).",
        )  # fmt: skip

    def _last_run(self, node):
        if not self._keeps:
            raise self._model.error(
                "this plan gives the place of a signal on: make one that keeps them all, by"
                " Plan(model, keeps=True)."
            )
        if node not in self.graph:
            raise ArgumentError(
                f"expected a node of this plan's graph, got {described(node)}: take it from"
                " plan.graph.nodes, or by plan.graph.of(layer)."
            )
        if self._run is None:
            raise self._model.error("nothing was computed yet: call plan.forward first.")
        return self._run

    def _copy(self, node, array, advice):
        if array is None:
            raise self._model.error(f"{node.name}: none yet: {advice}")
        return unpack(array, self._run.samples)

    def _outdated(self):
        """The error for layers that were built again: as the model has it, if it is a model."""
        if self._chains:
            self._chains[0].check_layers()
        return self._model.error(
            "the layers were built again after this plan was made: make another plan for them."
        )

    def forget(self) -> None:
        """Refuse to go back through the last forward pass: what it left is not there any more."""
        self._groups = None

    def _check_lanes(self, x, shape):
        if not are_lanes(x, shape, self.memory.dtype):
            wanted = ", ".join(["G", *map(str, shape), str(LANES)])
            raise self._model.error(
                f"expected samples in lanes, {self.memory.dtype} of shape ({wanted}) and"
                f" C-contiguous, got {described(x)}: make them by lanes.pack(batch, model.dtype),"
                " or call predict with ordinary arrays."
            )


def _chains(layer):
    """Every Sequential: what remembers the layers that were built."""
    if hasattr(layer, "built") and hasattr(layer, "layers"):
        yield layer
    for child in layer.children():
        yield from _chains(child)
