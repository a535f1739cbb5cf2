"""Dropout: a random part of the signal, numbers or channels, is left out in training."""

from typing import Any

import numpy as np

from minicnn.checks import is_finite
from minicnn.errors import ArgumentError
from minicnn.kernels.channels import mask_channels
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context, Shape
from minicnn.layers.views import positions


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
            raise ArgumentError(f"{type(self).__name__}: p must be in [0, 1), got {p!r}.")
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
        np.multiply(x, self._mask(x.shape, ctx), out=y)

    def _mask(self, shape, ctx):
        """m / (1 - p), drawn anew."""
        mask = ctx.save("mask", shape)
        if self.p:
            self.rng.random(dtype=self.dtype.type, out=mask)
            np.multiply(mask >= self.p, self.dtype.type(1 / (1 - self.p)), out=mask)
        else:
            mask[...] = 1
        return mask

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """``m * dE/dy / (1 - p)``."""
        np.multiply(dy, ctx.saved["mask"], out=dx)

    def describe(self) -> str:
        """The probability."""
        return f"p {self.p:g}"


class Dropout2d(Dropout):
    """Set whole channels of each image to zero with probability p; scale the others by 1 / (1 - p).

    ::

        y[c] = m[c] x[c] / (1 - p)    dE/dx[c] = m[c] dE/dy[c] / (1 - p)    P(m[c] = 0) = p

    In evaluation the layer does nothing. Neighbouring pixels say much the same, so that dropping
    single ones takes little away. Tompson et al., *Efficient object localization using
    convolutional networks*, CVPR 2015. It is ``torch.nn.Dropout2d``, with random numbers of
    its own.

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
        If `p` is out of range, and at `build` for an input that is no image.
    """

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input's shape; see :meth:`Layer.setup`."""
        self.needs_images()
        return super().setup(rng)

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """``m[c] x[c] / (1 - p)``."""
        mask = self._mask((*x.shape[:2], x.shape[-1]), ctx)
        mask_channels(positions(x), mask, positions(y))

    def backward(self, x: Array, y: Array, dy: Array, dx: Any, ctx: Context) -> None:
        """``m[c] dE/dy[c] / (1 - p)``."""
        mask_channels(positions(dy), ctx.saved["mask"], positions(dx))
