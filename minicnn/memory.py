"""The memory that this process takes; with the standard library alone."""

import sys


def peak_memory_mb():
    """The most memory that this process has had resident so far, in 10^6 bytes.

    Returns
    -------
    float or None
        None where the system does not tell.
    """
    try:  # not getrusage, which on Linux counts the program that started this one as well
        with open("/proc/self/status") as status:
            kibibytes = next(line.split()[1] for line in status if line.startswith("VmHWM"))
        return int(kibibytes) * 1024 / 1e6
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
