"""Packages of the extras, loaded when they are needed.

For the package itself: it checks nothing of what it is handed.
"""

import importlib
from types import ModuleType

from minicnn.errors import ArgumentError

PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn"}  # where the name is another


def load(module: str, purpose: str, extra: str = "lab") -> ModuleType:
    """Import a module of an extra.

    Parameters
    ----------
    module : str
        Such as ``"joblib"`` or ``"matplotlib.figure"``.
    purpose : str
        What needs it, as the beginning of a sentence.
    extra : str
        Which, as in ``pip install 'minicnn[lab]'``.

    Returns
    -------
    module

    Raises
    ------
    ArgumentError
        If it is not installed.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ArgumentError(
            f"{purpose} needs {PACKAGES.get(package, package)}: install the {extra} extra,"
            f" pip install 'minicnn[{extra}]', or '.[{extra}]' in a clone."
        ) from error
