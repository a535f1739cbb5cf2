"""Dropout: a random part of the signal is left out in training."""

import numpy as np

from minicnn.checks import is_finite
from minicnn.errors import ArgumentError
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context, Shape


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
    backward_in_place, _reads = "dy", ()

    def __init__(self, p: float = 0.5):
        super().__init__()
        if not (is_finite(p) and 0 <= p < 1):
            raise ArgumentError(f"Dropout: p must be in [0, 1), got {p!r}.")
        self.p = float(p)

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input's shape; see :meth:`Layer.setup`."""
        self.rng = rng
        return self.input_shape

    def is_view(self, training: bool) -> bool:
        """In evaluation."""
        return not training

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """``m * x / (1 - p)``."""
        mask = ctx.save("mask", x.shape)
        if self.p:
            self.rng.random(dtype=self.dtype.type, out=mask)
            np.multiply(mask >= self.p, self.dtype.type(1 / (1 - self.p)), out=mask)
        else:
            mask[...] = 1
        np.multiply(x, mask, out=y)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """``m * dE/dy / (1 - p)``."""
        np.multiply(dy, ctx.saved["mask"], out=dx)

    def describe(self) -> str:
        """The probability."""
        return f"p {self.p:g}"
