"""Learned scalars: Gate multiplies, Shift adds; what residual networks need without batch norm."""

import numpy as np

from minicnn import initializers
from minicnn.checks import check_finite
from minicnn.initializers import Fans
from minicnn.layers.base import Layer


class _Scalar(Layer):
    """One learned number for the whole layer; without weight decay."""

    start = 0.0
    in_python = True  # it multiplies and sums by NumPy

    def _build(self, rng):
        start = initializers.from_string(f"constant:{self.start!r}")
        self._make_parameter("scalar", (1,), start, Fans(1, 1), rng, decay=False)
        return self.input_shape

    def _fill(self, products):
        # In an order that no number of threads changes; spare lanes hold dy = 0.
        self._parameters["scalar"].grad[...] = products.sum(dtype=np.float64)


class Gate(_Scalar):
    """Everything times one learned scalar, at the end of a residual branch.

    ::

        y = a x        dE/dx = a dE/dy        dE/da = sum of dE/dy x

    With ``start=0`` it is ReZero's α (Bachlechner et al., UAI 2021), with ``start=1`` Fixup's
    multiplier (Zhang et al., ICLR 2019).

    Parameters
    ----------
    start : float
        Of a; finite, 0 by default.

    Raises
    ------
    ArgumentError
        If `start` is not a finite number.
    """

    gives_away = True

    def __init__(self, start=0.0):
        super().__init__()
        self.start = check_finite(start, "Gate: start")

    @np.errstate(over="ignore", invalid="ignore")
    def forward(self, x, training=False, samples=None):
        """``a x``; shapes as in :meth:`Layer.forward`."""
        self.check_input(x)
        self._x = x
        a = self._parameters["scalar"].value
        return np.multiply(x, a, out=self._buffers.lanes("y", len(x), self.output_shape))

    @np.errstate(over="ignore", invalid="ignore")
    def backward(self, dy):
        """Fill dE/da, return dE/dx; shapes as in :meth:`Layer.backward`."""
        self.check_gradient(dy)
        dx = self._buffers.lanes("dx", len(dy), self.input_shape)
        self._fill(np.multiply(dy, self._x, out=dx))
        return np.multiply(dy, self._parameters["scalar"].value, out=dx)

    def describe(self):
        """Where it starts."""
        return f"from {self.start:g}"


class Shift(_Scalar):
    """Everything plus one learned scalar, from 0: Fixup's biases (Zhang et al., ICLR 2019).

    ::

        y = x + b        dE/dx = dE/dy        dE/db = sum of dE/dy
    """

    @np.errstate(over="ignore", invalid="ignore")
    def forward(self, x, training=False, samples=None):
        """``x + b``; shapes as in :meth:`Layer.forward`."""
        self.check_input(x)
        b = self._parameters["scalar"].value
        return np.add(x, b, out=self._buffers.lanes("y", len(x), self.output_shape))

    @np.errstate(over="ignore", invalid="ignore")
    def backward(self, dy):
        """Fill dE/db, return dE/dy itself; shapes as in :meth:`Layer.backward`."""
        self.check_gradient(dy)
        self._fill(dy)
        return dy
