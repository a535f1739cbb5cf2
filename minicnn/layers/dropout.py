"""Dropout: a random part of the signal, numbers or channels, is left out in training."""

from typing import Any

import numpy as np

from minicnn.checks import is_finite
from minicnn.errors import ArgumentError
from minicnn.kernels.dropout import drop
from minicnn.kernels.random import next_key
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context, Shape
from minicnn.layers.counter_rng import CounterRNG
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
    rng : CounterRNG
        Draws the masks: 32 bits for each, which no number of threads and no batch size changes. A
        checkpoint keeps ``rng.state``.

    Raises
    ------
    ArgumentError
        If `p` is out of range.
    """

    backward_in_place, _reads = "dy", ()

    def __init__(self, p: float = 0.5):
        super().__init__()
        self._p = np.zeros(1)  # where a captured step finds it
        self._rng = CounterRNG()
        self.p = p

    @property
    def p(self) -> float:
        """The probability of being dropped; a new one counts from the next pass on."""
        return float(self._p[0])

    @p.setter
    def p(self, value: float) -> None:
        if not (is_finite(value) and 0 <= value < 1):
            raise ArgumentError(f"{type(self).__name__}: p must be in [0, 1), got {value!r}.")
        self._p[0] = value

    @property
    def rng(self) -> CounterRNG:
        """Draws the masks."""
        return self._rng

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input's shape; see :meth:`Layer.setup`."""
        self._rng.seed(rng)
        return self.input_shape

    def is_view(self, training: bool) -> bool:
        """In evaluation."""
        return not training

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """``m x / (1 - p)``."""
        key = ctx.keep("key", (1,), np.uint64)
        next_key(self._rng.words, key)
        drop(self._units(x), self._p, key, self._units(y))

    def backward(self, x: Array, y: Array, dy: Array, dx: Any, ctx: Context) -> None:
        """``m dE/dy / (1 - p)``, with the same m, drawn again."""
        drop(self._units(dy), self._p, ctx.keep("key", (1,), np.uint64), self._units(dx))

    def _units(self, x):
        """What is dropped together: each number alone."""
        return x.reshape(len(x), -1, 1, x.shape[-1])

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
    rng : CounterRNG
        Draws the masks: 32 bits for each, which no number of threads and no batch size changes. A
        checkpoint keeps ``rng.state``.

    Raises
    ------
    ArgumentError
        If `p` is out of range, and at `build` for an input that is no image.
    """

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input's shape; see :meth:`Layer.setup`."""
        self.needs_images()
        return super().setup(rng)

    def _units(self, x):
        """The channels."""
        return positions(x)
