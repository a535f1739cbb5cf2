"""Dropout: a random part of the signal is left out in training."""

import numpy as np

from minicnn.checks import is_finite
from minicnn.errors import ArgumentError
from minicnn.layers.base import Layer


class Dropout(Layer):
    """Set each number to zero with probability p, and scale the others by 1 / (1 - p).

    ::

        y = m * x / (1 - p)      dE/dx = m * dE/dy / (1 - p)      m = 0 or 1, P(m = 0) = p

    In evaluation the layer does nothing. Srivastava et al., *Dropout: a simple way to
    prevent neural networks from overfitting*, JMLR 2014, with the scale at training.

    Parameters
    ----------
    p : float
        In [0, 1).

    Attributes
    ----------
    rng : numpy.random.Generator
        Draws the masks; a checkpoint keeps its state.

    Raises
    ------
    ArgumentError
        If `p` is out of range.
    """

    in_python = True  # it draws

    def __init__(self, p=0.5):
        super().__init__()
        if not (is_finite(p) and 0 <= p < 1):
            raise ArgumentError(f"Dropout: p must be in [0, 1), got {p!r}.")
        self.p = float(p)

    def _build(self, rng):
        self.rng = rng
        self._mask = None
        return self.input_shape

    def forward(self, x, training=False, samples=None):
        """``m * x / (1 - p)`` in training, `x` else; shapes as in :meth:`Layer.forward`."""
        self.check_input(x, training=training)
        self._mask = None
        if not training or not self.p:
            return x
        self._mask = mask = self._buffers.lanes("mask", len(x), self.output_shape)
        y = self._buffers.lanes("y", len(x), self.output_shape)
        self.rng.random(dtype=self.dtype.type, out=mask)
        np.multiply(mask >= self.p, self.dtype.type(1 / (1 - self.p)), out=mask)
        return np.multiply(x, mask, out=y)

    def backward(self, dy):
        """``m * dE/dy / (1 - p)``; shapes as in :meth:`Layer.backward`."""
        self.check_gradient(dy)
        if self._mask is None:
            return dy
        return np.multiply(dy, self._mask, out=self._buffers.lanes("dx", len(dy), self.input_shape))

    def describe(self):
        """The probability."""
        return f"p {self.p:g}"
