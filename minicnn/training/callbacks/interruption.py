"""Interruption: Ctrl-C and a termination signal end training between two steps."""

import signal
import threading
from collections.abc import Callable
from typing import Any

from minicnn.training.callbacks.base import Callback
from minicnn.training.trainer import Trainer


class Interruption(Callback):
    """Turns the first SIGINT or SIGTERM during training into an orderly end.

    Within its ``with`` block, a signal that comes before training raises KeyboardInterrupt
    at once. During training it does so after the step or evaluation that is running, so
    that the weights are those of a whole number of steps; after training it does nothing.
    A second signal always raises at once. Outside the main thread, where Python handles no
    signals, nothing is changed.

    Parameters
    ----------
    save : callable, optional
        Is called as ``save(trainer)`` after that step or evaluation, as a checkpoint's
        ``write``.

    Attributes
    ----------
    received : int or None
        The number of the first signal.
    """

    #: Windows sends SIGBREAK for Ctrl-Break, and when a console window is closed.
    SIGNALS = tuple(
        getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
    )

    def __init__(self, save: Callable[[Trainer], Any] | None = None):
        self._save = save
        self.received: int | None = None
        self._deferred = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in self.SIGNALS}
        return self

    def __exit__(self, *error: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _handle(self, number, frame):
        first = self.received is None
        self.received = self.received or number
        if not (first and self._deferred):
            raise KeyboardInterrupt

    def on_train_begin(self, trainer: Trainer) -> None:
        """From here on, wait for the end of the step."""
        self._deferred = True

    def on_step_end(self, trainer: Trainer) -> None:
        """End training if a signal came."""
        if self.received:
            self._end(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """End training if a signal came during the evaluation."""
        if self.received and trainer.epoch < trainer.epochs:
            self._end(trainer)

    def _end(self, trainer):
        if self._save is not None:
            self._save(trainer)
        raise KeyboardInterrupt
