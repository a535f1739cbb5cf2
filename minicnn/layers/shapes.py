"""Layers that only change a shape, and the shape that a sliding window leaves."""

import math

import numpy as np

from minicnn.checks import check_flag, check_pair, takes
from minicnn.checks.values import MOST_SIDE
from minicnn.kernels import pool
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context, Shape


@takes(layer=Layer)
def window_output(
    layer: Layer,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: int | tuple[int, int],
    dilation: int | tuple[int, int] = (1, 1),
    ceil_mode: bool = False,
) -> Shape:
    """Output height and width of a sliding window over ``layer.input_shape``.

    ``(H + 2 p - d (k - 1) - 1) // s + 1`` for each of the two axes. With `ceil_mode` the
    fraction is rounded up, unless the last window would begin behind ``H + p``.

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
    stride, padding = check_pair(stride, "stride", 1), check_pair(padding, "padding", 0)
    dilation = check_pair(dilation, "dilation", 1)
    ceil_mode = check_flag(ceil_mode, "ceil_mode")
    axes = zip(layer.input_shape[1:], kernel_size, stride, padding, dilation)
    sizes = []
    for n, k, s, p, d in axes:
        size = (n + 2 * p - d * (k - 1) - 1 + (s - 1) * ceil_mode) // s + 1
        sizes.append(size - (ceil_mode and (size - 1) * s >= n + p))
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
    """``(C, H, W)`` becomes ``(C H W,)``, channel after channel, without a copy."""

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input's shape; see :meth:`Layer.setup`."""
        return (math.prod(self.input_shape),)

    def is_view(self, training: bool) -> bool:
        """Yes."""
        return True


class Upsample(Layer):
    """Nearest-neighbour upsampling: every pixel becomes a block of its copies.

    ::

        y[c, i, j] = x[c, i // s, j // s]
        dE/dx[c, i, j] = sum over u, v < s of dE/dy[c, s i + u, s j + v]

    It is what ``torch.nn.Upsample(scale_factor=s)`` computes.

    Parameters
    ----------
    scale : int or pair of int
        Of the height and the width, at least 1.

    Raises
    ------
    ArgumentError
        For a scale that is no such number, and at `build` for an input that is no image.
    """

    _reads = ()

    def __init__(self, scale: int | tuple[int, int]):
        super().__init__()
        self.scale = check_pair(scale, "Upsample: scale", 1)

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input's shape; see :meth:`Layer.setup`."""
        self.needs_images()
        channels, height, width = self.input_shape
        return channels, height * self.scale[0], width * self.scale[1]

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """The larger images."""
        pool.upsample(x, y, self.scale)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """The sum over each block."""
        pool.upsample_gradient(dy, dx, self.scale)

    def describe(self) -> str:
        """The scale."""
        return "x".join(map(str, self.scale))
