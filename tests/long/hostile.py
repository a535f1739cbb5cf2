"""Hostile files: whatever is in a file, a reader accepts it or says what is wrong with it.

Each input is given to its reader in a process of its own kind (:mod:`tests.long.attack`), so
that a crash of the process is seen, too.
"""

import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.long import attack, corpus
from tests.long.figures import Figures

TITLE = "Hostile files: every reader, with damaged and malicious inputs"
COUNT = 22_000
SILENCE_SECONDS = 120  # after which a process that says nothing is taken for hung
CRASH = {"outcome": "crashed", "changed": 0, "seconds": 0, "above": 0, "resident_above": 0}
ROOT = Path(__file__).parents[2]


def run(count, seed=0, kinds=corpus.KINDS):
    """Attack the readers.

    Parameters
    ----------
    count : int
        Inputs in all, one in eleven handmade; from `COUNT` on every handmade one there is.
    seed : int
        Of the mutated inputs.
    kinds : iterable of str
        Of files, see `corpus.KINDS`.

    Returns
    -------
    Figures
    """
    shares = {kind: corpus.load(kind).SHARE for kind in kinds}
    results = []
    for kind, share in shares.items():
        whole = count * share / sum(shares.values())
        handmade = -1 if count >= COUNT else math.ceil(whole / 11)
        results += attacked(kind, math.ceil(whole * 10 / 11), handmade, seed)
    return figures(results)


def attacked(kind, mutated, handmade, seed=0):
    """A result for each input; a process that dies is followed by another for the rest.

    Parameters
    ----------
    kind : str
    mutated, handmade : int
        How many; -1 is all handmade ones.
    seed : int
    """
    results = []
    while True:
        child = _Child(kind, mutated, handmade, seed, skip=len(results))
        results += [{"kind": kind, **result} for result in child.ended]
        if child.fault is None:
            return results
        if len(child.begun) == len(child.ended):
            raise RuntimeError(f"{kind}: the attacking process cannot go on: {child.fault}")
        last = child.begun[-1]
        crash = {**CRASH, "kind": kind, "end": last["begin"], "how": last["how"]}
        results.append({**crash, "faults": [child.fault]})


class _Child:
    """A process of `attack`, and what it said until it ended."""

    def __init__(self, kind, mutated, handmade, seed, skip):
        options = dict(mutated=mutated, handmade=handmade, seed=seed, skip=skip)
        with (
            tempfile.TemporaryDirectory() as folder,
            tempfile.TemporaryFile() as log,
            tempfile.TemporaryFile() as errors,
        ):
            command = [sys.executable, "-m", "tests.long.attack", kind, folder]
            command += [f"--{name}={value}" for name, value in options.items()]
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=errors)
            self.fault = _wait(process, log)
            log.seek(0), errors.seek(0)
            lines = [json.loads(line) for line in log.read().decode().splitlines()]
            said = errors.read().decode(errors="replace").strip()[-500:]
        if self.fault is None and process.returncode:
            self.fault = f"the process ended with {process.returncode}: {said}"
        self.begun = [line for line in lines if "begin" in line]
        self.ended = [line for line in lines if "end" in line]


def _wait(process, log):
    """Wait as long as the process says something; what is wrong if it does not, else None."""
    size, since = 0, time.monotonic()
    while True:
        try:
            process.wait(0.5)
            return None
        except subprocess.TimeoutExpired:
            now = log.seek(0, 2)
            if now != size:
                size, since = now, time.monotonic()
            elif time.monotonic() - since > SILENCE_SECONDS:
                process.kill()
                process.wait()
                return f"no sign of life for {SILENCE_SECONDS} s"


def figures(results):
    """What all the results say together."""
    faulty = [result for result in results if result["faults"]]
    failures = [f"{r['kind']}, {r['end']}: {'; '.join(r['faults'])}" for r in faulty]

    def count(key, value):
        return f"{sum(result[key] == value for result in results):,}"

    def most(key):
        return max(result[key] for result in results)

    hangs = sum(result["seconds"] > attack.HANG_SECONDS for result in results)
    found = {
        "inputs": f"{count('how', 'mutated')} mutated and {count('how', 'handmade')} handmade",
        "refused with a clear sentence": count("outcome", "refused"),
        "read, being valid still": count("outcome", "accepted"),
        "crashes": count("outcome", "crashed"),
        f"hangs (more than {attack.HANG_SECONDS:g} s)": f"{hangs}",
        "slowest": f"{most('seconds'):.2f} s",
        "allocated above what the file holds": f"at most {most('above') / 1e6:.2f} MB",
        "resident above what the file holds": f"at most {most('resident_above') / 1e6:.2f} MB",
        "files changed, lost or written": str(sum(result["changed"] for result in results)),
    }
    return Figures(failures, found)
