"""ConvTranspose2d: a convolution's input gradient as a layer."""

import math

import numpy as np

from minicnn.checks import check_pair
from minicnn.checks.values import MOST_SIDE
from minicnn.initializers import Fans, Initializer
from minicnn.kernels.conv.geometry import Convolution
from minicnn.layers.algorithms import Transposed
from minicnn.layers.context import Shape
from minicnn.layers.conv import _Convolution


class ConvTranspose2d(_Convolution):
    """Transposed convolution: what a :class:`Conv2d` with these weights has as its dE/dx.

    Forward, with ``W`` of shape ``(C_in, C_out / groups, kh, kw)``::

        z[o, s i + d u - p, s j + d v - p] += sum over c of W[c, o, u, v] x[c, i, j]

    and b[o] is added. Backward, with delta = dE/dz (sums also over the samples)::

        dE/dx = delta ⋆ W, of stride s, padding p and dilation d
        dE/dW[c, o, u, v] = sum over i, j of x[c, i, j] delta_pad[o, s i + d u, s j + d v]
        dE/db[o] = sum over i, j of delta[o, i, j]

    The output has ``(H - 1) s - 2 p + d (k - 1) + output_padding + 1`` rows. Names, layout of the
    weight and numbers are those of ``torch.nn.ConvTranspose2d``, but for the input's channels,
    which `build` finds. Zeiler et al., *Deconvolutional networks*, CVPR 2010.

    Parameters
    ----------
    out_channels : int
    kernel_size, stride, padding : int or pair of int
        Height and width; the padding crops so many rows and columns on each side.
    output_padding : int or pair of int
        Rows below and columns on the right that the output has besides; less than the stride or
        the dilation.
    groups : int
        Input and output channels are cut into so many groups that do not see each other.
    bias : bool
        Whether to add b.
    dilation : int or pair of int
    init, bias_init : str or Initializer
        For W and b. The fans are ``fan_in = C_in / groups * kh * kw / (sh sw)``, the inputs that
        feed one output on average, and ``fan_out = C_out / groups * kh * kw``;
        PyTorch's `_calculate_fan_in_and_fan_out` takes other numbers, see
        :meth:`minicnn.initializers.Fans.of_transposed`.
    in_channels : int, optional
        If given, `build` checks the input against it.

    Raises
    ------
    ArgumentError
        For a setting out of range, and at `build` for channels that the groups do not
        divide, an input that is no image, or an output that would be empty.
    """

    def __init__(
        self,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        output_padding: int | tuple[int, int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, int] = 1,
        *,
        init: str | Initializer = "msra",
        bias_init: str | Initializer = "zeros",
        in_channels: int | None = None,
    ):
        super().__init__()
        padding = check_pair(padding, "ConvTranspose2d: padding", 0)
        settings = out_channels, kernel_size, stride, padding, dilation, groups, bias
        self._set(*settings, (init, bias_init))
        self.output_padding = check_pair(output_padding, "ConvTranspose2d: output_padding", 0)
        for more, s, d in zip(self.output_padding, self.stride, self.dilation):
            if more >= max(s, d):
                raise self.error(
                    f"output_padding {self.output_padding} must be less than the stride"
                    f" {self.stride} or the dilation {self.dilation}."
                )
        self.in_channels = in_channels

    _plain = (*_Convolution._plain, ("output_padding", (0, 0)))

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input and make the parameters."""
        c_in, c_out = self._check_channels()
        axes = zip(
            self.input_shape[1:], self.kernel_size, self.stride, self.padding, self.dilation,
            self.output_padding,
        )  # fmt: skip
        size = tuple((n - 1) * s - 2 * p + d * (k - 1) + more + 1 for n, k, s, p, d, more in axes)
        if not 1 <= min(size) <= max(size) <= MOST_SIDE:
            raise self.error(
                f"the output would have {size[0]} x {size[1]} pixels, of an input"
                f" {self.input_shape}, and must have 1 to {MOST_SIDE:,} a side: change the padding"
                " or the stride."
            )
        plan = Convolution(
            (c_out, *size), self.input_shape, self.kernel_size, self.stride, self.padding,
            self.dilation, self.groups, self.dtype.itemsize,
        )  # fmt: skip
        self._fans = Fans.of_transposed(plan)
        self._add_parameters((c_in, c_out // self.groups, *self.kernel_size), rng)
        self._by = Transposed(plan)
        return plan.input_shape

    def multiply_adds(self) -> int:
        """``C_in H W C_out / groups kh kw``."""
        return math.prod(self.input_shape) * self.weight.value[0].size
