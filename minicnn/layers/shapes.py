"""Layers that change a shape and no number, and the shape that a sliding window leaves."""

import math

import numpy as np

from minicnn.checks import check_flag, check_pair, shown, takes
from minicnn.checks.values import MOST_SIDE, check_padding
from minicnn.errors import ArgumentError, unknown
from minicnn.kernels import bilinear, pad, pool
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context, Shape

MODES = ("nearest", "bilinear")  # of Upsample


@takes(layer=Layer)
def window_output(
    layer: Layer,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]],
    dilation: int | tuple[int, int] = (1, 1),
    ceil_mode: bool = False,
) -> Shape:
    """Output height and width of a sliding window over ``layer.input_shape``.

    ``(H + 2 p - d (k - 1) - 1) // s + 1`` for each of the two axes, where 2 p is the padding on
    both sides. With `ceil_mode` the fraction is rounded up, unless the last window would begin
    behind ``H + p``.

    Raises
    ------
    ArgumentError
        If the window does not fit into the padded input even once.
    """
    if layer.input_shape is None:
        raise layer.error(layer.not_built)
    layer.needs_images()
    if max(layer.input_shape[1:]) > MOST_SIDE:
        raise layer.error(
            f"an image of {layer.input_shape} is too large: at most {MOST_SIDE:,} pixels a side."
        )
    kernel_size = check_pair(kernel_size, "kernel_size", 1)
    stride, sides = check_pair(stride, "stride", 1), check_padding(padding, "padding")
    dilation = check_pair(dilation, "dilation", 1)
    ceil_mode = check_flag(ceil_mode, "ceil_mode")
    axes = zip(layer.input_shape[1:], kernel_size, stride, sides, dilation)
    sizes = []
    for n, k, s, (before, after), d in axes:
        size = (n + before + after - d * (k - 1) - 1 + (s - 1) * ceil_mode) // s + 1
        sizes.append(size - (ceil_mode and (size - 1) * s >= n + before))
    if min(sizes) < 1:
        window = f"{kernel_size[0]}x{kernel_size[1]} window"
        if max(dilation) > 1:
            window += f" with dilation {dilation}"
        raise layer.error(
            f"the output would be empty: a {window} does not fit into the input"
            f" {layer.input_shape} padded by {padding}. Use a smaller kernel, more padding, or"
            " fewer strides before it."
        )
    return tuple(sizes)


class Flatten(Layer):
    """``(C, H, W)`` becomes ``(C H W,)``, channel after channel, without a copy.

    Parameters
    ----------
    start_dim : int
        The first of the axes that become one, as in ``torch.nn.Flatten``: axis 0 are the samples,
        so 1 flattens all of a sample, and 2 makes ``(C, H W)`` of an image. Negative ones count
        from the end.

    Raises
    ------
    ArgumentError
        For 0, which would mix samples, or no integer; and at `build` for an axis that the input
        does not have.
    """

    def __init__(self, start_dim: int = 1):
        super().__init__()
        if isinstance(start_dim, bool) or not isinstance(start_dim, (int, np.integer)):
            raise ArgumentError(f"Flatten: start_dim must be an integer, got {shown(start_dim)}.")
        if start_dim == 0:
            raise ArgumentError(
                "Flatten: start_dim must not be 0, the axis of the samples, which stay apart: 1"
                " flattens all of each sample."
            )
        self.start_dim = int(start_dim)

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input's shape; see :meth:`Layer.setup`."""
        count = len(self.input_shape)
        first = self.start_dim + (self.start_dim < 0) * (count + 1)
        if not 1 <= first <= count:
            raise self.error(
                f"start_dim {self.start_dim} is no axis of samples of shape {self.input_shape}:"
                f" there are 1 to {count}, and the samples themselves are axis 0."
            )
        return *self.input_shape[: first - 1], math.prod(self.input_shape[first - 1 :])

    def describe(self) -> str:
        """Where it starts, if that is not behind the samples."""
        return f"from axis {self.start_dim}" if self.start_dim != 1 else ""

    def is_view(self, training: bool) -> bool:
        """Yes."""
        return True


