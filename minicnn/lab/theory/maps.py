"""Second moments of signals over samples, positions and pairs of them, and how they pass layers.

What is kept of a signal x, whose channels are alike in expectation, is a :class:`Field`: the
expectations, over weights, of products of two of its numbers in one channel.

Weights that are independent, of mean 0 and second moment v make ``E[z z']`` a plain sum: n_in v
times the mean over channels of ``E[x x']``, summed over the taps of the kernel. Products of
two samples at *one* position stay at one position, so they are kept for every pair of samples
and are exact; so is the zero border, which adds nothing. Products of *two* positions are kept
as means over samples, which pooling, batch normalization and the intervals need.

For the package itself: it checks nothing of what it is handed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from minicnn.errors import ArgumentError

MAX_PIXELS = 4096  # of an image: products of two positions are kept, pixels squared


@dataclass(frozen=True)
class Field:
    """Second moments of a signal, or of its gradient, as means over the channels.

    Attributes
    ----------
    pairs : ndarray, shape (N, N, H, W)
        E[x_n x_m] at one position, for all pairs of samples; a vector is a 1×1 image, and a
        flattened image stays one.
    same : ndarray, shape (H, W, H, W)
        E[x_p x_q] at two positions of one sample, mean over the samples.
    cross : ndarray, shape (H, W, H, W)
        The same at positions of two different samples.
    """

    pairs: np.ndarray
    same: np.ndarray
    cross: np.ndarray

    @property
    def map(self) -> np.ndarray:
        """E[x²] by sample and position, shape (N, H, W)."""
        return np.moveaxis(np.diagonal(self.pairs, axis1=0, axis2=1), -1, 0)

    @property
    def moment(self) -> float:
        """E[x²], the mean over samples and positions."""
        return float(self.map.mean())

    @property
    def samples(self) -> int:
        """N."""
        return len(self.pairs)

    @property
    def size(self) -> tuple[int, ...]:
        """(H, W)."""
        return self.pairs.shape[2:]

    def scaled(self, factor: float) -> "Field":
        """The field of ``√factor x``."""
        return Field(self.pairs * factor, self.same * factor, self.cross * factor)

    def plus(self, other: "Field") -> "Field":
        """The field of a sum with an independent signal of mean 0."""
        return Field(self.pairs + other.pairs, self.same + other.same, self.cross + other.cross)

    def with_pairs(self, pairs: np.ndarray) -> "Field":
        """The field with other products of samples, to whose size that of positions is scaled."""
        n, index = self.samples, np.arange(self.samples)
        own = pairs[index, index].mean(0)
        root = np.sqrt(_over(own, np.einsum("hwhw->hw", self.same)))
        scale = root[:, :, None, None] * root
        same, cross = self.same * scale, self.cross * scale
        pixels = own.size
        np.fill_diagonal(same.reshape(pixels, -1), own)
        between = (pairs.sum((0, 1)) - n * own) / (n * (n - 1)) if n > 1 else own
        np.fill_diagonal(cross.reshape(pixels, -1), between)
        return Field(pairs, same, cross)

    def with_map(self, squares: np.ndarray) -> "Field":
        """The field whose numbers are scaled to these second moments, shape (N, H, W)."""
        root, size = np.sqrt(_over(squares, self.map)), np.sqrt(squares)
        most = size[:, None] * size
        pairs = np.clip(self.pairs * root[:, None] * root, -most, most)
        index = np.arange(self.samples)
        pairs[index, index] = squares
        return self.with_pairs(pairs)

    def dropped(self, p: float) -> "Field":
        """The field behind dropout: each number is 0 with probability p, else over 1 - p."""
        keep = 1 / (1 - p)
        pairs, same = self.pairs.copy(), self.same.copy()
        index = np.arange(self.samples)
        pairs[index, index] *= keep
        flat = same.reshape(np.prod(self.size), -1)
        flat[np.diag_indices(len(flat))] *= keep
        return replace(self, pairs=pairs, same=same)

    def mean_square_of_sum(self) -> float:
        """E of the squared mean over all samples and positions, of one channel."""
        n = self.samples
        return float((self.same.mean() + (n - 1) * self.cross.mean()) / n)

    def centred(self) -> "Field":
        """The field less each channel's mean over samples and positions, as batch norm takes it.

        How the products with that mean fall off over positions is taken as alike for samples.
        """
        rows, each, whole = self.with_mean()
        both = rows[:, :, None, None] + rows - whole
        pairs = self.pairs - each[:, None] - each + whole
        index = np.arange(self.samples)
        pairs[index, index] = np.maximum(pairs[index, index], 0)
        same = self.same - both
        flat = same.reshape(rows.size, -1)
        np.fill_diagonal(flat, np.maximum(np.diag(flat), 0))
        return Field(pairs, same, self.cross - both)

    def with_mean(self) -> tuple[np.ndarray, np.ndarray, float]:
        """E[x μ], μ a channel's mean over samples and positions.

        Returns
        -------
        rows : ndarray, shape (H, W)
            Mean over samples.
        each : ndarray, shape (N, H, W)
        whole : float
            E[μ²].
        """
        n = self.samples
        rows = (self.same.mean((2, 3)) + (n - 1) * self.cross.mean((2, 3))) / n
        of_sample = self.pairs.mean(1)
        usual = of_sample.mean(0)
        each = of_sample * np.divide(rows, usual, out=np.zeros_like(rows), where=usual > 0)
        return rows, each, float(rows.mean())


def from_images(images: npt.ArrayLike) -> Field:
    """The field of given images: their own products, mean over channels.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W) or (N, F)
        As the model gets them, at least one.

    Raises
    ------
    ArgumentError
        For another shape, or images of more than MAX_PIXELS pixels.
    """
    images = np.asarray(images, np.float64)
    if images.ndim == 2:
        images = images[:, :, None, None]
    if images.ndim != 4 or not images.size:
        raise ArgumentError(
            f"the theory needs images (N, C, H, W) or vectors (N, F), got shape {images.shape}."
        )
    n, channels, height, width = images.shape
    if height * width > MAX_PIXELS:
        raise ArgumentError(
            f"the theory keeps products of all pairs of pixels, for at most {MAX_PIXELS} pixels;"
            f" got {height}x{width}: scale the images down for it."
        )
    by_position = images.transpose(2, 3, 0, 1)
    pairs = (by_position @ by_position.swapaxes(2, 3)).transpose(2, 3, 0, 1) / channels
    shape, rows = (height, width) * 2, images.reshape(n * channels, -1)
    same = rows.T @ rows / (n * channels)
    sums = images.sum(0).reshape(channels, -1)
    cross = same if n == 1 else (sums.T @ sums / channels - n * same) / (n * (n - 1))
    return Field(pairs, same.reshape(shape), cross.reshape(shape))


def window_sums(
    array: np.ndarray,
    taps: np.ndarray,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    size: Sequence[int],
    axes: Sequence[int] = (-2, -1),
) -> np.ndarray:
    """Sum over a kernel's taps with a border of zeros; what E[z²] is made of E[x²] by.

    Parameters
    ----------
    array : ndarray
    taps : ndarray, shape (kh, kw)
        What each tap counts: the sum over input channels of its E[w²].
    stride, padding, dilation : pair of int
    size : pair of int
        Height and width of the result.
    axes : tuple of int
        Which axes are (height, width), or two such pairs that are moved together.

    Returns
    -------
    ndarray
    """
    padded = np.pad(array, _borders(array.ndim, axes, padding))
    shape = list(array.shape)
    for number, axis in enumerate(axes):
        shape[axis] = size[number % 2]
    total = np.zeros(shape)
    for tap, index in _taps(taps, array.ndim, stride, dilation, size, axes):
        total += tap * padded[index]
    return total


def spread_sums(
    array: np.ndarray,
    taps: np.ndarray,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    size: Sequence[int],
    axes: Sequence[int] = (-2, -1),
) -> np.ndarray:
    """The adjoint of `window_sums`: what E[dE/dx²] is made of E[dE/dz²] by; `size` is x's."""
    shape = list(array.shape)
    for number, axis in enumerate(axes):
        shape[axis] = size[number % 2] + 2 * padding[number % 2]
    total = np.zeros(shape)
    given = [array.shape[axes[0]], array.shape[axes[1]]]
    for tap, index in _taps(taps, array.ndim, stride, dilation, given, axes):
        total[index] += tap * array
    inside = [slice(None)] * array.ndim
    for number, axis in enumerate(axes):
        inside[axis] = slice(padding[number % 2], padding[number % 2] + size[number % 2])
    return total[tuple(inside)]


