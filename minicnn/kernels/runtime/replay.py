"""Capture and replay: what some kernels did, done again with nothing in between.

A kernel that is called from Python first takes its arguments apart, and Python looks for them
before: together some microseconds, which is as long as a small kernel takes. Where the same kernels
run on the same arrays again and again, they need to be found only once::

    captured = Captured()
    with captured.capture():
        correlate(x, w, bias, y, ...)
        max_pool(y, z, ...)
    x[...] = other
    captured.replay()                   # fills y and z anew

What is captured is what kernels hand to the pool by `parallel_for`; work that they do outside of
it, and Python's own, is not. Nor are the arrays: they must stay alive, and where they are. The same
idea for other processors is CUDA's graphs (``torch.cuda.CUDAGraph``).
"""

import threading
from contextlib import contextmanager

import numpy as np

from minicnn.errors import ArgumentError
from minicnn.kernels.runtime.atomics import peek, poke
from minicnn.kernels.runtime.closures import CAPTURING, HEAD, LIST, ROOM, WRITTEN
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import FAILURE, hand_out, pool_words

MOST_WORDS = 1 << 15  # of what is captured; a small network takes some 1,000

_list = np.empty(MOST_WORDS, np.int64)  # of who captures
_lock = threading.Lock()


class Captured:
    """The calls of kernels in a block; none where there were too many, or another thread captured.

    ``bool(captured)`` tells whether there is something to replay.
    """

    def __init__(self):
        self._calls = None

    def __bool__(self):
        return self._calls is not None

    def __len__(self):
        """How many words were written down."""
        return 0 if self._calls is None else self._calls.size

    @classmethod
    def joined(cls, parts):
        """What each of some, which are not empty, has captured, in their order."""
        whole = cls()
        whole._calls = np.concatenate([part._calls for part in parts])
        return whole

    @contextmanager
    def capture(self):
        """Take down what the kernels do that this thread calls in the block.

        An exception in the block leaves nothing captured.
        """
        self._calls = None
        if not _lock.acquire(blocking=False):
            yield
            return
        try:
            words = pool_words()
            words[LIST], words[ROOM], words[WRITTEN] = _list.ctypes.data, _list.size, 0
            words[CAPTURING] = threading.get_ident()
            try:
                yield
            finally:
                words[CAPTURING] = 0
            if words[WRITTEN] >= 0:
                self._calls = _list[: words[WRITTEN]].copy()
        finally:
            _lock.release()

    def replay(self):
        """Do it again: an ArgumentError if nothing is captured, a MemoryError if a task failed."""
        if self._calls is None:
            raise ArgumentError("nothing is captured: ask bool(captured) before replay().")
        if not _replay(self._calls):
            raise MemoryError(FAILURE)


@kernel
def _replay(calls):
    """Make all calls again, and tell whether none failed."""
    start, at = calls.ctypes.data, 0
    while at < calls.size:
        function, words, count = calls[at], calls[at + 1], calls[at + 2]
        place = start + 8 * (at + HEAD)
        failed = place + 8 * (words - 1)
        if peek(failed):  # not written to for nothing: the other threads have it in their caches
            poke(failed, 0)
        hand_out(function, place, words, count)
        if peek(failed):
            return False
        at += HEAD + words
    return True
