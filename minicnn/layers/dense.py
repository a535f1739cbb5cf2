"""Dense: every output is a weighted sum of every input."""

import numpy as np

from minicnn import initializers
from minicnn.checks import check_count, check_flag
from minicnn.initializers import Fans
from minicnn.kernels.correlate import correlate
from minicnn.kernels.dense import dense_gradients
from minicnn.kernels.terms import dense_sum
from minicnn.lanes import LANES
from minicnn.layers.base import Layer


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

    rectifies = "output"
    gives_away = True

    def __init__(
        self, out_features, *, bias=True, init="msra", bias_init="zeros", in_features=None
    ):
        super().__init__()
        self.out_features = check_count(out_features, "Dense: out_features")
        self.bias = check_flag(bias, "Dense: bias")
        self.init = initializers.from_string(init)
        self.bias_init = initializers.from_string(bias_init)
        self.in_features = in_features

    def _build(self, rng):
        if len(self.input_shape) != 1:
            raise self._error(
                f"needs a vector of features, got a sample of shape {self.input_shape}:"
                " put Flatten() or GlobalAvgPool2d() before it."
            )
        features = self.input_shape[0]
        if self.in_features not in (None, features):
            raise self._error(f"expected {self.in_features} input features, got {features}.")
        shape, self._fans = (self.out_features, features), Fans(features, self.out_features)
        self._zero = np.zeros(1, self.dtype)
        self._no_bias_grad = self._zero[:0]
        self._no_dx = np.zeros((0, features, LANES), self.dtype)
        self._make_parameter("weight", shape, self.init, self._fans, rng)
        if self.bias:
            self._make_parameter("bias", shape[:1], self.bias_init, self._fans, rng, decay=False)
        self._sums = {}  # by the number of lane groups
        return (self.out_features,)

    def forward(self, x, training=False, samples=None):
        """``z = W x + b``; shapes as in :meth:`Layer.forward`."""
        self.check_input(x)
        self._x = x
        self._z = z = self._buffers.lanes("z", len(x), self.output_shape)
        if len(x) not in self._sums:
            found = dense_sum(*self.input_shape, self.out_features, len(x), self.dtype.itemsize)
            self._sums[len(x)] = found.walk.numbers(), *found.terms
        weight = self._parameters["weight"].value.reshape(-1)
        bias = self._parameters["bias"].value if self.bias else self._zero
        tables = self._sums[len(x)]
        correlate(x.reshape(-1), weight, bias, z.reshape(-1), *tables, self.rectify)
        return z

    def backward(self, dy):
        """Fill dE/dW and dE/db, return dE/dx; shapes as in :meth:`Layer.backward`."""
        self.check_gradient(dy)
        delta, dx = dy, self._no_dx
        if self.rectify:
            delta = self._buffers.lanes("delta", len(dy), self.output_shape)
        if self.needs_input_gradient:
            dx = self._buffers.lanes("dx", len(dy), self.input_shape)
        weight = self._parameters["weight"]
        bias_grad = self._parameters["bias"].grad if self.bias else self._no_bias_grad
        dense_gradients(
            self._x, weight.value, dy, self._z, self.rectify, delta, weight.grad, bias_grad, dx
        )
        return dx if self.needs_input_gradient else None

    def multiply_adds(self):
        """Outputs times inputs."""
        return self._parameters["weight"].value.size
