"""What a run ran on."""

import platform

import numba
import numpy as np

import minicnn


def versions():
    """The versions that decide a run's bits, by name, as a dict of str."""
    return {
        "minicnn": minicnn.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
    }
