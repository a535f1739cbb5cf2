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

import numpy as np
import numpy.typing as npt

from minicnn.lab.theory.maps import Field
from minicnn.lab.theory.moments import Moments
from minicnn.lab.theory.positions import Products, Windows, members
from minicnn.lab.theory.products import Copies
from minicnn.layers import AvgPool2d, Conv2d, GlobalAvgPool2d, MaxPool2d, Upsample

DRAWS = 512  # pairs of images


def windows(layer: Conv2d | AvgPool2d | MaxPool2d) -> np.ndarray:
    """Flat input positions of each output's window, shape (P_out, k); -1 is padding."""
    _, height, width = layer.input_shape
    if isinstance(layer, GlobalAvgPool2d):
        return np.arange(height * width)[None]
    (kh, kw), (sh, sw), (ph, pw) = layer.kernel_size, layer.stride, layer.padding
    i, j = np.indices(layer.output_shape[1:]).reshape(2, -1, 1)
    u, v = np.indices((kh, kw)).reshape(2, 1, -1)
    rows, columns = sh * i + u - ph, sw * j + v - pw
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return np.where(inside, rows * width + columns, -1)


def membership(places: np.ndarray, pixels: int) -> np.ndarray:
    """Which position lies in which window, 0 or 1, shape (P_out, P)."""
    member = np.zeros((len(places), pixels))
    output, tap = np.nonzero(places >= 0)
    member[output, places[output, tap]] = 1
    return member


