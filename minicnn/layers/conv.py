"""Conv2d: cross-correlation of images with learned kernels."""

import numpy as np

from minicnn import initializers
from minicnn.checks import check_count, check_pair
from minicnn.initializers import Fans
from minicnn.kernels.correlate import correlate
from minicnn.kernels.gradient import bias_gradient, weight_gradient
from minicnn.kernels.pad import copy_inside
from minicnn.kernels.terms import Convolution
from minicnn.lanes import LANES
from minicnn.layers.base import Layer, window_output


class Conv2d(Layer):
    """Two-dimensional convolution (cross-correlation, as in every framework).

    Forward, with ``W`` of shape ``(C_out, C_in / groups, kh, kw)``::

        z[o, i, j] = b[o] + sum over c, u, v of W[o, c, u, v] x_pad[c, s i + d u, s j + d v]

    Backward, with delta = dE/dz (all sums also over the samples)::

        dE/dx = pad(dilate(delta)) ⋆ rot180(trans(W))
        dE/dW[o, c, u, v] = sum over i, j of delta[o, i, j] x_pad[c, s i + d u, s j + d v]
        dE/db[o] = sum over i, j of delta[o, i, j]

    where dilate puts s - 1 zeros between delta's elements, pad surrounds it by d (k - 1) - p
    zeros, and trans swaps C_out and C_in. :mod:`minicnn.reference` has them as plain NumPy.

    Parameters
    ----------
    out_channels : int
    kernel_size, stride, padding, dilation : int or pair of int
        Height and width.
    groups : int
        Input and output channels are cut into so many groups that do not see each other;
        equal to the number of input channels it is a depthwise convolution.
    bias : bool
        Whether to add b.
    init, bias_init : str or Initializer
        For W and b; the fans are ``fan_in = C_in / groups * kh * kw`` and
        ``fan_out = C_out / groups * kh * kw``.
    in_channels : int, optional
        If given, `build` checks the input against it.

    Raises
    ------
    ArgumentError
        For a setting out of range, and at `build` for channels that the groups do not
        divide, an input that does not fit, or an output that would be empty.
    """

    rectifies = "output"

    def __init__(
        self, out_channels, kernel_size, *, stride=1, padding=0, dilation=1, groups=1,
        bias=True, init="msra", bias_init="zeros", in_channels=None,
    ):  # fmt: skip
        super().__init__()
        self.out_channels = check_count(out_channels, "Conv2d: out_channels")
        self.kernel_size = check_pair(kernel_size, "Conv2d: kernel_size", 1)
        self.stride = check_pair(stride, "Conv2d: stride", 1)
        self.padding = check_pair(padding, "Conv2d: padding", 0)
        self.dilation = check_pair(dilation, "Conv2d: dilation", 1)
        self.groups = check_count(groups, "Conv2d: groups")
        self.bias = bool(bias)
        self.init = initializers.from_string(init)
        self.bias_init = initializers.from_string(bias_init)
        self.in_channels = in_channels

    def _build(self, rng):
        self._needs_images()
        c_in, c_out = self.input_shape[0], self.out_channels
        if self.in_channels not in (None, c_in):
            raise self._error(f"expected {self.in_channels} input channels, got {c_in}.")
        if c_in % self.groups or c_out % self.groups:
            raise self._error(
                f"groups = {self.groups} must divide the {c_in} input and the {c_out} output"
                " channels."
            )
        size = window_output(self, self.kernel_size, self.stride, self.padding, self.dilation)
        self._plan = Convolution(
            self.input_shape, (c_out, *size), self.kernel_size, self.stride, self.padding,
            self.dilation, self.groups, self.dtype.itemsize,
        )  # fmt: skip
        self._forward_sum, self._backward_sums = self._plan.forward(), self._plan.backward()
        self._border = self._plan.delta_border() if self.needs_input_gradient else (0, 0, 0, 0)
        self._gradient_tables = self._plan.gradient_tables(self._border)
        shape = (c_out, c_in // self.groups, *self.kernel_size)
        area = self.kernel_size[0] * self.kernel_size[1]
        self._fans = Fans(shape[1] * area, c_out // self.groups * area)
        self._no_bias = np.zeros(1, self.dtype)
        self._make_parameter("weight", shape, self.init, self._fans, rng)
        if self.bias:
            self._make_parameter("bias", (c_out,), self.bias_init, self._fans, rng, decay=False)
        return self._plan.output_shape

    def forward(self, x, training=False, samples=None):
        """``z = x ⋆ W + b``; shapes as in :meth:`Layer.forward`."""
        groups, (terms, walk, _) = len(x), self._forward_sum
        self._x = self._with_border("x", x, (*self.padding, *self.padding))
        self._z = z = self._buffer("z", groups, self.output_shape)
        weight, bias = _flat(self._parameters["weight"].value), self._bias_value()
        walk = walk._replace(lane_groups=groups)
        correlate(_flat(self._x), weight, bias, _flat(z), walk, terms, self.rectify)
        return z

    def backward(self, dy):
        """Fill dE/dW and dE/db, return dE/dx; shapes as in :meth:`Layer.backward`."""
        delta = self._with_border("delta", dy, self._border, self._z if self.rectify else None)
        self._fill_weight_gradient(delta)
        if self.bias:
            planes = delta.reshape(len(dy), self.out_channels, -1, LANES)
            bias_gradient(planes, self._parameters["bias"].grad)
        return self._input_gradient(delta) if self.needs_input_gradient else None

    def _fill_weight_gradient(self, delta):
        sweep, start = self._plan.sweep(len(delta), self._border)
        grad = self._parameters["weight"].grad
        shape = (self.groups, self.out_channels // self.groups, grad[0].size)
        partial = self._rows("partial", sweep.slices, shape)
        x_terms, d_channels = self._gradient_tables
        weight_gradient(_flat(self._x), x_terms, _flat(delta)[start:], d_channels, partial, sweep)
        np.sum(partial, axis=0, out=grad.reshape(shape))

    def _input_gradient(self, delta):
        dx = self._buffer("dx", len(delta), self.input_shape)
        weight = _flat(self._parameters["weight"].value)
        for terms, walk, start in self._backward_sums:
            walk = walk._replace(lane_groups=len(delta))
            correlate(_flat(delta), weight, self._no_bias, _flat(dx)[start:], walk, terms, False)
        return dx

    def _with_border(self, name, images, border, gate=None):
        """`images` surrounded by zeros, and zero where the gate is, unless neither is asked for.

        They go into a buffer whose border is never written.
        """
        if gate is None and not any(border):
            return images
        top, left, bottom, right = border
        channels, height, width = images.shape[1:4]
        shape = (channels, height + top + bottom, width + left + right)
        padded = self._buffer(name, len(images), shape)
        copy_inside(images, gate, padded, top, left)
        return padded

    def _bias_value(self):
        return self._parameters["bias"].value if self.bias else self._no_bias

    def describe(self):
        """Kernel size, and what differs from the plain case."""
        words = ["x".join(map(str, self.kernel_size))]
        for name, plain in (("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1))):
            value = getattr(self, name)
            if value != plain:
                words.append(f"{name} {value[0] if value[0] == value[1] else value}")
        if self.groups > 1:
            words.append(f"groups {self.groups}")
        return " ".join(words)


def _flat(array):
    return array.reshape(-1)
