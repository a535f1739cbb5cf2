"""How many processors this process may use: those it may run on, and no more than its quota.

A container with ``--cpus 1`` may run on every processor, but is stopped when it has used the time
of one: a second thread there makes nothing faster.
"""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def usable() -> int:
    """The smaller of both counts, and at least 1."""
    return max(1, math.ceil(min(affinity(), quota())))


def default_threads(most: int) -> int:
    """How many of Numba's `most` threads kernels begin with: all if NUMBA_NUM_THREADS is set."""
    return most if "NUMBA_NUM_THREADS" in os.environ else min(most, usable())


def affinity() -> int:
    """How many processors the operating system lets this process run on."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def quota(membership: Path = MEMBERSHIP, root: Path = CGROUPS) -> float:
    """How many processors' time Linux' control groups give, infinity without a limit.

    A limit counts for all groups within, so that the smallest on the way to the root holds; in
    a container that is the root itself. Both versions are read: ``cpu.max``, and
    ``cpu.cfs_quota_us`` with its period.

    Parameters
    ----------
    membership : Path
        The file with the groups of this process, ``/proc/self/cgroup``.
    root : Path
        Where the control groups are mounted.
    """
    limits = [math.inf]
    for line in _lines(membership):
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0":
            mounts = [root]
        elif "cpu" in controllers.split(","):
            mounts = [root / "cpu", root / controllers]
        else:
            continue
        for mount in mounts:
            inner = mount / group.lstrip("/")
            outer = [folder for folder in inner.parents if folder.is_relative_to(mount)]
            limits += [_limit(folder) for folder in (inner, *outer)]
    return min(limits)


def _limit(folder):
    """Of one group; infinity if it has none, or cannot be read."""
    words = " ".join(_lines(folder / "cpu.max")).split()
    if not words:
        words = [*_lines(folder / "cpu.cfs_quota_us"), *_lines(folder / "cpu.cfs_period_us")]
    try:
        used, period = map(float, words)
    except ValueError:  # "max 100000", or no such files
        return math.inf
    return used / period if used > 0 and period > 0 else math.inf


def _lines(path):
    try:
        return path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