class AveragePooling:
    """Average pooling of fields, both ways.

    Parameters
    ----------
    layer : AvgPool2d or GlobalAvgPool2d
    field : Field
        Of its input.
    """

    def __init__(self, layer: AvgPool2d, field: Field):
        places, self._size = windows(layer), field.size
        self._out, self._window = layer.output_shape[1:] or (1, 1), layer._window
        self._same = field.same.reshape(int(np.prod(field.size)), -1)
        self._matrix = membership(places, int(np.prod(field.size))) / places.shape[1]

    def products(self, source: Products) -> Products:
        """Products of two positions of the means, from those of the input."""
        kernel_size, stride, _ = self._window
        seen = [
            members(n, count, step, border, 1, np.arange(taps))
            for n, count, taps, step, border in zip(self._size, self._out, *self._window)
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
    """Copies of pixels, both ways: exact forwards; back, sums of blocks are shared out as above.

    Parameters
    ----------
    layer : Upsample
    field : Field
        Of its input.
    """

    def __init__(self, layer: Upsample, field: Field):
        self._size, self._out, self._scale = field.size, layer.output_shape[1:], layer.scale
        self._same = field.same.reshape(int(np.prod(field.size)), -1)
        rows, columns = (i // s for i, s in zip(np.indices(self._out), self._scale))
        places = (rows * field.size[1] + columns).reshape(-1, 1)
        self._matrix = membership(places, int(np.prod(field.size)))

    def products(self, source: Products) -> Products:
        """Products of two positions of the copies, from those of the input."""
        return Copies(source, self._out, self._scale)


class MaxPooling:
    """Max pooling of fields, both ways, after an activation.

    Parameters
    ----------
    layer : MaxPool2d
    field : Field
        Of its input.
    before : Field
        Of the Gaussian numbers z that the activation has made the input of.
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
        self._layer, self._input, self._size = layer, field, field.size
        places = windows(layer)
        self._member = membership(places, int(np.prod(field.size)))
        self._z = z = _draw(before) if draws is None else draws
        x = moments.value(z)
        inside = np.where(places < 0, -np.inf, x[..., places])
        winner = inside.argmax(-1)
        self._x, self.draws = x, np.take_along_axis(inside, winner[..., None], -1)[..., 0]
        won = places[np.arange(len(places)), winner]
        wins = np.zeros_like(x)
        rows = np.arange(x[..., 0].size)[:, None]
        np.add.at(wins.reshape(len(rows), -1), (rows, won.reshape(len(rows), -1)), 1)
        self._wins, self._slopes = wins, moments.derivative(z)

    def forward(self) -> Field:
        """The field of the maxima."""
        x, y, member = self._x, self.draws, self._member
        share = member / member.sum(1, keepdims=True)
        square = np.mean(y * y, (0, 1))
        grown = _ratio(square, share @ np.mean(x * x, (0, 1)))
        common = _ratio(share @ np.mean(x[:, 0] * x[:, 1], 0), share @ np.mean(x * x, (0, 1)))
        kept = _ratio(np.mean(y[:, 0] * y[:, 1], 0), square)
        pairs = _over_positions(self._input.pairs, share.T)
        index = np.arange(len(pairs))
        own = np.sqrt(np.maximum(pairs[index, index], 0))
        size = own[:, None] * own
        # The correlation of maxima is taken as linear in that of the inputs, between the
        # simulated pair and 1.
        slope = _ratio(1 - kept, 1 - common)
        rho = kept + (_ratio(pairs, size) - common) * slope
        pairs = grown * size * np.clip(rho, -1, 1)
        scale = np.sqrt(_ratio(pairs[index, index].mean(0), square))
        spatial = [_products(y, 0, 0) + _products(y, 1, 1), 2 * _products(y, 0, 1)]
        same, cross = (part / 2 * scale[:, None] * scale for part in spatial)
        shape = self._layer.output_shape[1:]
        return Field(
            pairs.reshape(*pairs.shape[:2], *shape),
            same.reshape(*shape, *shape),
            cross.reshape(*shape, *shape),
        )

    def mean(self, field: Field) -> np.ndarray:
        """E[y] by sample and position, of the size that the field of the maxima has."""
        share = _ratio(np.mean(self.draws, (0, 1)), np.sqrt(np.mean(self.draws**2, (0, 1))))
        return share.reshape(field.size) * np.sqrt(np.maximum(field.map, 0))

    def backward(self, field: Field) -> tuple[Field, Field]:
        """The field of dE/dx from that of dE/dy, and that of dE/dz before the activation."""
        return self._routed(field, 1.0), self._routed(field, self._slopes)

    def aligned(self, share: np.ndarray) -> tuple[np.ndarray, ...]:
        """How much of x is in dE/dx and of z in dE/dz, from how much of y is in dE/dy.

        Parameters
        ----------
        share : ndarray, shape (N, H_out, W_out)

        Returns
        -------
        tuple of ndarray, shape (N, H, W)
        """
        spread = share.reshape(len(share), -1) @ self._member / np.maximum(self._member.sum(0), 1)
        x, z = self._x, self._z
        parts = [(x * x, x * x), (z * x * self._slopes, z * z)]
        kept = [_ratio(np.mean(self._wins * a, (0, 1)), np.mean(b, (0, 1))) for a, b in parts]
        return tuple((spread * part).reshape(-1, *self._size) for part in kept)

    def _routed(self, field, slopes):
        member = self._member
        covered = np.maximum(member.sum(0), 1)
        gates = self._wins * slopes / covered
        both = (_products(gates, 0, 0) + _products(gates, 1, 1)) / 2
        between = _products(gates, 0, 1)
        outputs = len(member)
        same = member.T @ field.same.reshape(outputs, -1) @ member * both
        cross = member.T @ field.cross.reshape(outputs, -1) @ member * between
        pairs = _over_positions(field.pairs, member)
        # Windows that overlap have independent gradients, so that their squares add.
        own = np.mean(gates * slopes, (0, 1))
        np.fill_diagonal(same, own * (member.T @ np.diag(field.same.reshape(outputs, -1))))
        return _assembled(pairs, own, np.diag(between), same, cross, self._size)


def _through(field, matrix, size):
    """``x -> matrix x``: the pairs by their sums over windows, scaled to the means."""
    same, cross = (a.reshape(matrix.shape[1], -1) for a in (field.same, field.cross))
    windows = (matrix > 0).astype(float)
    sums = [windows @ np.diag(part) for part in (same, cross)]
    same, cross = (matrix @ part @ matrix.T for part in (same, cross))
    own = _ratio(np.diag(same), sums[0])
    # Where two samples have nothing in common, there is nothing to scale by.
    clear = np.abs(sums[1]) > 1e-3 * np.abs(sums[0])
    between = np.where(clear, _ratio(np.diag(cross), sums[1]), own)
    return _assembled(_over_positions(field.pairs, windows.T), own, between, same, cross, size)


def _draw(field):
    """Draws of two images with a field's mean products, shape (DRAWS, 2, P)."""
    pixels = int(np.prod(field.size))
    same, cross = (a.reshape(pixels, pixels) for a in (field.same, field.cross))
    rng = np.random.default_rng(0)
    common, own = _root(cross), _root(same - cross)
    shared = rng.standard_normal((DRAWS, 1, pixels))
    return shared @ common + rng.standard_normal((DRAWS, 2, pixels)) @ own


def _root(matrix):
    """Symmetric square root; directions below 0, from few samples, count as 0."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _products(x, a, b):
    mean = x[:, a].T @ x[:, b] / len(x)
    return (mean + mean.T) / 2


def _over_positions(pairs, matrix):
    """``(N, N, H, W)`` times a matrix over positions."""
    n = len(pairs)
    return (pairs.reshape(n * n, -1) @ matrix).reshape(n, n, -1)


def _ratio(a, b):
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), b)
    return np.divide(a, b, out=np.zeros(a.shape), where=b != 0)


def _assembled(pairs, own, between, same, cross, size):
    """A field of pairs times a factor of each position, one for a sample and one for two."""
    index = np.arange(len(pairs))
    diagonal = pairs[index, index] * own
    pairs = pairs * between
    pairs[index, index] = diagonal
    return Field(
        pairs.reshape(*pairs.shape[:2], *size),
        same.reshape(*size, *size),
        cross.reshape(*size, *size),
    )
