"""Context: what a layer is told about one pass, and where it gets arrays to work in.

A layer asks for what it needs; it checks nothing of what it is handed.
"""

import numpy as np

from minicnn.plan.memory import Memory


class Context:
    """One layer's view of one forward pass and the backward pass that follows it.

    Attributes
    ----------
    training : bool
        Whether dropout drops and batch normalization uses the batch's statistics.
    samples : int
        How many lanes hold a sample; the others are spare.
    relu : bool
        Whether this layer computes the ReLU beside it in its own loops, see ``Layer.fuses_relu``.
    saved : dict of str to ndarray
        What the forward pass has saved for the backward pass, see `save`.
    """

    __slots__ = (
        "_borrowed",
        "_memory",
        "_node",
        "_x",
        "relu",
        "samples",
        "saved",
        "slots",
        "training",
    )

    def __init__(self, memory, node, x, training, samples, relu):
        self._memory: Memory = memory
        self._node, self._x = node, x  # the slot of the first input, or None
        self.training, self.samples, self.relu = training, samples, relu
        self.saved: dict[str, np.ndarray] = {}
        self.slots, self._borrowed = [], []

    def scratch(self, shape: tuple[int, ...]) -> np.ndarray:
        """An array with anything in it, for this call alone."""
        slot = self._memory.take(shape)
        self._borrowed.append(slot)
        return slot.array

    def end_call(self):
        """Give back what was borrowed as scratch."""
        while self._borrowed:
            self._memory.release(self._borrowed.pop())

    def keep(self, name: str, shape: tuple[int, ...], dtype=None) -> np.ndarray:
        """An array that stays this layer's from pass to pass; zero when it is made."""
        return self._memory.keep((self._node, name), shape, dtype)

    def table(self, key, make):
        """What ``make()`` gives, made once for each `key` of this layer; it lasts."""
        return self._memory.table((self._node, key), make)

    def save(self, name: str, shape: tuple[int, ...], over_x: bool = False) -> np.ndarray:
        """An array with anything in it that lasts until the backward pass has ended.

        With `over_x` it is the input's own memory if nobody else reads that any more. Ask for it in
        the forward pass; the backward pass finds it in ``ctx.saved[name]``.
        """
        if name not in self.saved:
            slot = self._x if over_x else None
            if slot is not None and slot.readers == 1:
                slot.readers += 1
            else:
                slot = self._memory.take(shape)
            self.slots.append(slot)
            self.saved[name] = slot.array.reshape(shape)
        return self.saved[name]
