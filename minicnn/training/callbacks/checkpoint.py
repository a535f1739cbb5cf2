"""Checkpoint: what training writes to go on from after it was ended in any way.

``checkpoint.safetensors`` holds a snapshot (:mod:`minicnn.training.runs.snapshot`). It is written
under another name, flushed to the disk and then renamed, and the one before stays beside it
as ``checkpoint.previous.safetensors`` until the next: a power failure at any moment leaves
one that is whole. ``best.safetensors`` holds the weights alone, of the epoch with the best
validation accuracy, the first of equals; without a validation set there is none.
"""

import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.checks import check_dict, check_path, takes
from minicnn.errors import ArgumentError, DataError
from minicnn.paths import expand, replace
from minicnn.training.callbacks.base import Callback, best_of, is_better
from minicnn.training.runs import snapshot, tensors
from minicnn.training.runs.files import write_atomically, writing
from minicnn.training.runs.weights import check_trainer, model_file
from minicnn.training.trainer import Trainer

NEWEST, PREVIOUS = "checkpoint.safetensors", "checkpoint.previous.safetensors"
BEST = "best.safetensors"
EVERY, AT_END = "1epoch", "end"


def parse_interval(text: str | int) -> tuple[int, int]:
    """Steps and epochs between two checkpoints, at least one of which is 0.

    `text` is a number of steps, as ``"500"``, or of epochs, as ``"1epoch"`` or ``"2epochs"``; or
    ``"end"``, for a checkpoint when training ends and none before. All else is an ArgumentError.
    """
    if str(text) == AT_END:
        return 0, 0
    match = re.fullmatch(r"0*([1-9][0-9]{0,17})(epochs?)?", str(text))
    if not match:
        raise ArgumentError(
            "checkpoint-every must be a number of steps such as 500, of epochs such as 1epoch, or"
            f" end, got {str(text)!r}."
        )
    return (0, int(match[1])) if match[2] else (int(match[1]), 0)


class Checkpoint(Callback):
    """Writes checkpoints in the course of training, one at its end, and the best weights.

    Between two of them a step costs one comparison. To be placed after callbacks whose state
    it is to keep, and that may end training.

    Parameters
    ----------
    folder : str or Path
        That exists.
    every : str or int
        See `parse_interval`.
    about : dict, optional
        Plain values that go into each file's metadata.

    Raises
    ------
    ArgumentError
        For an interval that is none, and from within training if a file cannot be written;
        the checkpoint before is then as it was.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: str | int = EVERY,
        about: dict[str, Any] | None = None,
    ):
        self.folder = expand(folder, "Checkpoint: folder")
        self._about = {} if about is None else dict(check_dict(about, "Checkpoint: about"))
        self._steps, self._epochs = parse_interval(every)
        self._due = 0
        self._written: tuple[int, int] | None = None
        self._data: dict[str, Any] | None = None

    def on_train_begin(self, trainer: Trainer) -> None:
        """Find the next step that is due."""
        self._due = (trainer.step // self._steps + 1) * self._steps if self._steps else -1

    def on_step_end(self, trainer: Trainer) -> None:
        """Write if this step is due."""
        if trainer.step == self._due:
            self._due += self._steps
            self.write(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Write the weights if they are the best so far, and a checkpoint if it is due."""
        held = [line.get("validation_accuracy", math.nan) for line in trainer.history]
        if is_better(held[-1], best_of(held[:-1])):
            with trainer.averaged():
                data = model_file(trainer, self._about)
            write_atomically(self.folder / BEST, data)
        if trainer.has_ended() or (self._epochs and trainer.epoch % self._epochs == 0):
            self.write(trainer)

    @takes(trainer=check_trainer)
    def write(self, trainer: Trainer) -> None:
        """Write a checkpoint now, after a step or an epoch, unless that is done already."""
        position = trainer.step, len(trainer.history)
        if position == self._written:
            return
        if self._data is None:
            self._data = snapshot.describe_data(trainer)
        arrays, state = snapshot.capture(trainer, self._data)
        data = tensors.encode(arrays, {**self._about, **state})
        write_atomically(self.folder / NEWEST, data, keep=self.folder / PREVIOUS)
        self._written = position

    def forget_previous(self) -> None:
        """Remove the checkpoint before the last: for the end of a training that has finished."""
        with writing(self.folder / PREVIOUS):
            (self.folder / PREVIOUS).unlink(missing_ok=True)


@takes(folder=check_path)
def has_checkpoint(folder: str | os.PathLike[str]) -> bool:
    """Whether there is any in a folder."""
    return any(os.path.lexists(Path(folder, name)) for name in (NEWEST, PREVIOUS))


@takes(folder=check_path)
def read_checkpoint(
    folder: str | os.PathLike[str],
) -> tuple[dict[str, np.ndarray], dict[str, Any], str | None]:
    """The newest checkpoint of a folder that is whole.

    If that is the one before the last, it becomes the last, so that the damaged one never
    takes its place. A folder in which none is whole is a DataError, and one that cannot be written
    is an ArgumentError.

    Returns
    -------
    arrays, about : dict
        As `snapshot.restore` takes them.
    note : str or None
        What was wrong with the last one, if it was not the one.
    """
    newest, previous = (Path(folder) / name for name in (NEWEST, PREVIOUS))
    note, errors = None, []
    for path in (newest, previous):
        if not os.path.lexists(path):
            continue
        try:
            arrays, about = tensors.read(path)
            if "trainer" not in about:
                raise DataError(f"{path} is no checkpoint: it does not say where training stood.")
        except DataError as error:
            errors.append(str(error))
            continue
        if path == previous:
            note = " ".join([*errors, f"Training goes on from {previous}, the one before."])
            with writing(newest):
                replace(previous, newest)
        return arrays, about, note
    raise DataError(
        " ".join(errors) + " There is no other to go on from: begin a new run, or remove the"
        " damaged files to begin this one again."
    )
