"""Memory: what this process takes, what is left, and a clear word when it is too little.

For the package itself: it checks nothing of what it is handed.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minicnn.errors import ArgumentError

resource: Any = None
try:
    import resource
except ImportError:  # Windows
    pass

SMALL = 2**26  # bytes; below it nobody asks the system how much is left


class OutOfMemory(ArgumentError, MemoryError):
    """An array that does not fit. Exit code 2."""


def peak_memory_mb() -> float | None:
    """The most memory that this process has had resident so far, in 10^6 bytes.

    None where the system does not tell.
    """
    # Not getrusage, which on Linux counts the program that started this one as well.
    kibibytes = _kibibytes("/proc/self/status").get("VmHWM")
    if kibibytes is not None:
        return kibibytes * 1024 / 1e6
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def free_memory() -> int | None:
    """How much this process may still take, in bytes; None where the system does not tell.

    The least of what the machine has free, swap included, of what is left in its control group
    (a container's limit), and of what is left of its address space (``ulimit -v``).
    """
    left = [_free_of_machine(), _free_of_group(), _free_addresses()]
    return min((size for size in left if size is not None), default=None)


@contextmanager
def asked(size: int, what: str) -> Iterator[None]:
    """Around an allocation of so many bytes: an OutOfMemory that says how much was asked, of what.

    Linux promises more than it has, and kills the process that takes it at its word; so a
    large allocation is held against what is free beforehand. An array of ``what``, such as
    ``"float32 of shape (3, 4)"``, is refused if it is more than that, or the allocation fails.
    """
    free = free_memory() if size >= SMALL else None
    try:
        if free is not None and size > free:
            raise MemoryError
        yield
    except MemoryError:
        free = free_memory()
        here = "" if free is None else f", and {_readable(max(free, 0))} are free"
        raise OutOfMemory(
            f"not enough memory: an array of {what} takes {_readable(size)}{here}. Use a smaller"
            " batch size or a smaller model."
        ) from None


def _readable(size):
    return f"{size / 1e9:,.2f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def _free_of_machine():
    sizes = _kibibytes("/proc/meminfo")
    if "MemAvailable" not in sizes:
        return None
    return (sizes["MemAvailable"] + sizes.get("SwapFree", 0)) * 1024


def _free_of_group(root=Path("/sys/fs/cgroup")):
    """Of a container: version 2 of control groups, then version 1."""
    for folder, limit, current, unused in (
        (root, "memory.max", "memory.current", "inactive_file"),
        (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most, taken = (int((folder / name).read_text()) for name in (limit, current))
            lines = (folder / "memory.stat").read_text().splitlines()
        except (OSError, ValueError):  # not there, or "max": no limit
            continue
        files = dict(line.split() for line in lines).get(unused, 0)  # given back when needed
        return most - taken + int(files)
    return None


def _free_addresses():
    if resource is None:
        return None
    most, taken = resource.getrlimit(resource.RLIMIT_AS)[0], _kibibytes("/proc/self/status")
    if most == resource.RLIM_INFINITY or "VmSize" not in taken:
        return None
    return most - taken["VmSize"] * 1024


def _kibibytes(path):
    """The sizes of a file of ``Name:  123 kB`` lines; none if it cannot be read."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}
