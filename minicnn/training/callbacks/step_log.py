"""StepLog: loss and accuracy in the course of an epoch, in at most some hundred points."""

import math
import os
from operator import add
from typing import Any

from minicnn.training.callbacks.base import Callback
from minicnn.training.runs.files import json_lines, write_record
from minicnn.training.trainer import Trainer

MOST = 400  # points; at so many, each two become one
STEPS_FILE = "steps.jsonl"


def _numbers(stretch):
    """A stretch as it was before JSON, which has no infinity."""
    number, images, loss, correct, *weight = stretch
    loss = float("inf" if loss is None else loss)
    weight = float(*weight or [images])  # earlier versions had none
    return [int(number), int(images), loss, int(correct), weight]


class StepLog(Callback):
    """Keeps a file, as ``steps.jsonl``, with loss and accuracy of each stretch of training steps.

    A line of JSON for each stretch: ``step`` (its last) and ``epoch`` (done by then, as 1.25),
    ``train_loss`` (nats) and ``train_accuracy`` (a fraction), means over its images, each seen
    with the weights from before the update. In the loss a batch counts by its weight there.
    Stretches are single steps at first. When there are `MOST`, each two become one, and the next
    ones are twice as long: at any time there are at least half as many points as `MOST`, or one
    for each step. Nothing depends on how long training is to last.

    A step costs some additions; the file is replaced at the end of each epoch and of training.
    """

    STATE = {"length": int, "ended": lambda ended: list(map(_numbers, ended)), "running": _numbers}

    def __init__(self, path: str | os.PathLike[str]):
        self.path = path
        self.length = 1  # steps in a stretch
        #: Stretches that have ended: last step, images, sum of losses, correct predictions,
        #: weight in the loss.
        self.ended: list[list[Any]] = []
        #: The one that is running, with its steps in place of the last step.
        self.running: list[Any] = [0, 0, 0.0, 0, 0.0]
        self._before = 0

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Where the running totals stand: not at 0 if the epoch was broken off."""
        self._before = trainer.totals.correct

    def on_step_end(self, trainer: Trainer) -> None:
        """Add a batch; end the stretch if it is long enough."""
        images, correct = trainer.batch.samples, trainer.totals.correct
        weight = float(trainer.loss_weight)
        loss = float(trainer.loss_value) * weight
        step = 1, images, loss, correct - self._before, weight
        self.running = list(map(add, self.running, step))
        self._before = correct
        if self.running[0] == self.length:
            self.ended.append([trainer.step, *self.running[1:]])
            self.running = [0, 0, 0.0, 0, 0.0]
            if len(self.ended) == MOST:
                pairs = zip(self.ended[::2], self.ended[1::2])
                self.ended = [[b[0], *map(add, a[1:], b[1:])] for a, b in pairs]
                self.length *= 2

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Write the file."""
        running = [[trainer.step, *self.running[1:]]] if self.running[0] else []
        epoch = trainer.total_steps // trainer.epochs  # in steps
        lines = [
            {
                "step": step,
                "epoch": step / epoch,
                "train_loss": loss / weight if weight else math.nan,
                "train_accuracy": correct / images,
            }
            for step, images, loss, correct, weight in [*self.ended, *running]
        ]
        write_record(self.path, json_lines(lines))

    def on_train_end(self, trainer: Trainer) -> None:
        """Write the file."""
        self.on_epoch_end(trainer)
