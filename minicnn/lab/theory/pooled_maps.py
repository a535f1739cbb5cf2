"""Fields through pooling: exact for means over samples, by one fixed simulation for maxima.

Average pooling is linear: the products of two positions, mean over the samples, pass it exactly.
How they are spread over samples is not known from means, and scaled from the input by one factor a
window, both ways; forwards :mod:`minicnn.lab.theory.positions` has it exactly.

The maximum of correlated numbers has no closed form beyond two of them. The images are
replaced by draws of a Gaussian field that has the same mean products of positions, within a
sample and between two; its winners are counted. The seed is fixed and the same draws give
numerator and denominator of each ratio, whose error is then below one per cent of a layer's mean
over windows. What remains is approximate: samples of one batch differ in their correlations.

For the package itself: it checks nothing of what it is handed.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from minicnn.lab.theory.maps import Field, diagonal, shaped
from minicnn.lab.theory.moments import Moments
from minicnn.lab.theory.positions import Products, Windows, members
from minicnn.lab.theory.products import Copies
from minicnn.layers import AvgPool2d, Conv2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d, Upsample

DRAWS = 512  # pairs of images


def windows(layer: Conv2d | AvgPool2d | MaxPool2d) -> np.ndarray:
    """Flat input positions of each output's window, shape (P_out, k); -1 is padding."""
    _, height, width = layer.input_shape
    if isinstance(layer, (GlobalAvgPool2d, GlobalMaxPool2d)):
        return np.arange(height * width)[None]
    (kh, kw), (sh, sw), (ph, pw) = layer.kernel_size, layer.stride, layer.padding
    dh, dw = layer.dilation
    i, j = np.indices(layer.output_shape[1:]).reshape(2, -1, 1)
    u, v = np.indices((kh, kw)).reshape(2, 1, -1)
    rows, columns = sh * i + dh * u - ph, sw * j + dw * v - pw
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return np.where(inside, rows * width + columns, -1)


def membership(places: np.ndarray, pixels: int) -> np.ndarray:
    """Which position lies in which window, 0 or 1, shape (P_out, P)."""
    member = np.zeros((len(places), pixels))
    output, tap = np.nonzero(places >= 0)
    member[output, places[output, tap]] = 1
    return member


class AveragePooling:
    """Average pooling of fields, both ways, from a layer and the field of its input."""

    def __init__(self, layer: AvgPool2d | Upsample, field: Field):
        self._layer: Any = layer
        self._size, self._out = field.size, layer.output_shape[1:] or (1, 1)
        self._same = field.matrices[0]
        self._matrix = self._weights(field.pixels)

    def _weights(self, pixels):
        places = windows(self._layer)
        return membership(places, pixels) / places.shape[1]

    def products(self, source: Products) -> Products:
        """Products of two positions of the means, from those of the input."""
        kernel_size, stride, _ = window = self._layer._window
        seen = [
            members(n, count, step, border, 1, np.arange(taps))
            for n, count, taps, step, border in zip(self._size, self._out, *window)
        ]
        return Windows(source, seen, stride, 1 / np.prod(kernel_size) ** 2, weighted=False)

    def mean(self, mean: npt.ArrayLike) -> np.ndarray:
        """E[y] from E[x], a number or of shape (N, H, W)."""
        mean = np.broadcast_to(mean, (*(np.shape(mean)[:-2] or (1,)), *self._size))
        flat = mean.reshape(len(mean), -1) @ self._matrix.T
        return flat.reshape(-1, *self._out)

    def forward(self, field: Field) -> Field:
        """The field of the means."""
        return _through(field, self._matrix, self._out)

    def backward(self, field: Field) -> Field:
        """The field of dE/dx from that of dE/dy."""
        return _through(field, self._matrix.T, self._size)

    def aligned(self, share: np.ndarray) -> np.ndarray:
        """How much of x is in dE/dx, from how much of y is in dE/dy, by sample and position."""
        input_ = self._same / np.maximum(np.diag(self._same), 1e-300)
        shares = share.reshape(len(share), -1) @ (self._matrix * (self._matrix @ input_))
        return shares.reshape(-1, *self._size)


