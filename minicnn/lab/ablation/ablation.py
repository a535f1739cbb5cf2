"""Ablation: train every arm of a grid with every seed, and keep what has been done."""

import os
import shutil
import signal
import textwrap
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numba

from minicnn import extras
from minicnn.checks import check_callable, check_count, check_flag, check_path, takes
from minicnn.console import terminal
from minicnn.console.bars import progress_bar
from minicnn.console.output import say
from minicnn.errors import ArgumentError
from minicnn.lab.ablation.grid import Grid, label
from minicnn.lab.ablation.register import GRID_FILE, Register
from minicnn.lab.ablation.results import DONE, ERROR_FILE, Outcome, read_outcome, write_error
from minicnn.lab.ablation.tables import csv_text
from minicnn.lab.ablation.workers import PURPOSE, train_all, train_trial
from minicnn.paths import expand
from minicnn.training.callbacks.checkpoint import has_checkpoint
from minicnn.training.callbacks.interruption import Interruption
from minicnn.training.runs.files import json_file, write_record
from minicnn.training.runs.folder import RunFolder
from minicnn.training.runs.lock import FolderLock
from minicnn.training.trainer import Trainer


class Ablation:
    """A grid of trainings and the folder that keeps them, ready to begin: every arm checked.

    Each trial is an ordinary run in a folder of its own inside. ``grid.json`` says which arm is
    where (`Register`); ``results.csv`` grows by a line a trial. Made again with the same
    folder, an ablation goes on: what finished or diverged is kept, what crashed or was
    interrupted is trained anew. The grid may have grown by seeds, values, axes or, with an
    open-ended schedule, epochs; of what it does not ask for any more, nothing is removed.

    As many trials as there are processors are trained at once, each in another process on one
    thread; fewer trials get more threads each. No result depends on that.

    Parameters
    ----------
    grid : Grid
    out : str or Path, optional
        A new or empty folder, or that of a grid with the same base. By default a new one in
        ``runs``.
    processors : int, optional
        All that Numba may use by default.
    train : callable
        ``train(settings, folder)`` trains one trial, with the settings as a dict.

    Attributes
    ----------
    folder : Path
    outcomes : list of Outcome
        Of all trials, in the order of ``grid.trials()``.
    signal : int or None
        The signal that ended `run`.
    note : str or None
        What the folder holds besides.

    Raises
    ------
    ArgumentError
        If an arm cannot be, joblib is missing, or the folder holds something else, cannot be
        written, or another process is at work in it.
    DataError
        If data are missing or damaged.
    """

    @takes(grid=Grid, out=check_path, train=partial(check_callable, arguments=2))
    def __init__(
        self,
        grid: Grid,
        out: str | os.PathLike[str] | None = None,
        processors: int | None = None,
        train: Callable[[dict[str, Any], Path], Any] | None = None,
    ):
        extras.load("joblib", PURPOSE)
        processors = numba.config.NUMBA_NUM_THREADS if processors is None else processors
        self._processors = check_count(processors, "processors")
        self._train = train or train_trial
        self.grid = grid
        self.signal: int | None = None
        grid.check(_Look())
        self._claimed, register = _claim(grid, out)
        self.folder = self._claimed.path
        self._trials, self.note = register.trials(grid), register.others(grid, self.folder)
        self._read_outcomes()

    @takes(quiet=check_flag)
    def run(self, quiet: bool = False) -> list[Outcome]:
        """Train all trials that are not done yet, and give the `outcomes`.

        Unless `quiet`, there is a bar, in a terminal or a notebook, and a line on stdout for
        each trial. An interruption is no error here, but a `signal`; an ArgumentError is raised
        if a file cannot be written.
        """
        waiting = [outcome.trial for outcome in self.outcomes if outcome.status not in DONE]
        with (
            Interruption() as interruption,
            progress_bar(
                quiet, total=len(self.outcomes), initial=len(self.outcomes) - len(waiting),
                desc="ablation", unit=" runs",
            ) as bar,
        ):  # fmt: skip
            try:
                for trial in waiting:
                    _make_ready(self.folder / trial.name)
                with closing(self._trained(waiting)) as ended:
                    for trial in ended:
                        outcome = self._note(trial)
                        bar.update()
                        if not quiet:
                            with bar.external_write_mode():
                                say(_line(outcome))
            except KeyboardInterrupt as stop:
                known = interruption.received or next(iter(stop.args), signal.SIGINT)
                self.signal = int(known)
                self._read_outcomes()  # the signal may have come between two lines of code
            finally:
                self._claimed.release()
        return self.outcomes

    def _trained(self, trials):
        """Train the trials, and give each when it has ended."""
        left = {trial.name: trial for trial in trials}
        while left:
            now = list(left.values())
            try:
                for index in train_all(self._jobs(now), self._processors, self._train):
                    yield left.pop(now[index].name)
            except BrokenProcessPool as error:
                # One process was killed and all were ended. Which trial it was shows when
                # those that had begun are trained one by one.
                begun = [trial for trial in left.values() if (self.folder / trial.name).exists()]
                if not begun:
                    raise ArgumentError(
                        f"the processes of the ablation ended before they began: {error}"
                    ) from error
                for trial in begun:
                    self._train_alone(trial)
                    yield left.pop(trial.name)

    def _train_alone(self, trial):
        folder = self.folder / trial.name
        if self._outcome(trial).status in DONE:
            return
        _make_ready(folder)
        try:
            list(train_all(self._jobs([trial]), self._processors, self._train))
        except BrokenProcessPool:
            write_error(
                folder, "its process was killed: the system does that when memory runs out."
            )

    def _jobs(self, trials):
        return [(self.grid.values(trial), self.folder / trial.name) for trial in trials]

    def _outcome(self, trial):
        return read_outcome(trial, self.folder / trial.name, self.grid.epochs(trial.arm))

    def _read_outcomes(self):
        self.outcomes = [self._outcome(trial) for trial in self._trials]
        self._write_results()

    def _note(self, trial):
        outcome = self._outcome(trial)
        at = next(i for i, other in enumerate(self.outcomes) if other.trial.name == trial.name)
        self.outcomes[at] = outcome
        self._write_results()
        return outcome

    def _write_results(self):
        text = csv_text(self.grid, self.outcomes)
        write_record(self.folder / "results.csv", text.encode())


