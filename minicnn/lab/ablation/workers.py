"""Workers: several trainings at once, in processes that share the processors out."""

import os
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from minicnn import extras, schedules
from minicnn.checks import (
    check_callable,
    check_count,
    check_dict,
    check_path,
    list_of,
    shown,
    takes,
)
from minicnn.errors import ArgumentError, DataError, MinicnnError
from minicnn.lab.ablation.results import write_error
from minicnn.training.callbacks.base import Callback
from minicnn.training.callbacks.checkpoint import AT_END, has_checkpoint
from minicnn.training.runs.resume import resume
from minicnn.training.runs.run import Run
from minicnn.training.runs.settings import Settings

PURPOSE = "an ablation"
MOST_PROCESSORS = 10_000


def _check_jobs(value, what):
    """Pairs of a dict and a path."""
    jobs = list_of((tuple, list))(value, what)
    for job in jobs:
        if len(job) != 2:
            raise ArgumentError(
                f"{what} must hold pairs of settings and a folder, got {shown(job)}."
            )
    return [
        (check_dict(settings, f"{what}: settings"), check_path(folder, f"{what}: a folder"))
        for settings, folder in jobs
    ]


def _check_processors(value, what):
    if check_count(value, what) > MOST_PROCESSORS:
        raise ArgumentError(f"{what} must be at most {MOST_PROCESSORS:,}, got {value}.")
    return int(value)


@takes(settings=check_dict, folder=check_path)
def train_trial(
    settings: dict[str, Any], folder: str | os.PathLike[str], callbacks: Iterable[Callback] = ()
) -> Run:
    """Train one trial into its folder, or go on with it.

    Where the schedule is open-ended a checkpoint is written at the end and when a signal comes,
    so that the trial can go on from there, for more epochs too. Others begin anew.

    Parameters
    ----------
    settings : dict
        Of `Settings`.
    folder : Path
        Empty, or with a checkpoint of this trial.

    Raises
    ------
    KeyboardInterrupt
        If a signal ended it; its number is the argument.
    MinicnnError
        As a Run.
    """
    chosen = Settings.from_dict(settings)
    run = _begun(chosen, folder)
    if run is None:
        open_ended = schedules.from_string(chosen.schedule).open_ended
        run = Run(chosen, folder, checkpoint_every=AT_END if open_ended else None)
    run.train(quiet=True, callbacks=callbacks)
    if run.summary["status"] == "interrupted":
        raise KeyboardInterrupt(run.signal or signal.SIGINT)
    if run.error is not None:
        write_error(folder, str(run.error))
    return run


def _begun(settings, folder):
    """The run to go on with, or None."""
    if not has_checkpoint(folder):
        return None
    try:
        return resume(folder, settings.as_dict())
    except DataError:  # damaged: the same comes out of a new one
        for path in folder.iterdir():
            path.unlink()
        return None


@takes(jobs=_check_jobs, processors=_check_processors, train=partial(check_callable, arguments=2))
def train_all(
    jobs: Sequence[tuple[dict[str, Any], Path]],
    processors: int,
    train: Callable[[dict[str, Any], Path], Any] = train_trial,
) -> Generator[int, None, None]:
    """Train jobs, as many at once as there are processors, and give each when it has ended.

    Each is trained in another process on one thread; where there are fewer jobs than
    processors, on more. With a single processor all are trained in this process. Whatever
    error ends a training is written into its folder, and is no error here.

    Parameters
    ----------
    jobs : sequence of (dict, Path)
        Settings and folder, as `train` takes them; the folders' parents exist.
    processors : int
    train : callable
        A function of a module, so that other processes find it.

    Returns
    -------
    iterator of int
        The indices of the jobs, in the order in which they end. To drop or close it ends
        those that are left.

    Raises
    ------
    ArgumentError
        If joblib is not installed, or an error cannot be written.
    BrokenProcessPool
        If a process was killed, which ends all others too.
    KeyboardInterrupt
        If a signal ended a training.
    """
    joblib = extras.load("joblib", PURPOSE)
    at_once = max(1, min(processors, len(jobs)))
    threads = processors // at_once
    calls = [
        joblib.delayed(_work)(
            index, train, {**settings, "threads": threads}, folder.resolve(), os.getcwd()
        )
        for index, (settings, folder) in enumerate(jobs)
    ]
    with joblib.parallel_config("loky", inner_max_num_threads=threads):  # sets NUMBA_NUM_THREADS
        # A process apart even for a single job: one that is killed must not take this one along.
        processes = max(at_once, min(2, processors))
        parallel = joblib.Parallel(processes, return_as="generator_unordered", batch_size=1)
    with _ignored(signal.SIGINT):  # the processes inherit it: on Ctrl-C it is this one that acts
        ended = parallel(calls)
    try:
        for index in ended:  # noqa: UP028 - which would close it before the line below
            yield index
    finally:
        with warnings.catch_warnings():  # that those left are given up is intended
            warnings.simplefilter("ignore")
            ended.close()


def _work(index, train, settings, folder, cwd):
    """What a process does for a job."""
    os.chdir(cwd)  # processes are used again, and the data may lie at a relative path
    folder.mkdir(exist_ok=True)
    try:
        train(settings, folder)
    except MinicnnError as error:
        write_error(folder, str(error))
    except Exception as error:
        write_error(folder, f"{type(error).__name__}: {error}", traceback.format_exc())
    return index


@contextmanager
def _ignored(number):
    """Ignore a signal; outside the main thread, where Python handles none, change nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)
