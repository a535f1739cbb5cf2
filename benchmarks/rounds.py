"""The worker's side of a benchmark: timed rounds, and commands to wait for in between.

Of ours it imports `minicnn.allocation` alone, which needs the standard library only, for it also
runs where nothing but PyTorch is.
"""

import json
import os
import sys
import time
import traceback

from minicnn.allocation import peak_memory_mb

ROUND_SECONDS = 0.4


def calibrate(step, seconds=ROUND_SECONDS):
    """How many calls of ``step(i)`` take about `seconds`, found after a warm-up.

    The very first call, which may compile, is made before the clock starts; the others warm
    up for half the time.
    """
    step(0)
    calls, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds / 2 or calls < 2:
        calls += 1
        step(calls)
    return max(1, round(calls * seconds / spent))


def timed(step, count):
    """Seconds for each of `count` calls of ``step(i)``, and what the last one returned.

    One call before the clock starts wakes the threads and fills the caches.
    """
    step(0)
    start = time.perf_counter()
    for i in range(1, count + 1):
        last = step(i)
    return (time.perf_counter() - start) / count, last


class Contestant:
    """What a worker measures; a subclass says in ``begin(job)`` what a step of a job is.

    ``begin`` prepares the job and returns ``step(i)``, which works on batch i and returns a
    number, or nothing.
    """

    def step(self, job):
        """One step of a job from a standing start."""
        return {"value": _number(self.begin(job)(0))}

    def warm_up(self, job):
        """Prepare a job and find out how many steps make a round."""
        self._step = self.begin(job)
        self._count = calibrate(self._step)
        return {"steps": self._count}

    def round(self):
        """Time one round: seconds a step, and the number that the last step gave."""
        seconds, last = timed(self._step, self._count)
        return {"seconds": seconds, "value": _number(last)}

    def memory(self):
        """The most memory that the process has had, in 10^6 bytes; None if unknown."""
        return {"peak_memory_mb": peak_memory_mb()}


def _number(value):
    return None if value is None else float(value)


def serve(make):
    """Make a contestant and obey the commands on stdin, a line of JSON each, until it ends.

    A command names a method and its arguments; the answer is what the method returned, or
    ``{"error": ...}``. Between commands the process sleeps. Whatever else writes to stdout
    comes out on stderr, so that it cannot be taken for an answer.
    """
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    contestant = make()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            reply = getattr(contestant, command.pop("do"))(**command)
        except Exception as error:
            traceback.print_exc()
            first = str(error).strip().partition("\n")[0]
            reply = {"error": f"{type(error).__name__}: {first}"}
        print(json.dumps(reply), file=replies, flush=True)
