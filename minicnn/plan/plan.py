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
from minicnn.kernels.joins import add
from minicnn.lanes import LANES, are_lanes, check_samples
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context
from minicnn.layers.views import flat
from minicnn.plan import calls
from minicnn.plan.fuse import fuse
from minicnn.plan.graph import trace
from minicnn.plan.memory import Memory
from minicnn.plan.recording import Recording
from minicnn.plan.steps import NEVER, OFTEN, ONCE, Run, Step

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

    Attributes
    ----------
    graph : Graph
    memory : Memory
    arrangement : int
        How often it was decided who does whose work.
    observer : callable or None
        Who is shown every node, see `observed`.
    """

    def __init__(self, model: Layer, fused: bool = False):
        self._model, self.graph = model, trace(model)
        for node in self.graph.nodes[1:]:
            calls.check_passes(node.layer)
        self._fused, self._own = fused, [vars(node.layer) for node in self.graph.nodes[1:]]
        needed = [model.needs_input_gradient]
        for node in self.graph.nodes[1:]:
            above = any(needed[before.index] for before in node.inputs)
            needed.append(above or bool(node.layer.own_parameters()))
        self._needed, self.arrangement = needed, 0
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
        """Decide who does whose work; a layer with a method of others does its own."""
        self._methods, self.arrangement = self.methods_of_others(), self.arrangement + 1
        hosts = fuse(self.graph) if self._fused and not self._methods else {}
        nodes = self.graph.nodes[1:]
        self._steps = [Step(node, self.graph, hosts, self._needed) for node in nodes]

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
            dE/dx of each input. Arrays may be overwritten after the call, so copy what must last.
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
        run = self._run = Run(len(self.graph), x, training, samples, backward)
        self._returned = None
        for step in self._steps:
            compute = partial(self._forward, step, run, recording)
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
        run.gradients = {self.graph.output.index: (dy, None)}
        for step in reversed(self._steps):
            if step.index not in run.gradients:
                continue
            compute = partial(self._backward, step, run, recording)
            if self.observer is None:
                compute()
            else:
                self.observer(step.layer, "backward", [run.gradients[step.index][0]], compute)
        dx, self._returned = run.gradients.get(0, (None, None))
        return dx

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

    def _forward(self, step, run, recording):
        """Compute the output of one node."""
        inputs, layer = [run.values[before] for before in step.inputs], step.layer
        slots = [run.slots[before] for before in step.inputs]
        if step.is_view(run.training):
            y, slot = inputs[0].reshape(run.groups, *step.shape, LANES), slots[0]
            if slot is not None:
                slot.readers += step.readers - 1
        else:
            reads = step.reads(run.training) if run.backward != NEVER else ()
            slot, relu = slots[0], step.relu
            ctx = Context(self.memory, step.index, slot, run.training, run.samples, relu)
            y = inputs[0]
            if not (layer.forward_in_place and slot is not None and slot.readers == 1):
                slot = self.memory.take((run.groups, *step.shape, LANES), 0)
                y = slot.array
            slot.readers += step.readers + ("y" in reads)
            self._do(calls.forward_of(layer, _handed(inputs), y, ctx), layer, ctx, recording)
            run.contexts[step.index] = ctx
            if "x" not in reads:
                for own in slots:
                    self.memory.release(own)
            if run.backward == NEVER:
                for own in ctx.slots:
                    self.memory.release(own)
        run.values[step.index], run.slots[step.index] = y, slot
        return y

    def _backward(self, step, run, recording):
        """Compute the gradients of one node, and hand dE/dx to those before it."""
        dy, slot = run.gradients[step.index]
        if step.is_view(run.training):
            dx = dy.reshape(run.groups, *step.input_shapes[0], LANES)
            parts = [(dx, slot)]
        elif step.layer.shares_gradient and not step.relu:
            parts = [(dy, slot)] * len(step.inputs)
            if slot is not None:
                slot.readers += len(parts) - 1
        else:
            parts = self._gradients(step, run, dy, slot, recording)
        for before, needed, (dx, own) in zip(step.inputs, step.needs, parts):
            if needed:
                self._hand(before, dx, own, run, recording)
            else:
                self.memory.release(own)
        return [dx for dx, _ in parts]

    def _gradients(self, step, run, dy, slot, recording):
        """What a layer's backward pass makes: dE/dx for each input with its slot."""
        layer, ctx, memory = step.layer, run.contexts[step.index], self.memory
        reads, count = step.reads(run.training), len(step.inputs)
        x, y = _handed([run.values[before] for before in step.inputs]), run.values[step.index]
        parts = []
        if any(step.needs):
            places = 1 if layer.shares_gradient else count
            parts = [self._place(step, run, slot, place) for place in range(places)]
        dx = _handed([array for array, _ in parts]) if parts else None
        if step.has_work:
            self._do(calls.backward_of(layer, x, y, dy, dx, ctx), layer, ctx, recording)
        if len(parts) == 1:
            parts[0][1].readers += count - 1
            parts *= count
        memory.release(slot)
        if run.backward == ONCE:
            if "x" in reads:
                for before in step.inputs:
                    memory.release(run.slots[before])
            if "y" in reads:
                memory.release(run.slots[step.index])
            for own in ctx.slots:
                memory.release(own)
        return parts or [(None, None)] * count

    def _place(self, step, run, slot, place):
        """Where a layer writes dE/dx: over what it reads for the last time, if it can."""
        shape = (run.groups, *step.input_shapes[place], LANES)
        over = step.layer.backward_in_place
        if over == "x" and run.backward == ONCE:
            slot = run.slots[step.inputs[0]]
        elif over != "dy":
            slot = None
        if slot is None or slot.readers != 1:
            slot = self.memory.take(shape, 0)
        slot.readers += 1
        return slot.array.reshape(shape), slot

    def _hand(self, before, dx, slot, run, recording):
        """Give dE/dx to the node that made x, and add it to what another consumer has given."""
        if before in run.gradients:
            other, own = run.gradients[before]
            free = next((s for s in (slot, own) if s is not None and s.readers == 1), None)
            out = self.memory.take(dx.shape, 0) if free is None else free
            out.readers += 1
            total = out.array.reshape(dx.shape)
            if recording is not None:
                recording.kernels()
            add(flat(dx), flat(other), False, flat(total))
            self.memory.release(slot)
            self.memory.release(own)
            dx, slot = total, out
        run.gradients[before] = dx, slot

    @staticmethod
    def _do(call, layer, ctx, recording):
        if recording is None:
            call()
        else:
            recording.step(call, calls.runs_python(layer))
        ctx.end_call()


def _handed(arrays):
    """What a layer is handed: one array, or a tuple where it has several inputs."""
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def _chains(layer):
    """Every Sequential: what remembers the layers that were built."""
    if hasattr(layer, "built") and hasattr(layer, "layers"):
        yield layer
    for child in layer.children():
        yield from _chains(child)