class Upsample(Layer):
    """Larger images: every pixel becomes a block of its copies, or lies between its neighbours.

    With ``mode="nearest"``::

        y[c, i, j] = x[c, i // s, j // s]
        dE/dx[c, i, j] = sum over u, v < s of dE/dy[c, s i + u, s j + v]

    With ``mode="bilinear"`` an output at (i, j) lies at (r_i, r_j) of the input, and is the mean of
    the four pixels around by how near they are::

        y[c, i, j] = sum over m, n of A[i, m] B[j, n] x[c, m, n]
        dE/dx[c, m, n] = sum over i, j of A[i, m] B[j, n] dE/dy[c, i, j]

    where ``A[i, m] = max(0, 1 - |r_i - m|)``, and B is the same of columns. The corners of the
    images lie on each other, ``r_i = (i + 1/2) / s - 1/2``, clipped to the image; with
    `align_corners` the centres of the corner pixels do, ``r_i = i (H - 1) / (s H - 1)``.

    It is what ``torch.nn.Upsample`` computes for whole numbers.

    Parameters
    ----------
    scale_factor : int or pair of int
        Of the height and the width, at least 1; PyTorch takes fractions too.
    mode : str
        ``nearest`` or ``bilinear``.
    align_corners : bool
        For ``bilinear`` alone.

    Raises
    ------
    ArgumentError
        For a setting that is none of these, and at `build` for an input that is no image.
    """

    _reads = ()

    def __init__(
        self,
        scale_factor: int | tuple[int, int],
        mode: str = "nearest",
        align_corners: bool = False,
    ):
        super().__init__()
        self.scale_factor = check_pair(scale_factor, "Upsample: scale_factor", 1)
        if not isinstance(mode, str) or mode not in MODES:
            raise unknown("mode of Upsample", mode, MODES)
        self.mode, self.align_corners = mode, check_flag(align_corners, "Upsample: align_corners")
        if self.align_corners and mode == "nearest":
            raise self.error('align_corners is for mode="bilinear": leave it out with "nearest".')

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input's shape; see :meth:`Layer.setup`."""
        self.needs_images()
        channels, *size = self.input_shape
        if self.mode == "bilinear":
            axes = [self._axis(n, s) for n, s in zip(size, self.scale_factor)]
            (above, rows), (left, columns) = axes
            self._between = above, left, rows, columns
        return channels, size[0] * self.scale_factor[0], size[1] * self.scale_factor[1]

    def _axis(self, n, s):
        """The pixel before each output along an axis, and how far behind it the output is."""
        i = np.arange(n * s)
        place = i * (n - 1) / max(1, n * s - 1) if self.align_corners else (i + 0.5) / s - 0.5
        place = np.clip(place, 0, n - 1)
        low = np.floor(place).astype(np.int64)
        return low, (place - low).astype(self.dtype)

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """The larger images."""
        if self.mode == "bilinear":
            bilinear.bilinear(x, y, *self._between)
        else:
            pool.upsample(x, y, self.scale_factor)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """The sum over each block, or the adjoint of the means."""
        if self.mode == "bilinear":
            bilinear.bilinear_gradient(dy, dx, *self._between)
        else:
            pool.upsample_gradient(dy, dx, self.scale_factor)

    def describe(self) -> str:
        """The scale, and what differs from copies."""
        scale = "x".join(map(str, self.scale_factor))
        words = ["bilinear"] * (self.mode == "bilinear") + ["corners"] * self.align_corners
        return " ".join([scale, *words])


class ZeroPad2d(Layer):
    """Zeros around each image; a negative number cuts rows or columns off instead.

    ::

        y[c, i, j] = x[c, i - top, j - left] where there is such a pixel, else 0
        dE/dx[c, i, j] = dE/dy[c, i + top, j + left] where there is such a pixel, else 0

    It is ``torch.nn.ZeroPad2d``. `Conv2d` and the pooling layers have a padding of their own.

    Parameters
    ----------
    padding : int, pair or four ints
        Of all sides; of top and bottom, and of left and right, as the pair of `Conv2d`; or of
        left, right, top and bottom, as in PyTorch, which reads a pair as left and right alone.
        The attribute `padding` has all four.

    Raises
    ------
    ArgumentError
        For a padding that is none of these, and at `build` for an input that is no image or of
        which nothing is left.
    """

    _reads = ()

    def __init__(self, padding: int | tuple[int, int] | tuple[int, int, int, int]):
        super().__init__()
        self.padding = _check_sides(padding)

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input's shape; see :meth:`Layer.setup`."""
        self.needs_images()
        channels, height, width = self.input_shape
        left, right, top, bottom = self.padding
        height, width = height + top + bottom, width + left + right
        if min(height, width) < 1:
            raise self.error(
                f"the output would be empty: {self.padding} (left, right, top, bottom) cuts off"
                f" all of an image of shape {self.input_shape}. Use less negative numbers."
            )
        return channels, height, width

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """The images in their frames."""
        left, _, top, _ = self.padding
        pad.move(x, y, top, left)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """What stands in the frames' middle."""
        left, _, top, _ = self.padding
        pad.move(dy, dx, -top, -left)

    def describe(self) -> str:
        """The padding: one number if all sides are alike."""
        alike = len(set(self.padding)) == 1
        return str(self.padding[0] if alike else self.padding)


def _check_sides(value):
    """(left, right, top, bottom) of an int, a pair or all four."""
    sides = value if isinstance(value, (tuple, list)) else (value,)
    whole = (isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in sides)
    if len(sides) not in (1, 2, 4) or (len(sides) == 1 and sides is value) or not all(whole):
        raise ArgumentError(
            "ZeroPad2d: padding must be an integer, two (top and bottom, left and right) or four"
            f" (left, right, top, bottom), got {shown(value)}."
        )
    if max(abs(n) for n in sides) > MOST_SIDE:
        raise ArgumentError(f"ZeroPad2d: padding must be at most {MOST_SIDE}, got {shown(value)}.")
    if len(sides) < 4:
        sides = sides[-1], sides[-1], sides[0], sides[0]
    left, right, top, bottom = map(int, sides)
    return left, right, top, bottom