class _Look:
    """Finds what a run would refuse; loads each data set once."""

    def __init__(self):
        self._data = {}

    def __call__(self, settings):
        key = settings.data, settings.limit, settings.image_size, settings.validation, settings.seed
        if key not in self._data:
            self._data[key] = settings.load_data()
        train, test, validation = self._data[key]
        model = settings.make_model(train)
        Trainer(
            model, settings.make_optimizer(model.parameters()), train, test,
            loss=settings.make_loss(train), schedule=settings.schedule,
            batch_size=settings.batch_size, epochs=settings.epochs,
            validation=validation, augmentation=settings.make_augmentation(),
        )  # fmt: skip


def _make_ready(folder):
    """Remove what is there of a trial that must begin anew, unless a process trains it yet."""
    if folder.is_dir():
        lock = FolderLock(folder)
        crashed, begun = (folder / ERROR_FILE).exists(), (folder / "config.json").exists()
        if crashed or not (begun and has_checkpoint(folder)):
            shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _claim(grid, out):
    """The folder, locked, and its register, with the grid written into it."""
    if out is None or not os.path.isfile(expand(out, "the output folder") / GRID_FILE):
        claimed, register = RunFolder(out, grid.name()), Register(grid)
    else:
        claimed = RunFolder.reopen(out, GRID_FILE)
        try:
            register = Register.read(claimed.path)
            register.grow(grid, claimed.path)
        except ArgumentError:
            claimed.release()
            raise
    claimed.write(GRID_FILE, json_file(register.as_dict()))
    return claimed, register


def _line(outcome):
    """What is printed of a trial that has ended, in lines that fit the terminal."""
    trial, words = outcome.trial, outcome.status
    if outcome.status == "finished":
        accuracy, seconds = outcome.final("test_accuracy"), outcome.summary["train_seconds"]
        words = f"test accuracy {100 * accuracy:.2f} %  {seconds:.1f} s"
    elif outcome.error:
        words += f": {outcome.error}"
    line = f"{label(trial.arm)}, seed {trial.seed}: {words}"
    return textwrap.fill(line, terminal.width(), subsequent_indent="  ")
