"""Buffers: arrays that a layer keeps from call to call, so that training allocates nothing."""

import numpy as np

from minicnn.lanes import LANES


class Buffers:
    """Named arrays of one dtype, made when first asked for.

    They only ever grow, so a smaller last batch of an epoch allocates nothing.
    """

    def __init__(self, dtype):
        self.dtype = dtype
        self._kept = {}

    def rows(self, name, length, shape):
        """An array ``(length, *shape)``; zero when first made."""
        kept = self._kept.get(name)
        if kept is None or len(kept) < length or kept.shape[1:] != tuple(shape):
            kept = self._kept[name] = np.empty((length, *shape), self.dtype)
            kept.fill(0)
        return kept[:length]

    def lanes(self, name, groups, shape):
        """Room for samples in lanes, ``(groups, *shape, 16)``."""
        return self.rows(name, groups, (*shape, LANES))
