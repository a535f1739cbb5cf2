"""Recording: one pass over a model, written down and done again.

In training the same kernels run on the same arrays in every step. For a small batch Python takes
as long to find them as they take to run. So the first step of a kind is written down: runs of
kernels are captured (:mod:`minicnn.kernels.runtime.replay`), and what a layer does in Python is
kept as a call between them. Replayed, each does the same again, on the same arrays.

For the package itself: it checks nothing of what it is handed.
"""

from collections.abc import Callable, Iterable
from typing import Any

from minicnn.kernels.runtime.replay import Captured


class Recording:
    """What a pass does: captured kernels, and Python calls between them, in order.

    Use it as a context manager while the pass runs for the first time.

    Attributes
    ----------
    is_whole : bool
        Whether all was captured, so that it can be replayed.
    """

    def __init__(self):
        self._calls: list[Callable[[], None]] = []
        self._captured: Any = None
        self._block: Any = None
        self.is_whole = True

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self._end_capture()
        if kind is not None:
            self.is_whole = False

    @classmethod
    def joined(cls, recordings: Iterable["Recording"]) -> "Recording":
        """Whole ones, one after the other; kernels without Python in between are one call."""
        whole, calls = cls(), list[Callable[[], None]]()
        for call in (call for recording in recordings for call in recording._calls):
            both = [_captured(other) for other in (*calls[-1:], call)]
            if len(both) == 2 and None not in both:
                calls[-1] = Captured.joined(both).replay
            else:
                calls.append(call)
        whole._calls = calls
        return whole

    @property
    def is_kernels(self) -> bool:
        """Whether Python is never called."""
        return all(_captured(call) is not None for call in self._calls)

    def step(self, call: Callable[[], None], in_python: bool) -> None:
        """Do a step of the pass, ``call()``, and write it down.

        Parameters
        ----------
        call : callable
            Fills the same arrays each time, which the kernels after it read.
        in_python : bool
            Whether it does work outside of the kernels.
        """
        if not in_python:
            self.kernels()
        else:
            self._end_capture()
            self._calls.append(call)
        call()

    def kernels(self) -> None:
        """Capture what kernels do from here on."""
        if self._captured is None:
            self._captured = Captured()
            self._block = self._captured.capture()
            self._block.__enter__()

    def replay(self) -> None:
        """Do it all again."""
        for call in self._calls:
            call()

    def _end_capture(self):
        if self._captured is None:
            return
        captured, self._captured = self._captured, None
        self._block.__exit__(None, None, None)
        self._block = None
        self.is_whole = self.is_whole and bool(captured)
        if captured and len(captured):
            self._calls.append(captured.replay)


def _captured(call):
    """The captured kernels that a call replays; None for one of Python."""
    owner = getattr(call, "__self__", None)
    return owner if isinstance(owner, Captured) else None
