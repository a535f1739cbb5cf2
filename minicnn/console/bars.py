"""Progress bars: on stderr if that is a terminal, and in notebooks.

For the package itself: it checks nothing of what it is handed.
"""

import sys
from typing import Any

from tqdm import std


def progress_bar(quiet: bool = False, **settings: Any) -> std.tqdm:
    """A bar of tqdm: a widget in a notebook that has them, else a line of text on stderr.

    Where stderr is neither a terminal nor a notebook's, as in a file, nothing is shown.

    Parameters
    ----------
    quiet : bool
        Whether to show nothing at all.
    **settings
        Of `tqdm.tqdm`.
    """
    if quiet or sys.stderr is None:
        return std.tqdm(disable=True, **settings)
    if not in_notebook():
        return std.tqdm(disable=None, file=sys.stderr, **settings)
    from tqdm import notebook

    if notebook.IProgress is None:  # as ipywidgets is not installed
        return std.tqdm(file=sys.stderr, **settings)
    return notebook.tqdm(**settings)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process; its stderr is no terminal, yet is looked at."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config
