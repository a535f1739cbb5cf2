"""Run: one training and the folder that keeps it."""

import os
import platform
import threading
import time
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from minicnn.allocation import peak_memory_mb
from minicnn.checks import check_flag, takes
from minicnn.console.output import complain
from minicnn.errors import ArgumentError, DataError, DivergedError, MinicnnError
from minicnn.kernels.runtime.thread_pool import get_num_threads, set_num_threads
from minicnn.metrics import predicted_classes
from minicnn.training.callbacks import checkpoint as checkpoints
from minicnn.training.callbacks.base import Callback, MetricsLog, best_of
from minicnn.training.callbacks.checkpoint import EVERY, Checkpoint
from minicnn.training.callbacks.gradient_watch import GradientWatch
from minicnn.training.callbacks.interruption import Interruption
from minicnn.training.callbacks.loss_watch import LossWatch
from minicnn.training.callbacks.nan_guard import NanGuard
from minicnn.training.callbacks.progress import Progress
from minicnn.training.callbacks.step_log import STEPS_FILE, StepLog
from minicnn.training.runs import snapshot
from minicnn.training.runs.files import json_file, json_lines
from minicnn.training.runs.folder import RunFolder
from minicnn.training.runs.settings import Settings
from minicnn.training.runs.values import FREE, decisive, versions
from minicnn.training.runs.weights import model_file, weights_digest
from minicnn.training.trainer import Trainer
from minicnn.training.validation import as_callbacks


