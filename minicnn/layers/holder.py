"""Holder: the one thread that computes with a model."""

import threading
from contextlib import contextmanager

from minicnn.errors import ArgumentError


class Holder:
    """Lets one thread at a time compute with a model, and refuses the others.

    Layers keep from call to call what they return and what their backward pass needs. A second
    thread would overwrite it, and neither would notice. So the first thread that computes
    holds the model, until it lets go of it or ends.

    A copy is held by nobody.
    """

    def __init__(self):
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._thread = self._ident = None
        self.retired = False

    def take(self):
        """Hold the model for this thread; some 50 ns if it does already.

        Raises
        ------
        ArgumentError
            If another thread holds it, or the layers have gone to another model.
        """
        if self._ident != threading.get_ident():
            self._take()

    def _take(self):
        with self._lock:
            if self.retired:
                raise ArgumentError(
                    "this model's layers are another model's by now, which was initialized after"
                    " it: make each model from layers of its own, then initialize it."
                )
            if self._thread is not None and self._thread.is_alive():
                raise ArgumentError(
                    f"thread {threading.current_thread().name!r} cannot use this model, which"
                    f" thread {self._thread.name!r} is computing with: its layers keep arrays from"
                    " call to call. Call model.release() there when it is done, or give each"
                    " thread a model of its own (initialize, then load_state_dict)."
                )
            self._thread, self._ident = threading.current_thread(), threading.get_ident()

    def release(self):
        """Let other threads have the model, if this one holds it."""
        with self._lock:
            if self._ident == threading.get_ident():
                self._thread = self._ident = None

    def retire(self):
        """Refuse everybody from now on: the layers have gone to another model."""
        with self._lock:
            self._thread = self._ident = None
            self.retired = True

    @contextmanager
    def once(self):
        """Hold the model for a block of code that keeps nothing; threads that do so wait in turn.

        Raises
        ------
        ArgumentError
            If another thread holds it outside of such a block.
        """
        held = self._ident == threading.get_ident()
        if held:
            yield
            return
        with self._turn:
            self.take()
            try:
                yield
            finally:
                self.release()

    def __reduce__(self):
        return Holder, ()
