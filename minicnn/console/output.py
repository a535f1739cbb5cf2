"""What is printed: lines for people, whom no training waits for.

For the package itself: it checks nothing of what it is handed.
"""

import os
import sys
from typing import Any, TextIO

from minicnn.console.terminal import coloured


def say(*lines: object, file: TextIO | None = None, end: str = "\n") -> None:
    """Print lines; where nobody reads them any more, go on in silence.

    A closed pipe, as behind ``| head``, a full disk, or a process without streams, as by
    ``pythonw``, is no reason to lose a training. They go to ``sys.stdout`` by default, and `end`
    follows the last.
    """
    file = sys.stdout if file is None else file
    try:
        print(*lines, sep="\n", end=end, file=file, flush=True)
    except OSError:
        try:  # what is left in its buffer goes nowhere either
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, file.fileno())
            os.close(nowhere)
        except (OSError, ValueError):  # no file of the system's
            pass


def complain(*lines: object, end: str = "\n") -> None:
    """`say` on stderr; nothing at all if there is none."""
    if sys.stderr is not None:
        say(*lines, file=sys.stderr, end=end)


def show_note(text: str) -> None:
    """Complain mildly: what somebody may want to know."""
    complain(f"{coloured('note:', 'yellow', sys.stderr)} {text}")


def first_line(thing: Any) -> str:
    """The first line of a docstring; empty under ``python -OO``, which removes it."""
    return (thing.__doc__ or "").strip().partition("\n")[0]
