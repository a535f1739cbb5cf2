"""A learned array and its gradient: the only contract between layers and optimizers."""

import numpy as np


class Parameter:
    """An array that training changes.

    Parameters
    ----------
    value : ndarray
        The array itself; optimizers change it in place.
    decay : bool
        Whether weight decay applies (weights: yes; biases, slopes and scales: no).

    Attributes
    ----------
    grad : ndarray
        d(loss)/d(value), same shape; a layer's ``backward`` overwrites it.
    name : str
        Its name in the model, such as ``"0.weight"``; set by the model.
    """

    def __init__(self, value, decay=True):
        self.value = np.ascontiguousarray(value)
        self.grad = np.zeros_like(self.value)
        self.decay = decay
        self.name = ""

    @property
    def size(self):
        """Number of elements."""
        return self.value.size

    def __repr__(self):
        return f"Parameter({self.name!r}, shape={self.value.shape}, dtype={self.value.dtype})"
