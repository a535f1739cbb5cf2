"""minicnn: convolutional networks from scratch, on NumPy and Numba."""

__version__ = "0.1.0"

from minicnn.model import Sequential

__all__ = ["Sequential", "__version__"]
