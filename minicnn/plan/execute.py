"""One pass over a plan's steps: each layer's arrays, from the memory to the layer and back.

An array has readers, who are counted; the last one gives its place free, or writes over it.

For the package itself: it checks nothing of what it is handed.
"""

from functools import partial
from typing import Any

from minicnn.kernels.joins import add
from minicnn.lanes import LANES
from minicnn.layers.context import Array, Context
from minicnn.layers.views import flat
from minicnn.plan import calls
from minicnn.plan.memory import Memory
from minicnn.plan.recompute import Recomputed
from minicnn.plan.recording import Recording
from minicnn.plan.steps import NEVER, ONCE, Step


class Run:
    """One forward pass, what is kept of it, and the backward passes.

    Attributes
    ----------
    values, slots : list
        The output of each node, and its place; None for a place that is not the memory's.
    contexts : dict of int to Context
    gradients : dict of int to pair
        dE/d(output) of a node and its place, until the backward pass has gone through it.
    recording : Recording or None
        Where what is done is written down.
    keeps : bool
        Whether every value and gradient has a place of its own, as one reader of each never comes.
    """

    keeps = False

    def __init__(
        self, memory: Memory, length: int, x: Array, training: bool, samples: int | None,
        backward: int, recomputed: Recomputed,
    ):  # fmt: skip
        self.memory, self._recomputed = memory, recomputed
        self.recording: Recording | None = None
        self.values: list[Any] = [None] * length
        self.slots: list[Any] = [None] * length
        self.contexts: dict[int, Context] = {}
        self.gradients: dict[int, Any] = {}
        self._parts: list[Any] = []  # each input's share of dE/dx with its place
        self._there: set[int] = set()  # what the backward pass has computed again
        self.values[0], self.groups = x, len(x)
        self.training, self.backward_passes = training, backward
        self.samples = len(x) * LANES if samples is None else samples

    def forward(self, step: Step) -> Array:
        """Compute the output of one node."""
        inputs, layer = [self.values[before] for before in step.inputs], step.layer
        slots = [self.slots[before] for before in step.inputs]
        if step.is_view(self.training):
            y, slot = inputs[0].reshape(self.groups, *step.shape, LANES), slots[0]
            if slot is not None:
                slot.readers += step.readers - 1
        else:
            again, slot = step.index in self._recomputed.readers, slots[0]
            reads = self._reads(step)
            ctx = Context(
                self.memory, step.index, slot, self.training, self.samples, step.relu, again
            )
            if again and slot is not None and not self._recomputed.has(step.inputs[0]):
                slot.readers += 1  # `_recompute`
            y = inputs[0]
            if not (layer.forward_in_place and slot is not None and slot.readers == 1):
                slot = self._take((self.groups, *step.shape, LANES))
                y = slot.array
            slot.readers += step.readers + ("y" in reads and not again)
            self._do(calls.forward_of(layer, _handed(inputs), y, ctx), layer, ctx)
            self.contexts[step.index] = ctx
            for before, own in zip(step.inputs, slots):
                if "x" not in reads or self._recomputed.has(before):
                    self.memory.release(own)
            if self.backward_passes == NEVER:
                self._release(ctx.slots)
        self.values[step.index], self.slots[step.index] = y, slot
        return y

    def backward(self, step: Step) -> list[Any]:
        """Compute the gradients of one node; `hand` then gives dE/dx to those before it."""
        dy, slot = self.gradients[step.index]
        if step.is_view(self.training):
            dx = dy.reshape(self.groups, *step.input_shapes[0], LANES)
            parts = [(dx, slot)]
        elif step.layer.shares_gradient and not step.relu:
            parts = [(dy, slot)] * len(step.inputs)
            if slot is not None:
                slot.readers += len(parts) - 1
        else:
            parts = self._gradients(step, dy, slot)
        self._parts = parts
        return [dx for dx, _ in parts]

    def hand(self, step: Step) -> None:
        """Give each input's share of dE/dx that `backward` has computed to the node before."""
        for before, needed, (dx, own) in zip(step.inputs, step.needs, self._parts):
            if needed:
                self._add(before, dx, own)
            else:
                self.memory.release(own)

    def _gradients(self, step, dy, slot):
        """What a layer's backward pass makes: dE/dx for each input with its slot."""
        layer, ctx = step.layer, self.contexts[step.index]
        reads, count = self._reads(step), len(step.inputs)
        y = self._value(step.index, "y" in reads)
        x = _handed([self._value(before, "x" in reads) for before in step.inputs])
        parts = []
        if any(step.needs):
            places = 1 if layer.shares_gradient else count
            parts = [self._place(step, slot, place) for place in range(places)]
        dx = _handed([array for array, _ in parts]) if parts else None
        if step.has_work:
            self._do(calls.backward_of(layer, x, y, dy, dx, ctx), layer, ctx)
        if len(parts) == 1:
            parts[0][1].readers += count - 1
            parts *= count
        self.memory.release(slot)
        if self.backward_passes == ONCE:
            if "x" in reads:
                self._release(self.slots[before] for before in step.inputs)
            if "y" in reads:
                self.memory.release(self.slots[step.index])
            self._release(ctx.slots)
        return parts or [(None, None)] * count

    def _reads(self, step):
        if self.backward_passes == NEVER:
            return set()
        return step.reads(self.training, step.index in self._recomputed.readers)

    def _value(self, index, is_read):
        """The output of a node, computed again if it is read and was given up."""
        value, maker = self.values[index], self._recomputed.maker[index]
        if is_read and self._recomputed.has(index):
            if maker not in self._there:
                self._recompute(self._recomputed.steps[maker])
            self.slots[index] = self.slots[maker]
            value = self.values[index] = self.values[maker].reshape(value.shape)
        return value

    def _recompute(self, step):
        """Fill a node's output again; its place may be that of an input which nobody else reads."""
        (before,), layer, ctx = step.inputs, step.layer, self.contexts[step.index]
        x = self._value(before, True)
        slot, y = self.slots[before], x
        if not (layer.forward_in_place and slot is not None and slot.readers == 1):
            slot = self._take((self.groups, *step.shape, LANES))
            y = slot.array
        slot.readers += self._recomputed.readers[step.index]
        self._do(partial(layer.recompute, x, y, ctx), layer, ctx)
        self.memory.release(self.slots[before])
        self.values[step.index], self.slots[step.index] = y, slot
        self._there.add(step.index)

    def _place(self, step, slot, place):
        """Where a layer writes dE/dx: over what it reads for the last time, if it can."""
        shape = (self.groups, *step.input_shapes[place], LANES)
        over = step.layer.backward_in_place
        if over == "x" and self.backward_passes == ONCE:
            slot = self.slots[step.inputs[0]]
        elif over != "dy":
            slot = None
        if slot is None or slot.readers != 1:
            slot = self._take(shape)
        slot.readers += 1
        return slot.array.reshape(shape), slot

    def _take(self, shape):
        return self.memory.take(shape, int(self.keeps))

    def _add(self, before, dx, slot):
        """Give dE/dx to the node that made x, and add it to what another consumer has given."""
        if before in self.gradients:
            other, own = self.gradients[before]
            free = next((s for s in (slot, own) if s is not None and s.readers == 1), None)
            out = self._take(dx.shape) if free is None else free
            out.readers += 1
            total = out.array.reshape(dx.shape)
            if self.recording is not None:
                self.recording.kernels()
            add(flat(dx), flat(other), False, flat(total))
            self.memory.release(slot)
            self.memory.release(own)
            dx, slot = total, out
        self.gradients[before] = dx, slot

    def _do(self, call, layer, ctx):
        if self.recording is None:
            call()
        else:
            self.recording.step(call, calls.runs_python(layer))
        ctx.end_call()

    def _release(self, slots):
        for slot in slots:
            self.memory.release(slot)


def _handed(arrays):
    """What a layer is handed: one array, or a tuple where it has several inputs."""
    return arrays[0] if len(arrays) == 1 else tuple(arrays)
