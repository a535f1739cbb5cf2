"""StepLog: loss and accuracy in the course of an epoch, in at most some hundred points."""

import os
from typing import Any

from minicnn.checks import restoring
from minicnn.training.callbacks.base import Callback
from minicnn.training.runs.files import json_lines, write_atomically
from minicnn.training.trainer import Trainer

MOST = 400  # points; at so many, each two become one
STEPS_FILE = "steps.jsonl"


class StepLog(Callback):
    """Keeps a file with the mean loss and accuracy of each stretch of training steps.

    A line of JSON for each stretch: ``step`` (its last) and ``epoch`` (done by then, as 1.25),
    ``train_loss`` (nats) and ``train_accuracy`` (a fraction), means over its images, each seen
    with the weights from before the update. Stretches are single steps at first. When there are
    `MOST`, each two become one, and the next ones are twice as long: at any time there are at
    least half as many points as `MOST`, or one for each step. Nothing depends on how long
    training is to last.

    A step costs some additions; the file is replaced at the end of each epoch and of training.

    Parameters
    ----------
    path : str or Path
        Such as ``runs/first/steps.jsonl``.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = path
        self._length = 1  # steps in a stretch
        #: Stretches: last step, images, sum of losses, correct predictions.
        self._ended: list[list[Any]] = []
        self._before = 0
        self._begin()

    def _begin(self):
        self._steps, self._images, self._loss, self._correct = 0, 0, 0.0, 0

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Where the running totals stand: not at 0 if the epoch was broken off."""
        self._before = trainer.totals.correct

    def on_step_end(self, trainer: Trainer) -> None:
        """Add a batch; end the stretch if it is long enough."""
        images, correct = trainer.batch.samples, trainer.totals.correct
        self._steps += 1
        self._images += images
        self._loss += float(trainer.loss_value) * images
        self._correct += correct - self._before
        self._before = correct
        if self._steps == self._length:
            self._ended.append([trainer.step, self._images, self._loss, self._correct])
            self._begin()
            if len(self._ended) == MOST:
                self._halve()

    def _halve(self):
        pairs = zip(self._ended[::2], self._ended[1::2])
        self._ended = [[b[0], *(x + y for x, y in zip(a[1:], b[1:]))] for a, b in pairs]
        self._length *= 2

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Write the file."""
        self._write(trainer)

    def on_train_end(self, trainer: Trainer) -> None:
        """Write the file."""
        self._write(trainer)

    def _write(self, trainer):
        running = [[trainer.step, self._images, self._loss, self._correct]] if self._steps else []
        epoch = trainer.total_steps // trainer.epochs  # in steps
        lines = [
            {
                "step": step,
                "epoch": step / epoch,
                "train_loss": loss / images,
                "train_accuracy": correct / images,
            }  # fmt: skip
            for step, images, loss, correct in [*self._ended, *running]
        ]
        write_atomically(self.path, json_lines(lines))

    def state_dict(self) -> dict[str, Any]:
        """All stretches, the running one included."""
        running = [self._steps, self._images, self._loss, self._correct]
        return {"length": self._length, "ended": self._ended, "running": running}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after these stretches."""
        with restoring(state, "StepLog"):
            length, ended = int(state["length"]), [_numbers(s) for s in state["ended"]]
            running = _numbers(state["running"])
        self._length, self._ended = length, ended
        self._steps, self._images, self._loss, self._correct = running


def _numbers(stretch):
    """A stretch as it was before JSON, which has no infinity."""
    number, images, loss, correct = stretch
    return [int(number), int(images), float("inf" if loss is None else loss), int(correct)]
