"""The driver's side of a benchmark: processes that measure one contestant each, in turn."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import ENVIRONMENT
from benchmarks.common import note
from minicnn.errors import MinicnnError

ROOT = Path(__file__).resolve().parents[1]
THREAD_VARIABLES = (
    "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
)  # fmt: skip
# Between rounds: longer than the threads of GNU's OpenMP spin before they fall asleep.
PAUSE = 0.05


class BenchmarkError(MinicnnError):
    """A measurement that failed or means nothing. Exit code 1."""

    exit_code = 1


class Worker:
    """A process of its own that measures one contestant, and sleeps in between.

    Parameters
    ----------
    name : str
        What reports call it.
    module : str
        Of this package; see :func:`benchmarks.rounds.serve` for what it does.
    arguments : iterable
    threads : int
        Told to every library by its environment variable.
    python : str
        The interpreter.
    environment : dict of str
        Further variables.
    """

    def __init__(self, name, module, arguments, threads, python=sys.executable, environment=None):
        self.name = name
        self._log = tempfile.TemporaryFile("w+", errors="replace")
        path = os.pathsep.join(filter(None, [str(ROOT), ENVIRONMENT.get("PYTHONPATH")]))
        count = dict.fromkeys(THREAD_VARIABLES, str(threads))
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            [python, "-m", f"benchmarks.{module}", *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, cwd=ROOT,
            env={**ENVIRONMENT, "PYTHONPATH": path, **count, **(environment or {})},
        )  # fmt: skip

    def ask(self, do, **arguments):
        """Have the contestant's method `do` called, and return its answer, a dict.

        Raises
        ------
        BenchmarkError
            If the method failed or the process ended, with the reason that it gave.
        """
        try:
            print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        reply = json.loads(line) if line else {"error": f"it ended; {self._last_words()}"}
        if "error" in reply:
            raise BenchmarkError(f"the worker of {self.name} failed: {reply['error']}")
        return reply

    def _last_words(self):
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return lines[-1] if lines else "it said nothing."

    def close(self):
        """End the process."""
        try:
            self._process.stdin.close()
            self._process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def alternate(workers, job, rounds):
    """Time a job of all workers in alternation.

    Every round lets each worker run once while the others sleep; which one is first changes
    from round to round.

    Returns
    -------
    dict of str to list of float
        By worker, the seconds a step in each round.

    Raises
    ------
    BenchmarkError
        If a worker fails, or its loss is no longer finite.
    """
    for worker in workers:
        note(f"{job}: warming up {worker.name}")
        worker.ask("warm_up", job=job)
    seconds = {worker.name: [] for worker in workers}
    for index in range(rounds):
        first = index % len(workers)
        for worker in workers[first:] + workers[:first]:
            time.sleep(PAUSE)
            reply = worker.ask("round")
            seconds[worker.name].append(reply["seconds"])
            if reply["value"] is not None and not abs(reply["value"]) < float("inf"):
                raise BenchmarkError(f"{worker.name}: the loss became {reply['value']}.")
    return seconds
