"""Arrays that are kept from call to call, so that training allocates nothing.

For the package itself: it checks nothing of what it is handed.
"""

import math
from contextlib import contextmanager

import numpy as np

from minicnn.lanes import LANES, zeros
from minicnn.layers.holder import Holder


class Workspace:
    """Room to work in during one call, shared by the layers of a model.

    Nobody keeps anything there, so all layers can have the same memory, which is then also
    the memory that is most likely in the cache.

    Attributes
    ----------
    holder : Holder
        The thread that computes with the model.
    allocations : int
        How many arrays were made so far, here and as the layers' own buffers: while it stays, all
        of them are where they were.
    trusted : bool
        Whether what layers are handed comes from each other, within a pass that has checked what
        it was given itself.
    """

    def __init__(self):
        self._kept, self.holder, self.allocations = {}, Holder(), 0
        self.trusted = False

    @contextmanager
    def trusting(self, trusted=True):
        """Set `trusted` for a block of code."""
        outer, self.trusted = self.trusted, trusted
        try:
            yield
        finally:
            self.trusted = outer

    def rows(self, name, length, shape, dtype):
        """An array ``(length, *shape)`` with anything in it."""
        size, key = length * math.prod(shape), (name, np.dtype(dtype))
        if key not in self._kept or self._kept[key].size < size:
            self._kept[key] = None  # let go of the old one first
            self._kept[key] = zeros((size,), dtype)
            self.allocations += 1
        return self._kept[key][:size].reshape(length, *shape)


class Buffers:
    """Named arrays of one dtype, made when first asked for.

    They only ever grow, so a smaller last batch of an epoch allocates nothing.
    """

    def __init__(self, dtype, workspace=None):
        self.dtype, self.workspace = dtype, workspace or Workspace()
        self._kept, self._views = {}, {}

    def rows(self, name, length, shape):
        """An array ``(length, *shape)``; zero when first made."""
        view = self._views.get(name)
        if view is None or view.shape != (length, *shape):
            kept = self._kept.get(name)
            if kept is None or len(kept) < length or kept.shape[1:] != tuple(shape):
                kept = self._kept[name] = zeros((length, *shape), self.dtype)
                self.workspace.allocations += 1
            view = self._views[name] = kept[:length]
        return view

    def lanes(self, name, groups, shape):
        """Room for samples in lanes, ``(groups, *shape, 16)``."""
        return self.rows(name, groups, (*shape, LANES))

    def scratch(self, name, length, shape):
        """An array ``(length, *shape)`` with anything in it, for this call alone."""
        return self.workspace.rows(name, length, shape, self.dtype)
