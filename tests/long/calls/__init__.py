"""Calls: every public function, class and method, with wrong arguments of every kind.

Each call is made in a process whose death is seen (:mod:`tests.long.calls.caller`). A call is
fine if it returns, or refuses with an error of the package, or Python itself refuses it because it
does not fit the signature.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from minicnn.errors import unknown
from tests.long.calls import callables
from tests.long.figures import Figures

TITLE = "Calls: every public callable, with arguments of wrong kinds, shapes, types and sizes"
COUNT = 24_000
SILENCE_SECONDS = 150  # after which a process that says nothing is taken for hung
PART = 200  # calls of one process
ROOT = Path(__file__).parents[3]
COMMAND = ["-m", "tests.long.calls.caller"]
BAD = ("died", "corrupt", "hung", "raw", "not made")


def run(count, seed=0, only=None):
    """Make the calls.

    Parameters
    ----------
    count : int
    seed : int
        Of the arguments.
    only : str, optional
        One call, such as ``minicnn.metrics.accuracy#3``, instead of all.

    Returns
    -------
    Figures
    """
    targets = callables.targets()
    if only and only.rpartition("#")[0] not in targets:
        raise unknown("callable", only.rpartition("#")[0], targets)
    names = [only] if only else cases(targets, count, seed)
    parts = [names[start : start + PART] for start in range(0, len(names), PART)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = [r for part in pool.map(lambda part: made(part, seed), parts) for r in part]
    return figures(results, targets, seed)


def cases(targets, count, seed):
    """Names of calls, each target's by its weight; the first of each has nothing wrong about it."""
    rng = np.random.default_rng(seed)
    total = sum(target.weight for target in targets.values())
    found = []
    for name, target in targets.items():
        share = count * target.weight / total
        wanted = int(share) + int(rng.random() < share % 1)
        found += [f"{name}#{number}" for number in range(wanted)]
    return found


def made(names, seed):
    """A result for each call; a process that dies is followed by another for the rest."""
    results = []
    while len(results) < len(names):
        begun, ended, fault = _child(names[len(results) :], seed)
        results += ended
        if len(begun) > len(ended):
            results.append({"end": begun[-1], "outcome": fault[0], "what": fault[1], "call": ""})
        elif not ended:
            raise RuntimeError(f"the calling process cannot begin: {fault[1]}")
    return results


def figures(results, targets, seed):
    """What all the results say together."""
    failures, counts = [], Counter()
    for result in results:
        target = targets[result["end"].rpartition("#")[0]]
        outcome = result["outcome"]
        if outcome == "raw" and not target.is_checked:
            outcome = "tolerated"
        counts[outcome] += 1
        if outcome in BAD:
            again = f"python -m tests.long calls --seed {seed} --only {result['end']!r}"
            failures.append(f"{outcome}: {result['call']}: {result['what']}\n  again: {again}")
    found = {
        "calls": f"{len(results):,} of {len({r['end'].rpartition('#')[0] for r in results}):,}"
        f" callables in {len({t.module for t in targets.values()})} modules",
        "returned": f"{counts['returned']:,}",
        "refused with a clear sentence": f"{counts['refused']:,}",
        "dead processes": str(counts["died"]),
        "memory overwritten": str(counts["corrupt"]),
        "hangs": str(counts["hung"]),
        "raw errors from below": str(counts["raw"]),
        "the same in hooks and inner modules": str(counts["tolerated"]),
        "calls that the tables could not make": str(counts["not made"]),
    }
    return Figures(failures, found)


def _child(names, seed):
    """Names of calls that a process began, what it said of those that it ended, and its fault."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
        home = Path(folder, "home")
        home.mkdir()
        environment = {
            **os.environ, "HOME": str(home), "MALLOC_PERTURB_": "165", "PYTHONPATH": str(ROOT),
            "PYTHONFAULTHANDLER": "1",
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, *COMMAND, str(seed), folder], cwd=folder,
            env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=errors,
        )  # fmt: skip
        alive = [time.monotonic(), True]
        watch = threading.Thread(target=_kill_if_silent, args=(process, alive), daemon=True)
        watch.start()
        process.stdin.write("\n".join(names))
        process.stdin.close()
        begun, ended = [], []
        for line in process.stdout:
            alive[0], said = time.monotonic(), json.loads(line)
            if "begin" in said:
                begun.append(said["begin"])
            elif "end" in said:
                ended.append(said)
        process.wait()
        alive[1] = False
        errors.seek(0)
        silent = time.monotonic() - alive[0] > SILENCE_SECONDS
        what = f"the process ended with {process.returncode}: {errors.read().strip()[:600]}"
        fault = "hung" if silent else "died", what
    return begun, ended, fault


def _kill_if_silent(process, alive):
    while alive[1]:
        if time.monotonic() - alive[0] > SILENCE_SECONDS:
            process.kill()
            return
        time.sleep(0.5)
