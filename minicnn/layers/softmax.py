"""Softmax and its logarithm over the channels of an image, or the features of a vector."""

from typing import Any

from minicnn.kernels import softmax
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context
from minicnn.layers.views import positions, same


class _OverChannels(Layer):
    """What both share: the shape stays, and dE/dx needs y alone."""

    backward_in_place, _reads = "dy", ("y",)
    _log = False

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """Each position of each sample by itself."""
        softmax.softmax(positions(x), positions(y), self._log)

    def backward(self, x: Array, y: Array, dy: Array, dx: Any, ctx: Context) -> None:
        """dE/dx of y and dE/dy."""
        out = None if same(dx, dy) else positions(dx)
        softmax.softmax_gradient(positions(y), positions(dy), out, self._log)


class Softmax(_OverChannels):
    """``y_c = exp(x_c) / sum over k of exp(x_k)`` over axis 0 of a sample, PyTorch's ``dim=1``.

    ::

        dE/dx = y (dE/dy - sum over k of y_k dE/dy_k)

    The axis is the channels of an image (C, H, W), at each pixel by itself, or the features of a
    vector (F,). The largest x is taken off first, so that nothing overflows. A NaN or +infinity
    makes all numbers of its pixel NaN, as do numbers that are all -infinity.

    It is for the middle of a network, such as attention over channels. Scores need none:
    :class:`minicnn.losses.SoftmaxCrossEntropy` has its own, and a second one only flattens it.
    """


class LogSoftmax(_OverChannels):
    """``y_c = x_c - log sum over k of exp(x_k)`` over axis 0 of a sample, PyTorch's ``dim=1``.

    ::

        dE/dx = dE/dy - exp(y) sum over k of dE/dy_k

    Axis, infinities and NaN as for :class:`Softmax`; a number that is -infinity stays so. A
    probability near 1 has a logarithm with all its digits.
    """

    _log = True
