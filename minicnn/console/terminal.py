"""The terminal: how wide lines may be, and whether they may have colours.

For the package itself: it checks nothing of what it is handed.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TextIO

COLOURS = {"red": 31, "green": 32, "yellow": 33}  # codes of ECMA-48, 8.3.117
RESET = "\x1b[0m"


def width() -> int:
    """Characters in a line of output: ``COLUMNS`` if set, else the terminal's, else 80."""
    return shutil.get_terminal_size((80, 24)).columns


def has_colours(file: TextIO | None) -> bool:
    """Whether text written to `file` may hold colours.

    ``NO_COLOR`` (https://no-color.org) says no and ``FORCE_COLOR`` yes, if not empty; else a
    terminal has them unless ``TERM`` is ``dumb``.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    if os.environ.get("TERM") == "dumb" or (sys.platform == "win32" and not _is_windows_terminal()):
        return False
    try:
        return file is not None and file.isatty()
    except ValueError:  # it is closed
        return False


def coloured(text: str, colour: str, file: TextIO | None = None) -> str:
    """`text` in red, green or yellow, or as it is if `file`, by default stdout, has no colours."""
    if not has_colours(sys.stdout if file is None else file):
        return text
    return f"\x1b[{COLOURS[colour]}m{text}{RESET}"


def _is_windows_terminal():
    """The old console shows the codes themselves."""
    return any(name in os.environ for name in ("WT_SESSION", "TERM", "ANSICON"))
