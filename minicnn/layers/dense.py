"""Dense: every output is a weighted sum of every input."""

import numpy as np

from minicnn import initializers
from minicnn.checks import check_count, check_flag
from minicnn.initializers import Fans, Initializer
from minicnn.kernels.conv.correlate import correlate
from minicnn.kernels.conv.geometry import dense_tables
from minicnn.kernels.dense import dense_gradients
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context, Shape


class Dense(Layer):
    """Fully connected layer.

    With samples as columns, as they travel here, the textbook's equations hold letter for
    letter, for W of shape ``(out, in)``::

        z = W x + b
        dE/dx = Wᵀ delta      dE/dW = delta xᵀ      dE/db = sum over samples of delta

    Parameters
    ----------
    out_features : int
    bias : bool
        Whether to add b.
    init, bias_init : str or Initializer
        For W and b; ``fan_in`` and ``fan_out`` are the numbers of inputs and outputs.
    in_features : int, optional
        If given, `build` checks the input against it.

    Raises
    ------
    ArgumentError
        For a setting out of range, and at `build` for an input that does not fit.
    """

    fuses_relu = "output"

    def __init__(
        self,
        out_features: int,
        *,
        bias: bool = True,
        init: str | Initializer = "msra",
        bias_init: str | Initializer = "zeros",
        in_features: int | None = None,
    ):
        super().__init__()
        self.out_features = check_count(out_features, "Dense: out_features")
        self.bias = check_flag(bias, "Dense: bias")
        self.init = initializers.from_string(init)
        self.bias_init = initializers.from_string(bias_init)
        self.in_features = in_features

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input and make the parameters."""
        if len(self.input_shape) != 1:
            raise self.error(
                f"needs a vector of features, got a sample of shape {self.input_shape}:"
                " put Flatten() or GlobalAvgPool2d() before it."
            )
        features = self.input_shape[0]
        if self.in_features not in (None, features):
            raise self.error(f"expected {self.in_features} input features, got {features}.")
        shape, self._fans = (self.out_features, features), Fans(features, self.out_features)
        self.weight = self.add_parameter("weight", shape, self.init, self._fans, rng)
        self.b = None
        if self.bias:
            self.b = self.add_parameter("bias", shape[:1], self.bias_init, self._fans, rng, False)
        return (self.out_features,)

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """``z = W x + b``."""
        b = ctx.keep("no bias", (1,)) if self.b is None else self.b.value
        found = ctx.table(len(x), lambda: dense_tables(self.out_features, x.shape[1], x))
        correlate(x.reshape(-1), self.weight.value.reshape(-1), b, y.reshape(-1), *found, ctx.relu)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """Fill dE/dW, dE/db and dE/dx."""
        delta = ctx.scratch(dy.shape) if ctx.relu else dy
        db = ctx.keep("no db", (0,)) if self.b is None else self.b.grad
        dx = ctx.keep("no dx", (0, *x.shape[1:])) if dx is None else dx
        dw = self.weight.grad if self.learns else self.weight.grad[:0]
        db = db if self.learns else db[:0]
        dense_gradients(x, self.weight.value, dy, y, ctx.relu, delta, dw, db, dx)

    def backward_reads(self, training: bool) -> tuple[str, ...]:
        """x, for dE/dW."""
        return ("x",) if self.learns else ()

    def multiply_adds(self) -> int:
        """Outputs times inputs."""
        return self.weight.size
