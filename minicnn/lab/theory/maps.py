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

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
    same, cross : ndarray, shape (H, W, H, W)
        E[x_p x_q] at two positions of one sample, and of two different ones, mean over them.
    """

    pairs: np.ndarray
    same: np.ndarray
    cross: np.ndarray

    @property
    def map(self) -> np.ndarray:
        """E[x²] by sample and position, shape (N, H, W)."""
        return np.moveaxis(np.diagonal(self.pairs, axis1=0, axis2=1), -1, 0)

    @property
    def usual(self) -> np.ndarray:
        """E[x²] by position, as `same` has it, shape (H, W)."""
        return np.einsum("hwhw->hw", self.same)

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

    @property
    def pixels(self) -> int:
        """H W."""
        return int(np.prod(self.size))

    @property
    def matrices(self) -> list[np.ndarray]:
        """`same` and `cross`, shape (H W, H W)."""
        return [array.reshape(self.pixels, -1) for array in (self.same, self.cross)]

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.pairs, self.same, self.cross))

    def scaled(self, factor: float) -> "Field":
        """The field of ``√factor x``."""
        return Field(*(array * factor for array in self))

    def plus(self, other: "Field") -> "Field":
        """The field of a sum with an independent signal of mean 0."""
        return Field(*map(np.add, self, other))

    def with_pairs(self, pairs: np.ndarray) -> "Field":
        """The field with other products of samples, to whose size that of positions is scaled."""
        n, squares = self.samples, diagonal(pairs).mean(0)
        root = np.sqrt(_over(squares, self.usual))
        scale = root[:, :, None, None] * root
        found = Field(pairs, self.same * scale, self.cross * scale)
        between = (pairs.sum((0, 1)) - n * squares) / (n * (n - 1)) if n > 1 else squares
        for matrix, each in zip(found.matrices, (squares, between)):
            np.fill_diagonal(matrix, each)
        return found

    def with_map(self, squares: np.ndarray) -> "Field":
        """The field whose numbers are scaled to these second moments, shape (N, H, W)."""
        root, size = np.sqrt(_over(squares, self.map)), np.sqrt(squares)
        most = size[:, None] * size
        pairs = np.clip(self.pairs * root[:, None] * root, -most, most)
        diagonal(pairs)[...] = squares
        return self.with_pairs(pairs)

    def dropped(self, p: float) -> "Field":
        """The field behind dropout: each number is 0 with probability p, else over 1 - p."""
        found = Field(self.pairs.copy(), self.same.copy(), self.cross)
        for squares in (diagonal(found.pairs), found.usual):
            squares *= 1 / (1 - p)
        return found

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
        found = Field(pairs, self.same - both, self.cross - both)
        for squares in (diagonal(pairs), found.usual):
            np.maximum(squares, 0, out=squares)
        return found

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
        each = of_sample * _over(rows, of_sample.mean(0))
        return rows, each, float(rows.mean())


def shaped(size: Sequence[int], *arrays: Any) -> Field:
    """The field of a size (H, W) from its arrays, of whatever shape their positions are."""
    pairs, same, cross = arrays
    n = len(pairs)
    return Field(
        pairs.reshape(n, n, *size), *(np.reshape(array, (*size, *size)) for array in (same, cross))
    )


def diagonal(pairs: np.ndarray) -> np.ndarray:
    """The products of each sample with itself, a view: shape (N, ...) of (N, N, ...)."""
    return np.einsum("nn...->n...", pairs)


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
    rows, sums = images.reshape(n * channels, -1), images.sum(0).reshape(channels, -1)
    same = rows.T @ rows / (n * channels)
    cross = same if n == 1 else (sums.T @ sums / channels - n * same) / (n * (n - 1))
    return shaped((height, width), pairs, same, cross)


def window_sums(array: np.ndarray, *window: Any, axes: int = 2) -> np.ndarray:
    """Sum over a kernel's taps with a border of zeros; what E[z²] is made of E[x²] by.

    Parameters
    ----------
    array : ndarray, shape (..., H, W) or (..., H, W, H, W)
    *window
        taps, ndarray of shape (kh, kw): what each counts, the sum over input channels of its E[w²];
        stride, padding and dilation, pairs of int, of padding also ((top, bottom), (left, right));
        size, height and width of the result.
    axes : int
        How many of the last axes are (height, width): 2, or 4 that are moved together.
    """
    taps, stride, padding, dilation, size = window
    others, pairs = array.shape[:-axes], axes // 2
    padded = np.pad(array, [(0, 0)] * len(others) + _sides(padding) * pairs)
    total = np.zeros((*others, *tuple(size) * pairs))
    for tap, place in _taps(taps, stride, dilation, size, pairs):
        total += tap * padded[place]
    return total


def spread_sums(array: np.ndarray, *window: Any, axes: int = 2) -> np.ndarray:
    """The adjoint of `window_sums`: what E[dE/dx²] is made of E[dE/dz²] by; size is x's."""
    taps, stride, padding, dilation, size = window
    others, pairs = array.shape[:-axes], axes // 2
    sides = _sides(padding)
    total = np.zeros((*others, *[n + sum(both) for n, both in zip(size, sides)] * pairs))
    for tap, place in _taps(taps, stride, dilation, array.shape[-2:], pairs):
        total[place] += tap * array
    inside: Any = ..., *[slice(p, p + n) for n, (p, _) in zip(size, sides)] * pairs
    return total[inside]


def _sides(padding):
    return [(p, p) if np.ndim(p) == 0 else tuple(p) for p in padding]


def through_windows(field: Field, sums: Callable[..., np.ndarray], *window: Any) -> Field:
    """A field through `window_sums` or `spread_sums`, with their arguments."""
    return Field(*(sums(array, *window, axes=axes) for array, axes in zip(field, (2, 4, 4))))


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


def _taps(taps, stride, dilation, size, pairs):
    """Each tap that counts, and where its input lies in the padded array, by pairs of axes."""
    for offset in np.argwhere(taps):
        starts = dilation * offset
        place = [slice(at, at + s * (n - 1) + 1, s) for at, s, n in zip(starts, stride, size)]
        yield taps[tuple(offset)], (..., *place * pairs)
