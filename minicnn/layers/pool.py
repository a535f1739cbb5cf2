"""Pooling: a window of pixels becomes one, its maximum or its mean."""

from typing import Any

import numpy as np

from minicnn.checks import check_pair
from minicnn.kernels import pool
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context, Shape
from minicnn.layers.shapes import window_output


class _Pool2d(Layer):
    """What both poolings share: the window and where it goes."""

    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__()
        kind = type(self).__name__
        self.kernel_size = check_pair(kernel_size, f"{kind}: kernel_size", 1)
        self.stride = check_pair(kernel_size if stride is None else stride, f"{kind}: stride", 1)
        self.padding = check_pair(padding, f"{kind}: padding", 0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size)):
            raise self.error(
                f"padding {self.padding} is more than half of the window {self.kernel_size}:"
                " some windows would see nothing but padding."
            )

    def setup(self, rng):
        size = window_output(self, self.kernel_size, self.stride, self.padding)
        self._window: Any = self.kernel_size, self.stride, self.padding
        # Whether no pixel is in two windows, and all that are in none stand at the end.
        self._apart = self.stride == self.kernel_size and not any(self.padding)
        return (self.input_shape[0], *size)

    def describe(self):
        words = ["x".join(map(str, self.kernel_size))]
        if self.stride != self.kernel_size:
            words.append("stride " + "x".join(map(str, self.stride)))
        if any(self.padding):
            words.append("padding " + "x".join(map(str, self.padding)))
        return " ".join(words)


class MaxPool2d(_Pool2d):
    """Maximum over windows; what lies outside the image is minus infinity.

    ::

        y[c, i, j] = max over u, v of x[c, s i + u - p, s j + v - p]
        dE/dx = M * upsample(dE/dy)

    M marks the maximum of each window, the first of equals; overlapping windows add. A window
    that holds a NaN has the maximum NaN, and the NaN gets its gradient.

    Parameters
    ----------
    kernel_size, stride, padding : int or pair of int
        Height and width; the stride is the kernel size unless given, and the padding at
        most half of it.

    Raises
    ------
    ArgumentError
        For a setting out of range, and at `build` for an input that is no image or too
        small.
    """

    fuses_relu = "input"

    @property
    def backward_in_place(self) -> str | None:  # type: ignore[override]
        """Windows that lie apart read each pixel of x just before it is written."""
        return "x" if self._apart else None

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """The maxima."""
        pool.max_pool(x, y, *self._window, ctx.relu)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """``dE/dx = M * upsample(dE/dy)``."""
        pool.max_pool_gradient(x, y, dy, dx, *self._window, ctx.relu, self._apart)


class AvgPool2d(_Pool2d):
    """Mean over windows; what lies outside the image is zero, and is counted.

    ::

        y[c, i, j] = 1 / (kh kw) sum over u, v of x[c, s i + u - p, s j + v - p]
        dE/dx = upsample(dE/dy) / (kh kw)

    Parameters and errors as for :class:`MaxPool2d`.
    """

    _reads = ()

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """The means."""
        pool.average_pool(x, y, *self._window)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """``dE/dx = upsample(dE/dy) / (kh kw)``."""
        pool.average_pool_gradient(dy, dx, *self._window)


class GlobalAvgPool2d(AvgPool2d):
    """Mean over the whole image: ``(C, H, W)`` becomes ``(C,)``.

    ``y[c] = (1 / H W) sum over i, j of x[c, i, j]``. Lin, Chen & Yan, *Network in
    network*, ICLR 2014.
    """

    def __init__(self):
        super().__init__(1)

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input's shape; see :meth:`Layer.setup`."""
        self.needs_images()
        whole = self.input_shape[1:]
        self._window = whole, whole, (0, 0)
        return self.input_shape[:1]

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """The means."""
        pool.average_pool(x, y[:, :, None, None], *self._window)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """``dE/dx = upsample(dE/dy) / (H W)``."""
        pool.average_pool_gradient(dy[:, :, None, None], dx, *self._window)

    def describe(self) -> str:
        """Nothing: there are no settings."""
        return ""
