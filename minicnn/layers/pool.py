"""Pooling: a window of pixels becomes one, its maximum or its mean."""

from typing import Any

import numpy as np

from minicnn.checks import check_flag, check_pair
from minicnn.kernels import general_pool, pool
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context, Shape
from minicnn.layers.shapes import window_output

Pair = int | tuple[int, int]


class _Pool2d(Layer):
    """What both poolings share: the window and where it goes."""

    dilation = (1, 1)

    def _set_window(self, kernel_size, stride, padding, ceil_mode):
        kind = type(self).__name__
        self.kernel_size = check_pair(kernel_size, f"{kind}: kernel_size", 1)
        self.stride = check_pair(kernel_size if stride is None else stride, f"{kind}: stride", 1)
        self.padding = check_pair(padding, f"{kind}: padding", 0)
        self.ceil_mode = check_flag(ceil_mode, f"{kind}: ceil_mode")
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size)):
            raise self.error(
                f"padding {self.padding} is more than half of the window {self.kernel_size}:"
                " some windows would see nothing but padding."
            )

    def setup(self, rng):
        window = self.kernel_size, self.stride, self.padding
        size = window_output(self, *window, self.dilation, self.ceil_mode)
        self._window: Any = window
        # Whether no pixel is in two windows, and all that are in none stand at the end.
        self._apart = self.stride == self.kernel_size and not any(self.padding)
        return (self.input_shape[0], *size)

    def describe(self):
        words = ["x".join(map(str, self.kernel_size))]
        for name, plain in (
            ("stride", self.kernel_size), ("padding", (0, 0)), ("dilation", (1, 1)),
        ):  # fmt: skip
            value = getattr(self, name)
            if value != plain:
                words.append(f"{name} " + "x".join(map(str, value)))
        return " ".join(words + ["ceil"] * self.ceil_mode)


