"""Long forms of the reliability checks: ``python -m tests.long [NAME ...] [--count N]``.

A check is a module of this folder with ``TITLE`` (one line), ``COUNT`` (the full number) and
``run(count, seed=0) -> Figures``. The ordinary suite calls the same `run` with a small count.
"""

import importlib

from minicnn.errors import unknown

# Name of a check to its module, which is imported when it is asked for.
MODULES = {
    "kills": "tests.long.kills",
    "hostile": "tests.long.hostile",
    "calls": "tests.long.calls",
    "nets": "tests.long.nets",
    "soak": "tests.long.soak",
    "faults": "tests.long.faults",
    "precision": "tests.long.precision",
}


def load(name):
    """The module of a check.

    Raises
    ------
    ArgumentError
        For a name that is not in the table.
    """
    if name not in MODULES:
        raise unknown("long test", name, MODULES)
    return importlib.import_module(MODULES[name])
