"""Packages of the `lab` extra, loaded when they are needed.

For the package itself: it checks nothing of what it is handed.
"""

import importlib
from types import ModuleType

from minicnn.errors import ArgumentError


def load(module: str, purpose: str) -> ModuleType:
    """Import a module of the `lab` extra.

    Parameters
    ----------
    module : str
        Such as ``"joblib"`` or ``"matplotlib.figure"``.
    purpose : str
        What needs it, as the beginning of a sentence.

    Returns
    -------
    module

    Raises
    ------
    ArgumentError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ArgumentError(
            f"{purpose} needs {module.partition('.')[0]}: install the lab extra,"
            " pip install -e '.[lab]'."
        ) from error
