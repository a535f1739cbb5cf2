"""minicnn: convolutional networks from scratch, on NumPy and Numba."""

__version__ = "0.1.0"
__all__ = ["Sequential", "__version__"]


def __getattr__(name):
    """Load Numba only when a model is wanted, so that ``--help`` is answered at once."""
    if name == "Sequential":
        from minicnn.model import Sequential

        return Sequential
    raise AttributeError(f"module 'minicnn' has no attribute {name!r}")
