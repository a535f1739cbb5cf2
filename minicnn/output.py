"""What is printed: lines for people, whom no training waits for."""

import os
import sys


def say(*lines, file=None):
    """Print lines; where nobody reads them any more, go on in silence.

    A closed pipe, as behind ``| head``, or a full disk is no reason to lose a training.

    Parameters
    ----------
    *lines : object
    file : file object, optional
        ``sys.stdout`` by default.
    """
    file = sys.stdout if file is None else file
    try:
        print(*lines, sep="\n", file=file, flush=True)
    except OSError:
        try:  # what is left in its buffer goes nowhere either
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, file.fileno())
            os.close(nowhere)
        except (OSError, ValueError):  # no file of the system's
            pass
