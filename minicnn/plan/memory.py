"""Memory of a plan: where the arrays of a pass are, and for how long.

A signal lives from the layer that makes it to its last reader, and a gradient likewise; then its
place is given to another. So a training step takes little more than the signals that the way back
needs, and inference what two layers need.

For the package itself: it checks nothing of what it is handed.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from minicnn.allocation import OutOfMemory
from minicnn.lanes import LANES, zeros


class Slot:
    """A stretch of memory, in use until nobody has to read it any more.

    Attributes
    ----------
    readers : int
        How many reads are still to come.
    """

    __slots__ = ("array", "block", "readers", "start", "stop")

    def __init__(self, block: int, start: int, stop: int, array: np.ndarray, readers: int):
        self.block, self.start, self.stop = block, start, stop
        self.array, self.readers = array, readers


class Memory:
    """Slots and kept arrays of one dtype; for one thread.

    Attributes
    ----------
    allocations : int
        How many arrays were made so far: while it stays, all of them are where they were.
    """

    def __init__(self, dtype: npt.DTypeLike):
        self.dtype, self.allocations = np.dtype(dtype), 0
        self._blocks: list[np.ndarray] = []
        self._free: list[list[int]] = []  # [block, start, stop]
        self._kept: dict[Any, np.ndarray] = {}
        self._tables: dict[Any, Any] = {}

    def reset(self) -> None:
        """Give every slot back."""
        self._free = [[number, 0, block.size] for number, block in enumerate(self._blocks)]

    def reserve(self, size: int) -> None:
        """Make room for slots of `size` numbers side by side, where any can follow any.

        Memory that is never used costs nothing: the system gives it at the first write.
        """
        if all(block.size < size for block in self._blocks):
            with suppress(OutOfMemory):  # the system does not promise so much: go without
                self._blocks = [self._zeros((size,))]

    def take(self, shape: tuple[int, ...], readers: int = 1) -> Slot:
        """A slot with an array of this shape that holds anything, and begins a vector."""
        used = math.prod(shape)
        size = -(-used // LANES) * LANES
        fits = [free for free in self._free if free[2] - free[1] >= size]
        if fits:
            free = min(fits)  # the lowest place, so that the large room behind it stays whole
        else:
            self._blocks.append(self._zeros(shape if size == used else (size,)).reshape(-1))
            free = [len(self._blocks) - 1, 0, size]
            self._free.append(free)
        block, start, _ = free
        free[1] = stop = start + size
        if free[1] == free[2]:
            self._free.remove(free)
        array = self._blocks[block][start : start + used].reshape(shape)
        return Slot(block, start, stop, array, readers)

    def release(self, slot: Slot | None) -> None:
        """One reader less; after the last one the place is free. None is nobody's to give."""
        if slot is None:
            return
        slot.readers -= 1
        if slot.readers:
            return
        start, stop = slot.start, slot.stop
        for free in list(self._free):
            if free[0] == slot.block and (free[2] == start or free[1] == stop):
                start, stop = min(start, free[1]), max(stop, free[2])
                self._free.remove(free)
        self._free.append([slot.block, start, stop])

    def keep(
        self, key: Any, shape: tuple[int, ...], dtype: npt.DTypeLike | None = None
    ) -> np.ndarray:
        """An array for `key` alone that lasts; zero when made. It grows along its first axis."""
        kept = self._kept.get(key)
        if kept is None or len(kept) < shape[0] or kept.shape[1:] != shape[1:]:
            kept = self._kept[key] = self._zeros(shape, dtype or self.dtype)
        return kept[: shape[0]]

    def table(self, key: Any, make: Callable[[], Any]) -> Any:
        """What ``make()`` gave for `key` the first time."""
        if key not in self._tables:
            self._tables[key] = make()
        return self._tables[key]

    def _zeros(self, shape, dtype=None):
        self.allocations += 1
        return zeros(shape, dtype or self.dtype)
