"""Kills: a real training is killed at random moments, resumed, and ends with the same bits."""

import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import minicnn
from tests.long.figures import Figures
from tests.training.same import differences

TITLE = "Trainings killed (SIGKILL) at random moments and resumed"
COUNT = 50

CLONE = Path(minicnn.__file__).parents[1]
SETTINGS = {
    "lenet5": "--optimizer sgd",
    "quick": "--optimizer adam",  # with batch normalization
    "mlp:16": "--optimizer rmsprop",
}
SMALL = "--limit 1024 --batch-size 64 --epochs 3 --checkpoint-every 3 --threads 1"
KILLS_OF_A_RUN = 3
DEADLINE = 120  # seconds after which a process that does not come to its moment is left alone


def run(count, seed=0, models=("lenet5", "quick")):
    """Kill `count` times, up to three times in the same run; compare each run's end.

    Parameters
    ----------
    count : int
    seed : int
        Of the moments.
    models : sequence of str
        Keys of SETTINGS, in turn.

    Returns
    -------
    Figures
    """
    rng, figures, kills, resumed = random.Random(seed), Figures(), Counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        whole = {model: _whole(model, Path(folder)) for model in models}
        for index, model in zip(itertools.count(), itertools.cycle(models)):
            left = count - kills.total()
            if not left:
                break
            out = Path(folder, f"run-{index}")
            chosen = rng.sample(list(MOMENTS), min(left, KILLS_OF_A_RUN))
            done, wrong = _killed_run(model, out, whole[model], chosen, rng)
            kills.update(done)
            resumed += 0 if wrong else len(done)
            figures.failures += [f"{model}, killed during {done}: {what}" for what in wrong]
    figures.figures["kills"] = str(kills.total())
    figures.figures |= {f"of them {moment}": str(kills[moment]) for moment in MOMENTS}
    figures.figures["resumed bit for bit"] = f"{resumed} of {kills.total()}"
    return figures


def _whole(model, folder):
    """The folder of a run that is never killed, and the seconds it took."""
    out = folder / f"whole-{model.replace(':', '-')}"
    start = time.monotonic()
    process = _begin(model, out)
    error = process.communicate()[1]
    if process.returncode:
        raise RuntimeError(f"the training to compare with failed: {error}")
    return out, time.monotonic() - start


def _killed_run(model, out, whole, moments, rng):
    """The moments at which a run was killed, and what was wrong at its end."""
    other, seconds = whole
    done = []
    for moment in moments:
        process = _begin(model, out)
        _wait(MOMENTS[moment](process, out, seconds, rng))
        process.kill()
        error = process.communicate()[1]
        if process.returncode == 0:
            break  # it was done before the moment came
        if process.returncode > 0:
            return done, [f"exit code {process.returncode}: {error}"]
        done.append(moment)
    process = _begin(model, out)
    error = process.communicate()[1]
    if process.returncode:
        return done, [f"exit code {process.returncode}: {error}"]
    return done, differences(other, out)


def _begin(model, out):
    """A process that begins the run in a folder, or goes on with it."""
    words = ["--resume", out] if (out / "config.json").exists() else ["--out", out]
    if words[0] == "--out":
        words += ["--model", model, *SETTINGS[model].split(), *SMALL.split()]
    command = [sys.executable, str(CLONE / "train.py"), "--quiet", *map(str, words)]
    return subprocess.Popen(
        command, cwd=CLONE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def _wait(condition):
    """Look again and again until a moment has come; some are less than a millisecond."""
    deadline = time.monotonic() + DEADLINE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.0001)


def _at_the_start(process, out, seconds, rng):
    """While modules, data and checkpoints are loaded, or kernels compiled."""
    return _after(rng.uniform(0, seconds / 2), process)


def _any_time(process, out, seconds, rng):
    """The same, steps, evaluation and the end, by the time that they take."""
    return _after(rng.uniform(0, seconds), process)


def _after(seconds, process):
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end or process.poll() is not None


def _between_steps(process, out, seconds, rng):
    """Some milliseconds after one of the checkpoints that it writes."""
    left, last, pause = rng.randrange(1, 8), _stamp(out), rng.uniform(0, 0.02)

    def come():
        nonlocal left, last
        if process.poll() is not None:
            return True
        now = _stamp(out)
        if now != last:
            left, last = left - 1, now
        if left:
            return False
        time.sleep(pause)
        return True

    return come


def _while_writing(process, out, seconds, rng):
    """While a checkpoint, or the best weights, are there under their temporary name."""
    left, before = rng.randrange(1, 8), False
    ending = f".safetensors.{process.pid}.tmp"

    def come():
        nonlocal left, before
        now = any(name.endswith(ending) for name in _names(out))
        left -= now and not before
        before = now
        return (now and left < 1) or process.poll() is not None

    return come


#: By what they are called, functions that tell when they have come.
MOMENTS = {
    "at the start": _at_the_start,
    "while a file was written": _while_writing,
    "between steps": _between_steps,
    "at any time": _any_time,
}


def _stamp(out):
    try:
        return os.stat(out / "checkpoint.safetensors").st_ino
    except FileNotFoundError:
        return None


def _names(out):
    try:
        return os.listdir(out)
    except FileNotFoundError:
        return []