class MaxPool2d(_Pool2d):
    """Maximum over windows; what lies outside the image is minus infinity.

    ::

        y[c, i, j] = max over u, v of x[c, s i + d u - p, s j + d v - p]
        dE/dx = M * upsample(dE/dy)

    M marks the maximum of each window, the first of equals; overlapping windows add. A window
    that holds a NaN has the maximum NaN, and the NaN gets its gradient. The options are those of
    ``torch.nn.MaxPool2d``.

    Parameters
    ----------
    kernel_size, stride, padding : int or pair of int
        Height and width; the stride is the kernel size unless given, and the padding at
        most half of that.
    dilation : int or pair of int
        How far apart a window's pixels are.
    ceil_mode : bool
        Whether a last window may reach beyond the padded image, if it begins before the padding
        behind the image does: the output's size is rounded up instead of down.

    Raises
    ------
    ArgumentError
        For a setting out of range, and at `build` for an input that is no image, too small, or
        so small that a dilated window would see nothing but padding.
    """

    fuses_relu = "input"

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        dilation: Pair = 1,
        ceil_mode: bool = False,
    ):
        super().__init__()
        self.dilation = check_pair(dilation, f"{type(self).__name__}: dilation", 1)
        self._set_window(kernel_size, stride, padding, ceil_mode)

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input's shape; see :meth:`Layer.setup`."""
        shape = super().setup(rng)
        self._dilated = self.dilation != (1, 1)
        self._apart = self._apart and not self._dilated
        axes = zip(self.input_shape[1:], shape[1:], *self._window, self.dilation)
        for n, m, k, s, p, d in axes:
            start = s * np.arange(m) - p
            first = np.maximum(0, -(start // d))  # the first tap that is not before the image
            if np.any((first >= k) | (start + d * first >= n)):
                raise self.error(
                    f"some windows would see nothing but padding: their pixels stand {d} apart,"
                    f" and the input {self.input_shape} is {n} long. Use less padding or dilation."
                )
        return shape

    @property
    def backward_in_place(self) -> str | None:  # type: ignore[override]
        """Windows that lie apart read each pixel of x just before it is written."""
        return "x" if self._apart else None

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """The maxima."""
        if self._dilated:
            general_pool.dilated_max_pool(x, y, *self._window, self.dilation, ctx.relu)
        else:
            pool.max_pool(x, y, *self._window, ctx.relu)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """``dE/dx = M * upsample(dE/dy)``."""
        if self._dilated:
            window = *self._window, self.dilation
            general_pool.dilated_max_pool_gradient(x, y, dy, dx, *window, ctx.relu)
        else:
            pool.max_pool_gradient(x, y, dy, dx, *self._window, ctx.relu, self._apart)


class AvgPool2d(_Pool2d):
    """Mean over windows; what lies outside the image is zero, and is counted.

    ::

        y[c, i, j] = 1 / (kh kw) sum over u, v of x[c, s i + u - p, s j + v - p]
        dE/dx = upsample(dE/dy) / (kh kw)

    With `ceil_mode` or without `count_include_pad` each window has its own count in place of
    ``kh kw``. The options are those of ``torch.nn.AvgPool2d``.

    Parameters
    ----------
    kernel_size, stride, padding, ceil_mode
        As for :class:`MaxPool2d`.
    count_include_pad : bool
        Whether the zeros of the padding count. What a window has beyond the padding, which
        `ceil_mode` allows, never does.

    Raises
    ------
    ArgumentError
        As for :class:`MaxPool2d`.
    """

    _reads = ()

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        super().__init__()
        self._set_window(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = check_flag(
            count_include_pad, f"{type(self).__name__}: count_include_pad"
        )

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input's shape; see :meth:`Layer.setup`."""
        shape = super().setup(rng)
        axes = zip(self.input_shape[1:], shape[1:], *self._window)
        beyond = any(s * (m - 1) + k > n + 2 * p for n, m, k, s, p in axes)
        self._counted = beyond or (any(self.padding) and not self.count_include_pad)
        return shape

    @property
    def has_one_count(self) -> bool:
        """Whether all windows are divided by ``kh kw``; known once the layer is built."""
        return not self._counted

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """The means."""
        if self._counted:
            window = *self._window, self.count_include_pad
            general_pool.counted_average_pool(x, y, *window)
        else:
            pool.average_pool(x, y, *self._window)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """``dE/dx = upsample(dE/dy) / (kh kw)``."""
        if self._counted:
            window = *self._window, self.count_include_pad
            general_pool.counted_average_pool_gradient(dy, dx, *window)
        else:
            pool.average_pool_gradient(dy, dx, *self._window)

    def describe(self) -> str:
        """The window, and what differs from the plain case."""
        apart = any(self.padding) and not self.count_include_pad
        return super().describe() + " uncounted" * apart


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
        self._window, self._counted = (whole, whole, (0, 0)), False
        return self.input_shape[:1]

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """The means."""
        super().forward(x, y[:, :, None, None], ctx)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """``dE/dx = upsample(dE/dy) / (H W)``."""
        super().backward(x, y, dy[:, :, None, None], dx, ctx)

    def describe(self) -> str:
        """Nothing: there are no settings."""
        return ""


class GlobalMaxPool2d(MaxPool2d):
    """Maximum over the whole image: ``(C, H, W)`` becomes ``(C,)``.

    ``y[c] = max over i, j of x[c, i, j]``; the first of equals, row by row, gets the gradient.
    PyTorch's is ``AdaptiveMaxPool2d(1)`` followed by ``Flatten()``.

    Raises
    ------
    ArgumentError
        At `build`, for an input that is no image.
    """

    def __init__(self):
        super().__init__(1)

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input's shape; see :meth:`Layer.setup`."""
        self.needs_images()
        whole = self.input_shape[1:]
        self._window, self._apart, self._dilated = (whole, whole, (0, 0)), True, False
        return self.input_shape[:1]

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """The maxima."""
        super().forward(x, y[:, :, None, None], ctx)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """``dE/dx = M * upsample(dE/dy)``."""
        super().backward(x, y[:, :, None, None], dy[:, :, None, None], dx, ctx)

    def describe(self) -> str:
        """Nothing: there are no settings."""
        return ""
