"""Learned factors and shifts: what residual networks need without batch norm.

Scale multiplies all by one number, LayerScale each channel by its own, and Shift adds a number.
"""

import numpy as np

from minicnn.checks import check_finite
from minicnn.initializers import Fans
from minicnn.kernels.channels import scale_channels
from minicnn.kernels.group_norm import gradient_sums
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context, Shape
from minicnn.layers.views import positions, same


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
        if self.learns:
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
        if self.learns:
            self._fill(dy)
        if dx is not None and not same(dx, dy):
            dx[...] = dy


class LayerScale(Layer):
    """Every channel, or feature, times a learned factor, at the end of a residual branch.

    ::

        y[c] = w[c] x[c]        dE/dx[c] = w[c] dE/dy[c]        dE/dw[c] = sum of dE/dy[c] x[c]

    All factors start small, so that a deep network begins near the identity. Touvron et al.,
    *Going deeper with image transformers* (CaiT), ICCV 2021. Without weight decay.

    Parameters
    ----------
    init : float
        The start of every factor; finite. The paper has 0.1 for up to 18 blocks, 1e-5 for up to
        24 and 1e-6 for more.

    Raises
    ------
    ArgumentError
        If `init` is not a finite number.
    """

    backward_in_place, _reads = "dy", ("x",)

    def __init__(self, init: float = 1e-6):
        super().__init__()
        self.init = check_finite(init, "LayerScale: init")

    def setup(self, rng: np.random.Generator) -> Shape:
        """Make the factors."""
        start, shape = f"constant:{self.init!r}", self.input_shape[:1]
        self.factors = self.add_parameter("weight", shape, start, Fans(1, 1), rng, decay=False)
        return self.input_shape

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """``w[c] x[c]``."""
        scale_channels(positions(x), self.factors.value, positions(y))

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """Fill dE/dw and dE/dx."""
        if self.learns:
            gradient_sums(positions(x), positions(dy), None, self.factors.grad, None)
        if dx is not None:
            scale_channels(positions(dy), self.factors.value, positions(dx))

    def describe(self) -> str:
        """Where the factors start."""
        return f"from {self.init:g}"