class Run:
    """A training by `settings`, ready to begin: data loaded, model made, folder claimed.

    The folder gets ``config.json`` at once, which proves that it can be written;
    ``metrics.jsonl`` grows by a line an epoch, ``steps.jsonl`` has loss and accuracy within
    epochs (:mod:`minicnn.training.callbacks.step_log`); checkpoints and the best weights are
    written in the course of training (:mod:`minicnn.training.callbacks.checkpoint`);
    ``model.safetensors`` and ``summary.json`` come at the end, however training ends.

    Parameters
    ----------
    settings : Settings
    out : str or Path or RunFolder, optional
        The folder; it must not exist, or be empty. By default a new one in ``runs``. A folder
        that was reopened is that of a run with these settings to go on with
        (:func:`minicnn.training.runs.resume.resume`).
    checkpoint_every : str or int or None
        See `checkpoint.parse_interval`; None writes neither checkpoints nor the best weights.

    Attributes
    ----------
    model : Sequential
    trainer : Trainer
    folder : RunFolder
    summary : dict or None
        What ``summary.json`` holds, once training has ended.
    error : DivergedError or None
        What went wrong if the status is ``diverged``.
    signal : int or None
        The signal that ended training if the status is ``interrupted``.
    explanation : str or None
        Why the network did not learn, if it did not.
    notes : list of str
        What a user should know of how the data were read, and how the run was resumed.

    Raises
    ------
    ArgumentError
        If the model does not fit the data, or the folder is taken or cannot be written.
    DataError
        If the data are missing or damaged; in a run to go on with, if they have changed or
        no checkpoint is whole.
    """

    @takes(settings=Settings)
    def __init__(
        self,
        settings: Settings,
        out: str | os.PathLike[str] | RunFolder | None = None,
        checkpoint_every: str | int | None = EVERY,
    ):
        self.settings, self._every = settings, checkpoint_every
        if checkpoint_every is not None:
            checkpoints.parse_interval(checkpoint_every)
        data = settings.load_data()
        train, test = data.train, data.test
        # A run to go on with has its weights in the checkpoint, whatever it began with.
        begun = isinstance(out, RunFolder) and checkpoints.has_checkpoint(out.path)
        self.model = (replace(settings, weights=None) if begun else settings).make_model(train)
        #: The SHA-256 of the file of weights that it begins with, which a config.json keeps.
        self._begins_with = (
            None if begun or settings.weights is None else weights_digest(settings.weights)
        )
        self._watches = GradientWatch(), LossWatch()
        self.trainer = self._make_trainer(
            self.model, train, test, schedule=settings.schedule, epochs=settings.epochs,
            validation=data.validation,
        )  # fmt: skip
        self.summary: dict[str, Any] | None = None
        self.error: DivergedError | None = None
        self.signal: int | None = None
        self.explanation: str | None = None
        self.notes: list[str] = list(train.notes)
        self._kept: dict[str, Any] | None = None
        if isinstance(out, RunFolder):
            self.folder = out
            self._restore()
        else:
            self.folder = RunFolder(out, settings.name())
            self.folder.write("config.json", json_file(self.config()))
        self.folder.write("metrics.jsonl", json_lines(self.trainer.history))

    def _restore(self):
        """Take over the newest checkpoint of the folder, if there is one."""
        if not checkpoints.has_checkpoint(self.folder.path):
            self.notes.append(f"{self.folder.path} has no checkpoint yet: from the beginning.")
            return
        arrays, about, note = checkpoints.read_checkpoint(self.folder.path)
        self.notes += [note] if note else []
        try:
            free = {*FREE, "epochs"} if self.trainer.schedule.open_ended else FREE
            if decisive(about.get("settings"), free) != decisive(self.settings.as_dict(), free):
                raise DataError("its settings are not those of config.json.")
            snapshot.restore(self.trainer, arrays, about, snapshot.describe_data(self.trainer))
        except DataError as error:
            raise DataError(
                f"the checkpoint in {self.folder.path} does not fit: {error}"
            ) from error
        self._kept = about

    def _make_trainer(self, model, train, test, **more):
        settings = self.settings
        return Trainer(
            model, settings.make_optimizer(model.parameters()), train, test,
            loss=settings.make_loss(train), batch_size=settings.batch_size, seed=settings.seed,
            augmentation=settings.make_augmentation(), average=settings.make_average(),
            eval_flip=settings.eval_flip, eval_shift=settings.eval_shift,
            eval_every=settings.eval_every, drop_last=settings.drop_last, **more,
        )  # fmt: skip

    def train(self, quiet: bool = False, callbacks: Iterable[Callback] = ()) -> dict[str, Any]:
        """Compile, train, and write the files.

        Parameters
        ----------
        quiet : bool
            Whether to print nothing.
        callbacks : iterable of Callback
            Besides those that every run has.

        Returns
        -------
        dict
            ``summary``.

        Raises
        ------
        ArgumentError
            If a file cannot be written. Divergence and interruption are no errors here, but
            a ``status``.
        """
        quiet, callbacks = check_flag(quiet, "Run.train: quiet"), as_callbacks(callbacks)
        try:
            return self._train(quiet, callbacks)
        except ArgumentError as error:
            if not checkpoints.has_checkpoint(self.folder.path):
                raise
            raise ArgumentError(
                f"{error} What was saved before is kept: --resume {self.folder.path} goes on."
            ) from error
        finally:
            self.folder.release()

    def _train(self, quiet, callbacks):
        trainer, status, compile_seconds = self.trainer, "finished", None
        checkpoint = None
        if self._every is not None:
            checkpoint = Checkpoint(self.folder.path, self._every, self._about())
        with Interruption(checkpoint.write if checkpoint else None) as interruption:
            trainer.callbacks = [] if quiet else [Progress()]
            log = MetricsLog(self.folder.path / "metrics.jsonl")
            steps = StepLog(self.folder.path / STEPS_FILE)
            own = self.settings.make_callbacks()
            trainer.callbacks += [log, steps, *self._watches, NanGuard(), *own, *callbacks]
            trainer.callbacks += [checkpoint] if checkpoint else []
            trainer.callbacks.append(interruption)
            if self._kept:
                snapshot.restore_callbacks(trainer.callbacks, self._kept)
            threads = get_num_threads()
            set_num_threads(self.settings.threads)
            try:
                compile_seconds = self._compile(quiet)
                trainer.fit()
            except KeyboardInterrupt:
                status, self.signal = "interrupted", interruption.received
            except DivergedError as error:
                status, self.error = "diverged", error
            finally:
                set_num_threads(threads)
            gradients, losses = self._watches
            # What a loss says is of a whole training; of one that diverged the error says more.
            of_loss = losses.explanation(trainer) if status == "finished" else None
            self.explanation = gradients.explanation(trainer) or of_loss
            self.folder.write("model.safetensors", model_file(trainer, self._about()))
            self.summary = self._summarize(status, compile_seconds)
            self.folder.write("summary.json", json_file(self.summary))
            if checkpoint and status == "finished":
                checkpoint.forget_previous()
        return self.summary

    def _compile(self, quiet):
        """Train a throw-away copy of the model for a step, and return the seconds it took.

        One more image than a batch if one is left over at the end of an epoch: a model that
        cannot train on a single image then says so now.
        """
        start = time.perf_counter()
        train, test = self.trainer.train, self.trainer.test
        size = self.settings.batch_size
        few = train.subset(size + (len(train) % size == 1))
        try:
            with _announced(quiet):
                model = replace(self.settings, weights=None).make_model(train)
                self._make_trainer(model, few, test.subset(1), epochs=1).fit()
        except MinicnnError:
            self.folder.withdraw()
            raise
        return time.perf_counter() - start

    def config(self) -> dict[str, Any]:
        """Everything that is needed to repeat the run, and what it ran on, as a dict.

        The settings under their own names, with the defaults that were in force.
        """
        train, test, held = self.trainer.train, self.trainer.test, self.trainer.validation
        return {
            **self.settings.as_dict(),
            "optimizer_settings": self.settings.optimizer_settings(),
            "initializers": {
                f"{layer.name}.{name}": {"initializer": str(initializer), "std": std}
                for layer in self.model.all_layers()
                for name, (initializer, std) in layer.initializers().items()
            },
            "data_set": {
                "name": self.settings.data,
                "train_images": len(train),
                "test_images": len(test),
                **({} if held is None else {"validation_images": len(held)}),
                **{name: getattr(train, name) for name in ("shape", "classes", "mean", "std")},
            },
            **({} if self._begins_with is None else {"weights_sha256": self._begins_with}),
            "total_steps": self.trainer.total_steps,
            "checkpoint_every": self._every,
            "versions": versions(),
            "platform": platform.platform(),
            "processors": os.cpu_count(),
        }

    def _summarize(self, status, compile_seconds):
        trainer = self.trainer
        sound = status != "diverged"  # a diverged model's last results say nothing of it
        evaluated = trainer.evaluated and sound
        last = trainer.history[-1] if trainer.history and sound else {}
        accuracies = [line["test_accuracy"] for line in trainer.history]
        held = [line.get("validation_accuracy") for line in trainer.history]
        chosen: dict[str, Any] = {}
        if trainer.validation is not None:
            best = best_of(held)
            at = None if best is None or not sound else held.index(best)
            chosen = {
                "validation_accuracy": last.get("validation_accuracy") if evaluated else None,
                "best_validation_accuracy": best if sound else None,
                "best_epoch": None if at is None else at + 1,
                "test_accuracy_of_best": None if at is None else accuracies[at],
            }
        rated = trainer.predicted is not None and sound
        return {
            "test_accuracy": last.get("test_accuracy") if evaluated else None,
            "best_test_accuracy": best_of(accuracies),
            **chosen,
            "train_loss": last.get("train_loss"),
            "epochs": len(trainer.history),
            "parameters": sum(p.size for p in self.model.parameters()),
            "images_per_second": (
                trainer.trained_images / trainer.step_seconds if trainer.trained_images else None
            ),
            "train_seconds": trainer.train_seconds,
            "compile_seconds": compile_seconds,
            "peak_memory_mb": peak_memory_mb(),
            "predicted_classes": predicted_classes(trainer.predicted) if rated else None,
            "status": status,
        }

    def _about(self):
        """What goes into the metadata of the run's files."""
        return {"version": versions()["minicnn"], "settings": self.settings.as_dict()}


@contextmanager
def _announced(quiet):
    """Say on stderr that kernels are being compiled, if that takes longer than a second."""
    start, said = time.perf_counter(), threading.Event()

    def say():
        said.set()
        complain("compiling kernels (first run only) ...", end="")

    timer = threading.Timer(1.0, say)
    timer.daemon = True
    if not quiet:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if said.is_set():
            complain(f" {time.perf_counter() - start:.0f} s")
