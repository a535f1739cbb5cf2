"""Callbacks: what looks on while a model is trained.

A callback is told when something begins or ends, and is given the trainer, whose public
attributes say where training stands (see :class:`minicnn.training.trainer.Trainer`).
Callbacks are called in the order in which they were given.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from minicnn.checks import check_items, check_number, restoring, takes
from minicnn.paths import expand
from minicnn.training.runs.files import json_lines, write_atomically, write_record

if TYPE_CHECKING:
    from minicnn.training.trainer import Trainer


class Callback:
    """Base of all callbacks: every hook does nothing; a subclass overrides what it needs.

    In the order of events::

        on_train_begin
            on_epoch_begin
                on_loss         loss and gradients are known, no parameter has changed yet
                on_step_end     the parameters have been updated
            on_epoch_end        the test set has been evaluated, history has its line
        on_train_end            always, even if an error or the user ends training

    ``on_loss`` and ``on_step_end`` run in every step, so they must cost next to nothing.
    An exception raised in a hook ends training.
    """

    #: What a checkpoint keeps: names of attributes, and what makes each of its plain value.
    STATE: Mapping[str, Callable[[Any], Any]] = {}

    def on_train_begin(self, trainer: "Trainer") -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, trainer: "Trainer") -> None:
        """Before the first step of an epoch."""

    def on_loss(self, trainer: "Trainer") -> None:
        """Between the backward pass and the update of every step."""

    def on_step_end(self, trainer: "Trainer") -> None:
        """After the update of every step."""

    def on_epoch_end(self, trainer: "Trainer") -> None:
        """After the evaluation that follows an epoch."""

    def on_train_end(self, trainer: "Trainer") -> None:
        """After the last epoch, or after whatever ended training before."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must keep of this callback, as plain values; by default `STATE`."""
        return {name: getattr(self, name) for name in self.STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned, before training goes on; all of it or nothing."""
        with restoring(state, type(self).__name__):
            values = {name: made(state[name]) for name, made in self.STATE.items()}
        vars(self).update(values)


def _number_or_none(value, what):
    return None if value is None else check_number(value, what)


def _numbers(value, what):
    return [check_number(n, f"{what}[{i}]") for i, n in enumerate(check_items(value, what))]


@takes(result=check_number, best=_number_or_none, by=check_number)
def is_better(result: float, best: float | None, by: float = 0.0) -> bool:
    """Whether a result is a new best: greater by more than `by`, or the first; NaN never is.

    `best` is the greatest before; None or NaN if there was none.
    """
    if best is None or math.isnan(best):
        return not math.isnan(result)
    return float(result) - float(best) > by


@takes(results=_numbers)
def best_of(results: Iterable[float]) -> float | None:
    """The greatest of some numbers, None if there is none but NaN."""
    return max((result for result in results if not math.isnan(result)), default=None)


class MetricsLog(Callback):
    """Keeps a file, such as ``runs/first/metrics.jsonl``, of the lines of ``trainer.history``.

    They are JSON, one for each epoch. The whole file is replaced at the end of each epoch, so that
    it never ends in half a line.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = expand(path, "MetricsLog: path")

    def on_train_begin(self, trainer: "Trainer") -> None:
        """Write the lines that there are already, of the epochs that training goes on from."""
        write_atomically(self.path, json_lines(trainer.history))

    def on_epoch_end(self, trainer: "Trainer") -> None:
        """Write all lines."""
        write_record(self.path, json_lines(trainer.history))
