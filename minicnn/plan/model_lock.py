"""ModelLock: one thread at a time trains a model; any number predict meanwhile nobody does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from minicnn.errors import ArgumentError


class ModelLock:
    """Lets one thread compute with a model what changes it, and refuses the others.

    A forward pass of training and the backward pass behind it fill the same arrays, so two threads
    in turn would spoil each other's numbers, and neither would notice. The first that computes has
    the model, until it lets go of it or ends. To predict changes nothing: threads that do so share
    the weights, and each has arrays of its own.

    A copy is nobody's.
    """

    def __init__(self):
        self._changed = threading.Condition()
        self._thread = self._ident = None
        self._readers = 0

    def take(self) -> None:
        """Have the model for this thread, once no other predicts; some 50 ns if it has it already.

        Raises
        ------
        ArgumentError
            If another thread has it.
        """
        if self._ident != threading.get_ident():
            with self._changed:
                self._refuse()
                self._changed.wait_for(lambda: not self._readers)
                self._refuse()
                self._thread, self._ident = threading.current_thread(), threading.get_ident()

    def _refuse(self):
        if self._thread is not None and self._thread.is_alive():
            raise ArgumentError(
                f"thread {threading.current_thread().name!r} cannot use this model, which"
                f" thread {self._thread.name!r} is computing with. Call model.release() there when"
                " it is done, or give each thread a model of its own (initialize, then"
                " load_state_dict)."
            )

    def release(self) -> None:
        """Let other threads have the model, if this one has it."""
        with self._changed:
            if self._ident == threading.get_ident():
                self._thread = self._ident = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Have the model for a block of code.

        Raises
        ------
        ArgumentError
            If another thread has it.
        """
        had = self._ident == threading.get_ident()
        self.take()
        try:
            yield
        finally:
            if not had:
                self.release()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Read the weights for a block of code; any number of threads may do so at once.

        Raises
        ------
        ArgumentError
            If another thread has the model.
        """
        if self._ident == threading.get_ident():
            yield
            return
        with self._changed:
            self._refuse()
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return ModelLock, ()
