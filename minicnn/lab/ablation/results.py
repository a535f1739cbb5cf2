"""Outcome: how a trial of a grid ended, read from its folder alone."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minicnn.checks import check_path, check_seed, check_text, list_of, takes
from minicnn.errors import unknown
from minicnn.lab.ablation.grid import Trial
from minicnn.training.callbacks.step_log import STEPS_FILE
from minicnn.training.runs.files import make_folder, write_atomically

DONE = ("finished", "diverged")
ERROR_FILE = "error.txt"


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: ``finished``, ``diverged``, ``crashed``, or ``not done`` yet."""

    trial: Trial
    status: str
    summary: dict  # what summary.json holds; empty unless finished or diverged
    history: list  # the lines of metrics.jsonl, as dicts
    error: str  # why it did not finish, in one line; empty if it did
    steps: list = field(default_factory=list)  # the lines of steps.jsonl, if there is one

    @takes(metric=check_text)
    def final(self, metric: str) -> Any:
        """The last epoch's value of a metric of ``metrics.jsonl``, such as ``"test_loss"``.

        None if the trial did not finish.
        """
        if self.status != "finished":
            return None
        if metric not in self.history[-1]:
            raise unknown("metric", metric, self.history[-1])
        return self.history[-1][metric]


check_outcomes = list_of(Outcome)


@takes(outcomes=check_outcomes)
def is_validated(outcomes: Iterable[Outcome]) -> bool:
    """Whether every training that finished had a validation set, and one did."""
    finished = [outcome for outcome in outcomes if outcome.status == "finished"]
    return bool(finished) and all("validation_accuracy" in o.history[-1] for o in finished)


@takes(trial=Trial, folder=check_path, epochs=check_seed)
def read_outcome(trial: Trial, folder: str | os.PathLike[str], epochs: int = 0) -> Outcome:
    """The outcome of a trial that was to be trained in `folder`, for at least so many epochs."""
    folder = Path(folder)
    summary = json.loads(_read(folder / "summary.json") or "{}")
    error = _read(folder / ERROR_FILE).partition("\n")[0]
    short = summary.get("status") == "finished" and summary.get("epochs", 0) < epochs
    if short or summary.get("status") not in DONE:  # an interrupted training is none yet
        return Outcome(trial, "crashed" if error else "not done", {}, [], error)
    history, steps = (_lines(folder / name) for name in ("metrics.jsonl", STEPS_FILE))
    return Outcome(trial, summary["status"], summary, history, error, steps)


@takes(folder=check_path, sentence=check_text, details=check_text)
def write_error(folder: str | os.PathLike[str], sentence: str, details: str = "") -> None:
    """Keep why a trial did not finish: `sentence` becomes `Outcome.error`.

    ArgumentError if the file cannot be written.
    """
    make_folder(folder)
    line = " ".join(sentence.split()) or "an error without a message"
    text = f"{line}\n\n{details}" if details else f"{line}\n"
    write_atomically(Path(folder) / ERROR_FILE, text.encode(errors="backslashreplace"))


def _lines(path):
    return [json.loads(line) for line in _read(path).splitlines()]


def _read(path):
    return path.read_text("utf-8") if os.path.isfile(path) else ""
