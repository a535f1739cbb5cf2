"""Context: what a layer is told about one pass, and where it gets arrays to work in.

A layer asks for what it needs; it checks nothing of what it is handed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

#: In lanes, as a rule: ``(G, C, H, W, 16)`` or ``(G, F, 16)``, see :mod:`minicnn.lanes`.
Array = np.ndarray
#: Of one sample, ``(C, H, W)`` or ``(F,)``.
Shape = tuple[int, ...]


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
    recomputed : bool
        Whether `y` is filled again in the backward pass (``Layer.recompute``): save nothing then.
    saved : dict of str to ndarray
        What the forward pass has saved for the backward pass, see `save`.
    slots : list
        The memory of these.
    """

    __slots__ = (
        "_borrowed", "_memory", "_node", "_x", "recomputed", "relu", "samples", "saved", "slots",
        "training",
    )  # fmt: skip

    def __init__(
        self, memory: Any, node: int, x: Any, training: bool, samples: int, relu: bool,
        recomputed: bool = False,
    ) -> None:  # fmt: skip
        self._memory, self._node, self._x = memory, node, x  # x: the first input's slot, or None
        self.training, self.samples, self.relu = training, samples, relu
        self.recomputed = recomputed
        self.saved: dict[str, Array] = {}
        self.slots: list[Any] = []
        self._borrowed: list[Any] = []

    def scratch(self, shape: tuple[int, ...]) -> Array:
        """An array with anything in it, for this call alone."""
        slot = self._memory.take(shape)
        self._borrowed.append(slot)
        return slot.array

    def end_call(self) -> None:
        """Give back what was borrowed as scratch."""
        while self._borrowed:
            self._memory.release(self._borrowed.pop())

    def keep(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike | None = None) -> Array:
        """An array that stays this layer's from pass to pass; zero when it is made."""
        return self._memory.keep((self._node, name), shape, dtype)

    def table(self, key: Any, make: Callable[[], Any]) -> Any:
        """What ``make()`` gives, made once for each `key` of this layer; it lasts."""
        return self._memory.table((self._node, key), make)

    def save(self, name: str, shape: tuple[int, ...], over_x: bool = False) -> Array:
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
