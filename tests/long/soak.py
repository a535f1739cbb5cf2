"""Soak: many short trainings in one process, in which nothing may pile up.

Each is a whole run: data read, model built, kernels warmed, two epochs, files and checkpoints
written. Memory is the process's resident set after a collection of garbage, read after every
round over all models; growth is the median of the last tenth of the rounds less the median of the
first after warm-up. In a process of its own, so that nothing else counts.
"""

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests.data.idx_files import digits, write_folder
from tests.long.figures import Figures

TITLE = "Soak: short trainings one after the other in one process"
COUNT = 600
WARM_UP = 4  # rounds that are not measured: code is loaded, buffers of the allocator are found
GROWTH_MB = 5.0
ROOT = Path(__file__).parents[2]
RUNS = (
    dict(model="lenet5", optimizer="sgd"),
    dict(model="quick", optimizer="adam"),
    dict(model="resnet8", optimizer="sgd", init="fixup"),
    dict(model="mlp:32,16", optimizer="rmsprop", activation="prelu:channel"),
    dict(model="convnet", optimizer="adamw", activation="tanh"),
    dict(model="resnet8", optimizer="sgd", init="xavier", label_smoothing=0.1),
)


def run(count, seed=0, models=None):
    """Train `count` times or a little more, all or the first `models` of `RUNS`, in rounds."""
    models = models or len(RUNS)
    rounds = max(WARM_UP + 2, -(-count // models))
    command = [sys.executable, "-m", "tests.long.soak", str(rounds), str(seed), str(models)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if process.returncode:
        return Figures([f"the process ended with {process.returncode}: {process.stderr[-2000:]}"])
    measured = [json.loads(line) for line in process.stdout.splitlines()]
    return figures(measured[WARM_UP:], rounds * models)


def figures(measured, trainings):
    """What the measurements after warm-up say.

    Parameters
    ----------
    measured : list of dict
        Of each round: ``memory`` (bytes), ``files`` and ``threads``.
    trainings : int
        How many there were, warm-up included.
    """
    part = max(1, len(measured) // 10)
    first, last = measured[:part], measured[-part:]
    found = Figures(figures={"trainings": str(trainings)})
    growth = (_median(last, "memory") - _median(first, "memory")) / 1e6
    found.figures["memory after warm-up"] = f"{_median(first, 'memory') / 1e6:.1f} MB"
    found.figures["growth of memory"] = f"{growth:+.2f} MB (bound {GROWTH_MB:g} MB)"
    if growth >= GROWTH_MB:
        found.failures.append(f"memory grew by {growth:.2f} MB")
    for what in ("files", "threads"):
        before, after = (max(entry[what] for entry in some) for some in (first, last))
        found.figures[f"open {what}" if what == "files" else what] = f"{before}, at the end {after}"
        if after > before:
            found.failures.append(f"{what}: {before} after warm-up, {after} at the end")
    return found


def _median(entries, what):
    return statistics.median(entry[what] for entry in entries)


def measure():
    """What this process holds now: bytes resident, open files, threads of the system."""
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return {
        "memory": pages * os.sysconf("SC_PAGESIZE"),
        "files": len(os.listdir("/proc/self/fd")),
        "threads": max(len(os.listdir("/proc/self/task")), threading.active_count()),
    }


def _train(settings, folder):
    from minicnn.training.runs.run import Run
    from minicnn.training.runs.settings import Settings

    run = Run(Settings(**settings), folder, checkpoint_every=3)
    summary = run.train(quiet=True)
    assert summary["status"] in ("finished", "diverged"), summary


def main():
    rounds, seed, models = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        data = str(write_folder(Path(folder, "data"), digits(150, 40, (28, 28), seed=seed)))
        number = 0
        for _ in range(rounds):
            for settings in RUNS[:models]:
                number += 1
                out = Path(folder, f"run-{number}")
                common = dict(data=data, epochs=2, batch_size=32, seed=seed + number)
                _train({**common, **settings}, out)
                for path in out.iterdir():
                    path.unlink()
                out.rmdir()
            print(json.dumps(measure()), flush=True)


if __name__ == "__main__":
    main()
