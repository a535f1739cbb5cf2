"""Learned scalars: Scale multiplies, Shift adds; what residual networks need without batch norm."""

import numpy as np

from minicnn.checks import check_finite
from minicnn.initializers import Fans
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context
from minicnn.layers.views import same


class _Scalar(Layer):
    """One learned number for the whole layer; without weight decay."""

    start = 0.0
    in_python = True  # it multiplies and sums by NumPy
    backward_in_place = "dy"

    def setup(self, rng):
        start = f"constant:{self.start!r}"
        self.scalar = self.add_parameter("scalar", (1,), start, Fans(1, 1), rng, decay=False)
        return self.input_shape

    def _fill(self, products):
        # In an order that no number of threads changes; spare lanes hold dy = 0.
        self.scalar.grad[...] = products.sum(dtype=np.float64)


class Scale(_Scalar):
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

    _reads = ("x",)

    def __init__(self, start: float = 0.0):
        super().__init__()
        self.start = check_finite(start, "Scale: start")

    @np.errstate(over="ignore", invalid="ignore")
    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """``a x``."""
        np.multiply(x, self.scalar.value, out=y)

    @np.errstate(over="ignore", invalid="ignore")
    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """Fill dE/da and dE/dx."""
        self._fill(np.multiply(dy, x, out=ctx.scratch(dy.shape)))
        if dx is not None:
            np.multiply(dy, self.scalar.value, out=dx)

    def describe(self) -> str:
        """Where it starts."""
        return f"from {self.start:g}"


class Shift(_Scalar):
    """Everything plus one learned scalar, from 0: Fixup's biases (Zhang et al., ICLR 2019).

    ::

        y = x + b        dE/dx = dE/dy        dE/db = sum of dE/dy
    """

    _reads = ()

    @np.errstate(over="ignore", invalid="ignore")
    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """``x + b``."""
        np.add(x, self.scalar.value, out=y)

    @np.errstate(over="ignore", invalid="ignore")
    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """Fill dE/db and dE/dx."""
        self._fill(dy)
        if dx is not None and not same(dx, dy):
            dx[...] = dy
