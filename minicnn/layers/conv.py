"""Conv2d: cross-correlation of images with learned kernels."""

import math

import numpy as np

from minicnn import initializers
from minicnn.checks import check_count, check_flag, check_pair
from minicnn.checks.values import check_padding
from minicnn.errors import ArgumentError, unknown
from minicnn.initializers import Fans, Initializer
from minicnn.kernels.conv.geometry import Convolution
from minicnn.layers import algorithms
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context, Shape
from minicnn.layers.shapes import window_output

PADDINGS = "valid", "same"


class _Convolution(Layer):
    """What a convolution and a transposed one share: settings, and passes by an algorithm."""

    fuses_relu = "output"
    _plain: tuple[tuple[str, tuple[int, int]], ...] = (
        ("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1)),
    )  # fmt: skip
    _fans: Fans
    in_channels: int | None
    _by: "algorithms.Direct | algorithms.Winograd"

    def _set(self, out_channels, kernel_size, stride, padding, dilation, groups, bias, inits):
        kind = type(self).__name__
        self.out_channels = check_count(out_channels, f"{kind}: out_channels")
        self.kernel_size = check_pair(kernel_size, f"{kind}: kernel_size", 1)
        self.stride = check_pair(stride, f"{kind}: stride", 1)
        self.padding = padding
        self.dilation = check_pair(dilation, f"{kind}: dilation", 1)
        self.groups = check_count(groups, f"{kind}: groups")
        self.bias = check_flag(bias, f"{kind}: bias")
        self.init, self.bias_init = map(initializers.from_string, inits)

    def _check_channels(self):
        """The numbers of input and output channels, if they fit."""
        self.needs_images()
        c_in, c_out = self.input_shape[0], self.out_channels
        if self.in_channels not in (None, c_in):
            raise self.error(f"expected {self.in_channels} input channels, got {c_in}.")
        if c_in % self.groups or c_out % self.groups:
            raise self.error(
                f"groups = {self.groups} must divide the {c_in} input and the {c_out} output"
                " channels."
            )
        return c_in, c_out

    def _add_parameters(self, shape, rng):
        self.weight = self.add_parameter("weight", shape, self.init, self._fans, rng)
        self.b = None
        if self.bias:
            own = (self.out_channels,)
            self.b = self.add_parameter("bias", own, self.bias_init, self._fans, rng, False)

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """``z = x ⋆ W + b``."""
        b = ctx.keep("no bias", (1,)) if self.b is None else self.b.value
        self._by.forward(x, self.weight.value, b, y, ctx)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """Fill dE/dW, dE/db and dE/dx."""
        db = ctx.keep("no db", (0,)) if self.b is None else self.b.grad
        delta = self._by.delta(dy, y if ctx.relu else None, ctx)
        if self.learns:
            self._by.parameter_gradients(x, delta, self.weight.grad, db, ctx)
        if dx is not None:
            self._by.input_gradient(delta, self.weight.value, dx, ctx)

    def backward_reads(self, training: bool) -> tuple[str, ...]:
        """x, for dE/dW."""
        return ("x",) if self.learns else ()

    def describe(self) -> str:
        """Kernel size, and what differs from the plain case."""
        words = ["x".join(map(str, self.kernel_size))]
        for name, plain in self._plain:
            value = getattr(self, name)
            if value != plain:
                alike = value[0] == value[1] and isinstance(value[0], int)
                words.append(f"{name} {value[0] if alike else value}")
        if self.groups > 1:
            words.append(f"groups {self.groups}")
        return " ".join(words)


class Conv2d(_Convolution):
    """Two-dimensional convolution (cross-correlation, as in every framework).

    Forward, with ``W`` of shape ``(C_out, C_in / groups, kh, kw)``::

        z[o, i, j] = b[o] + sum over c, u, v of W[o, c, u, v] x_pad[c, s i + d u, s j + d v]

    Backward, with delta = dE/dz (all sums also over the samples)::

        dE/dx = pad(dilate(delta)) ⋆ rot180(trans(W))
        dE/dW[o, c, u, v] = sum over i, j of delta[o, i, j] x_pad[c, s i + d u, s j + d v]
        dE/db[o] = sum over i, j of delta[o, i, j]

    where dilate puts s - 1 zeros between delta's elements, pad surrounds it by d (k - 1) - p
    zeros, and by more below and on the right for rows and columns that no window reached, trans
    swaps C_out and C_in, and ⋆ is dilated by d. :mod:`minicnn.reference` has them as plain NumPy.

    Parameters
    ----------
    out_channels : int
    kernel_size, stride, dilation : int or pair of int
        Height and width.
    padding : int, pair of int, pair of pairs or str
        Zeros around the images: on all sides; above and below, and on the left and right; or
        ``((top, bottom), (left, right))``, as in Keras and JAX. With ``"same"`` the output has the
        input's size, of stride 1, and what cannot be halved has one more below and on the right, as
        in PyTorch; ``"valid"`` is 0. The attribute is a pair if opposite sides are alike.
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
    algorithm : str
        ``direct``, ``winograd``, or ``auto`` for the faster, see
        :func:`minicnn.layers.algorithms.choose`.

    Raises
    ------
    ArgumentError
        For a setting out of range, and at `build` for channels that the groups do not
        divide, an input that does not fit, or an output that would be empty.
    """

    def __init__(
        self,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        init: str | Initializer = "msra",
        bias_init: str | Initializer = "zeros",
        in_channels: int | None = None,
        algorithm: str = "auto",
    ):
        super().__init__()
        if isinstance(padding, str):
            padding = _padding(padding, kernel_size, stride, dilation)
        sides = check_padding(padding, "Conv2d: padding")
        (top, bottom), (left, right) = sides
        shown = (top, left) if (top, left) == (bottom, right) else sides
        settings = out_channels, kernel_size, stride, shown, dilation, groups, bias
        self._set(*settings, (init, bias_init))
        self._before, self._after = (top, left), (bottom, right)
        self.in_channels, self.algorithm = in_channels, algorithms.check_name(algorithm)

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input and make the parameters."""
        c_in, c_out = self._check_channels()
        size = window_output(self, self.kernel_size, self.stride, self.padding, self.dilation)
        plan = Convolution(
            self.input_shape, (c_out, *size), self.kernel_size, self.stride, self._before,
            self.dilation, self.groups, self.dtype.itemsize, self._after,
        )  # fmt: skip
        shape = (c_out, c_in // self.groups, *self.kernel_size)
        self._fans = Fans.of_convolution(plan)
        # Before the algorithm, which walks through the channels: these refuse too many.
        self._add_parameters(shape, rng)
        try:
            self._by = algorithms.choose(self.algorithm, plan, self.needs_input_gradient)
        except ArgumentError as error:
            raise self.error(str(error)) from None
        return plan.output_shape

    def multiply_adds(self) -> int:
        """``C_out H' W' C_in / groups kh kw``."""
        return math.prod(self.output_shape) * self.weight.value[0].size


def _padding(word, kernel_size, stride, dilation):
    """The padding that ``"same"`` and ``"valid"`` stand for, as PyTorch has them."""
    if word not in PADDINGS:
        raise unknown("padding of Conv2d", word, PADDINGS)
    if word == "valid":
        return 0
    if check_pair(stride, "Conv2d: stride", 1) != (1, 1):
        raise ArgumentError(f'Conv2d: padding "same" is for stride 1, got a stride of {stride}.')
    pairs = zip(
        check_pair(kernel_size, "Conv2d: kernel_size", 1),
        check_pair(dilation, "Conv2d: dilation", 1),
    )
    rows, columns = (d * (k - 1) for k, d in pairs)
    return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