class Upsampling(AveragePooling):
    """Copies of pixels: exact forwards; back, sums of blocks are shared out as means are."""

    def _weights(self, pixels):
        rows, columns = (i // s for i, s in zip(np.indices(self._out), self._layer.scale_factor))
        return membership((rows * self._size[1] + columns).reshape(-1, 1), pixels)

    def products(self, source: Products) -> Products:
        """Products of two positions of the copies, from those of the input."""
        return Copies(source, self._out, self._layer.scale_factor)


class MaxPooling:
    """Max pooling of fields, both ways, after an activation.

    Parameters
    ----------
    layer : MaxPool2d
    field, before : Field
        Of its input, and of the Gaussian numbers z that the activation has made the input of.
    moments : Moments
        Of the activation.
    draws : ndarray, shape (DRAWS, 2, H W), optional
        Of the input, from the max pooling right before this one, instead of those two.
    """

    def __init__(
        self,
        layer: MaxPool2d,
        field: Field,
        before: Field,
        moments: Moments,
        draws: np.ndarray | None = None,
    ):
        self._out, self._input = layer.output_shape[1:] or (1, 1), field
        places = windows(layer)
        self._member = membership(places, field.pixels)
        self._z = z = _draw(before) if draws is None else draws
        x = moments.value(z)
        inside = np.where(places < 0, -np.inf, x[..., places])
        winner = inside.argmax(-1)
        self._x, self.draws = x, np.take_along_axis(inside, winner[..., None], -1)[..., 0]
        won = places[np.arange(len(places)), winner]
        self._wins, self._slopes = np.zeros_like(x), moments.derivative(z)
        draw, image, _ = np.ogrid[: len(x), :2, :1]
        np.add.at(self._wins, (draw, image, won), 1)

    def forward(self) -> Field:
        """The field of the maxima."""
        x, y, member = self._x, self.draws, self._member
        share = member / member.sum(1, keepdims=True)
        square = np.mean(y * y, (0, 1))
        grown = _ratio(square, share @ np.mean(x * x, (0, 1)))
        common = _ratio(share @ np.mean(x[:, 0] * x[:, 1], 0), share @ np.mean(x * x, (0, 1)))
        kept = _ratio(np.mean(y[:, 0] * y[:, 1], 0), square)
        pairs = _over_positions(self._input.pairs, share.T)
        root = np.sqrt(np.maximum(diagonal(pairs), 0))
        size = root[:, None] * root
        # The correlation of maxima is taken as linear in that of the inputs, between the
        # simulated pair and 1.
        slope = _ratio(1 - kept, 1 - common)
        rho = kept + (_ratio(pairs, size) - common) * slope
        pairs = grown * size * np.clip(rho, -1, 1)
        scale = np.sqrt(_ratio(diagonal(pairs).mean(0), square))
        same, cross = (part * scale[:, None] * scale for part in _both(y))
        return shaped(self._out, pairs, same, cross)

    def mean(self, field: Field) -> np.ndarray:
        """E[y] by sample and position, of the size that the field of the maxima has."""
        share = _ratio(np.mean(self.draws, (0, 1)), np.sqrt(np.mean(self.draws**2, (0, 1))))
        return share.reshape(field.size) * np.sqrt(np.maximum(field.map, 0))

    def backward(self, field: Field) -> tuple[Field, Field]:
        """The field of dE/dx from that of dE/dy, and that of dE/dz before the activation."""
        return self._routed(field, 1.0), self._routed(field, self._slopes)

    def aligned(self, share: np.ndarray) -> tuple[np.ndarray, ...]:
        """How much of x is in dE/dx and of z in dE/dz, from how much of y is in dE/dy.

        All by sample and position.
        """
        spread = share.reshape(len(share), -1) @ self._member / np.maximum(self._member.sum(0), 1)
        x, z = self._x, self._z
        parts = [(x * x, x * x), (z * x * self._slopes, z * z)]
        kept = [_ratio(np.mean(self._wins * a, (0, 1)), np.mean(b, (0, 1))) for a, b in parts]
        return tuple((spread * part).reshape(-1, *self._input.size) for part in kept)

    def _routed(self, field, slopes):
        member = self._member
        gates = self._wins * slopes / np.maximum(member.sum(0), 1)
        both, between = _both(gates)
        given, its = field.matrices
        same, cross = member.T @ given @ member * both, member.T @ its @ member * between
        # Windows that overlap have independent gradients, so that their squares add.
        squares = np.mean(gates * slopes, (0, 1))
        np.fill_diagonal(same, squares * (member.T @ np.diag(given)))
        pairs = _over_positions(field.pairs, member)
        return _assembled(pairs, squares, np.diag(between), same, cross, self._input.size)


def _through(field, matrix, size):
    """``x -> matrix x``: the pairs by their sums over windows, scaled to the means."""
    windows = (matrix > 0).astype(float)
    sums = [windows @ np.diag(part) for part in field.matrices]
    same, cross = (matrix @ part @ matrix.T for part in field.matrices)
    alone = _ratio(np.diag(same), sums[0])
    # Where two samples have nothing in common, there is nothing to scale by.
    clear = np.abs(sums[1]) > 1e-3 * np.abs(sums[0])
    between = np.where(clear, _ratio(np.diag(cross), sums[1]), alone)
    return _assembled(_over_positions(field.pairs, windows.T), alone, between, same, cross, size)


def _draw(field):
    """Draws of two images with a field's mean products, shape (DRAWS, 2, P)."""
    same, cross = field.matrices
    rng = np.random.default_rng(0)
    common, alone = _root(cross), _root(same - cross)
    shared = rng.standard_normal((DRAWS, 1, len(same)))
    return shared @ common + rng.standard_normal((DRAWS, 2, len(same))) @ alone


def _root(matrix):
    """Symmetric square root; directions below 0, from few samples, count as 0."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _both(x):
    """Products of two positions in draws (DRAWS, 2, P): within an image, and between the two."""
    first, second, between = (x[:, a].T @ x[:, b] / len(x) for a, b in ((0, 0), (1, 1), (0, 1)))
    first, second, between = ((mean + mean.T) / 2 for mean in (first, second, between))
    return (first + second) / 2, between


def _over_positions(pairs, matrix):
    """``(N, N, H, W)`` times a matrix over positions."""
    n = len(pairs)
    return (pairs.reshape(n * n, -1) @ matrix).reshape(n, n, -1)


def _ratio(a, b):
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), b)
    return np.divide(a, b, out=np.zeros(a.shape), where=b != 0)


def _assembled(pairs, alone, between, same, cross, size):
    """A field of pairs times a factor of each position, one for a sample and one for two."""
    found = pairs * between
    diagonal(found)[...] = diagonal(pairs) * alone
    return shaped(size, found, same, cross)