def through_windows(field: Field, sums: Callable[..., np.ndarray], *window: Any) -> Field:
    """A field through `window_sums` or `spread_sums`, with their arguments."""
    pair = (0, 1, 2, 3)
    return Field(
        sums(field.pairs, *window),
        sums(field.same, *window, axes=pair),
        sums(field.cross, *window, axes=pair),
    )


def box_factor(size: Sequence[int], kernel_size: Sequence[int], padding: Sequence[int]) -> float:
    """Share of a kernel's taps that see the image, mean over positions, at stride 1.

    It is the factor by which zero padding lowers E[z²], once; .819 for 3×3 'same' at 7×7.
    """
    kh, kw = kernel_size
    out = [n + 2 * p - k + 1 for n, p, k in zip(size, padding, kernel_size)]
    taps = np.full((kh, kw), 1 / (kh * kw))
    return float(window_sums(np.ones(size), taps, (1, 1), padding, (1, 1), out).mean())


def asymptotic_box_factor(size: Sequence[int], kernel_size: Sequence[int]) -> float:
    """The factor a layer that zero padding tends to over many layers of one size.

    The largest eigenvalue of the box filter with zero border, a product over the two axes;
    ``(1 + 2 cos(π / (n + 1))) / 3`` for three taps on n pixels: .901 at 7×7, .992 at 28×28.

    Raises
    ------
    ArgumentError
        For a kernel with an even side.
    """
    if any(k % 2 == 0 for k in kernel_size):
        raise ArgumentError(f"a kernel that keeps the size has odd sides, got {kernel_size}.")
    factor = 1.0
    for n, k in zip(size, kernel_size):
        distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
        factor *= np.linalg.eigvalsh((distance <= k // 2) / k)[-1]
    return float(factor)


def _over(a, b):
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


def _borders(ndim, axes, padding):
    borders = [(0, 0)] * ndim
    for number, axis in enumerate(axes):
        borders[axis] = (padding[number % 2],) * 2
    return borders


def _taps(taps, ndim, stride, dilation, size, axes):
    """Each tap that counts, and where its input lies in the padded array."""
    for offset in np.argwhere(taps):
        index = [slice(None)] * ndim
        for number, axis in enumerate(axes):
            d, s, n = (setting[number % 2] for setting in (dilation, stride, size))
            start = d * offset[number % 2]
            index[axis] = slice(start, start + s * (n - 1) + 1, s)
        yield taps[tuple(offset)], tuple(index)
