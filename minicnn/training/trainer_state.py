"""Where a training stands, and how that is saved, so that it goes on bit for bit."""

import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.checks import check_path, restoring, takes
from minicnn.data.batches import Batches
from minicnn.errors import ArgumentError, DataError
from minicnn.hints.habits import Habits
from minicnn.training.history import History
from minicnn.training.running_metrics import RunningMetrics
from minicnn.training.runs import snapshot, tensors
from minicnn.training.runs.files import write_atomically

COUNTED = {"trained_images": int, "step_seconds": float, "train_seconds": float}  # in training


class TrainerState(Habits):
    """What of a :class:`minicnn.training.Trainer` changes in training, and is saved.

    Attributes
    ----------
    epoch : int
        The epoch that is running, from 1; 0 before training.
    step, total_steps : int
        Updates made so far and in the whole training.
    totals : RunningMetrics
        Running means over the batches of this epoch.
    history : list of dict
        A line for each finished epoch: ``epoch``, ``step``, ``train_loss`` and
        ``train_accuracy`` (means over the epoch's batches, each sample counting once, or by its
        weight in the loss, while the weights change), ``test_loss`` and ``test_accuracy`` (at the
        end of the epoch), as well as ``validation_loss`` and ``validation_accuracy`` if there is a
        validation set, ``seconds`` (evaluation included) and ``images_per_second`` (training steps
        alone). What was not evaluated is NaN.
        Accuracies are fractions.
    predicted : ndarray of int64, shape (N,), or None
        The class predicted for each test image at the last evaluation.
    trained_images, step_seconds, train_seconds : number
        Images trained on and seconds spent in steps so far; seconds with evaluation.
    """

    epochs: int
    _batches: Batches  # of the training set
    _rng: np.random.Generator  # of the shuffle

    def _start(self):
        """Stand before the first step."""
        self.total_steps = self.epochs * len(self._batches)
        self.epoch = self.step = 0
        self.predicted: np.ndarray | None = None
        self.totals = RunningMetrics()
        self.history = History()
        self.trained_images, self.step_seconds, self.train_seconds = 0, 0.0, 0.0
        self._stopped = False
        self._drawn_from: Any = None  # the shuffle's state before the running epoch's order
        self._before = {name: getattr(self, name) for name in COUNTED}  # in earlier epochs
        self._epoch_begin = self._epoch_seconds = 0.0

    def _steps_of_epoch(self):
        """Steps made since the last epoch ended."""
        return self.step - len(self.history) * len(self._batches)

    @takes(path=check_path)
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that training needs to go on, also from within an epoch, to a file.

        The weights, the states of optimizer, average, callbacks and random numbers, and digests of
        the data: what a `Checkpoint` writes in the course of training. A file that is there is
        replaced once the new one is whole. One that cannot be written is an ArgumentError.
        """
        trainer: Any = self
        arrays, about = snapshot.capture(trainer, snapshot.describe_data(trainer))
        write_atomically(Path(path), tensors.encode(arrays, about))

    @takes(path=check_path)
    def load(self, path: str | os.PathLike[str]) -> None:
        """Stand where the trainer stood that saved itself, so that `fit` goes on bit for bit.

        Its model, settings and data must be made as those were.

        Raises
        ------
        DataError
            If the file is missing, damaged, or one of another training; this trainer is of no use
            then.
        """
        trainer: Any = self
        arrays, about = tensors.read(path)
        try:
            snapshot.restore(trainer, arrays, about, snapshot.describe_data(trainer))
        except (ArgumentError, DataError) as error:
            raise DataError(f"{path} does not fit this training: {error}") from error

    @property
    def evaluated(self) -> bool:
        """Whether the model was evaluated after the epoch that ended last."""
        line = self.history[-1] if self.history else {"test_accuracy": math.nan}
        return not any(math.isnan(line.get(f"{n}_accuracy", 0.0)) for n in ("validation", "test"))

    def state_dict(self) -> dict[str, Any]:
        """Where training stands, in plain values that JSON can hold.

        After any step and between epochs. Not in it are the states of the model, the
        optimizer and the callbacks, and the predictions.
        """
        inside = self._steps_of_epoch() > 0
        return {
            "step": self.step,
            "history": [dict(line) for line in self.history],
            "totals": self.totals.state_dict(),
            "stopped": self._stopped,
            "shuffle": self._drawn_from if inside else self._rng.bit_generator.state,
            **self._before,
            "epoch_seconds": time.perf_counter() - self._epoch_begin if inside else 0.0,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stand where `state_dict` of a trainer with the same settings and data stood.

        A step that is not one of this training, or not one of the epoch after those in the
        history, is an ArgumentError, and what is no such state a DataError.
        """
        with restoring(state, "Trainer"):
            step, totals = int(state["step"]), RunningMetrics()
            history = History(dict(line) for line in state["history"])
            totals.load_state_dict(state["totals"])
            before = {name: made(state[name]) for name, made in COUNTED.items()}
            epoch_seconds, stopped = float(state["epoch_seconds"]), bool(state["stopped"])
        epochs = len(history)
        begin = epochs * len(self._batches)
        if not (begin <= step <= self.total_steps and step - begin <= len(self._batches)):
            raise ArgumentError(
                f"the saved state is of step {step} after {epochs} epochs: this training has"
                f" {self.epochs} epochs of {len(self._batches)} steps."
            )
        with restoring(state, "Trainer"):
            self._rng.bit_generator.state = self._drawn_from = state["shuffle"]
        self.step, self.epoch, self._stopped = step, epochs, stopped
        self.history, self.totals, self._before = history, totals, before
        self._epoch_seconds = epoch_seconds
        vars(self).update(before)
