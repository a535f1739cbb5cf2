"""Moments of activations: what σ makes of a Gaussian number, and of two.

For z of N(mean, q) there are E[σ(z)], E[σ(z)²] and E[σ'(z)²]; for two numbers of mean 0 with
second moments q, q' and covariance c there are E[σ(z) σ(z')] and E[σ'(z) σ'(z')]. They say how
second moments pass an activation forwards (He et al., ICCV 2015) and backwards (Schoenholz
et al., *Deep information propagation*, ICLR 2017, arXiv 1611.01232).

The ReLU family has closed forms (Cho & Saul, *Kernel methods for deep learning*, NIPS 2009).
All others are integrated numerically: over one number by Gauss-Legendre quadrature against the
normal density on either side of their kinks, as z = 0 of ELU and SELU, which would cost
Gauss-Hermite quadrature its digits; over two by the expansion in Hermite polynomials, in which
``E[f(z) f(z')]`` is the sum over k of ``f_k(q) f_k(q') rho^k`` with ``rho = c / √(q q')``. For
strong correlations of saturated units the sum is too short, and
:mod:`minicnn.lab.theory.saturation` integrates, for means of 0. The expansion's quadrature is cut
at z = 0 only: for slopes that jump elsewhere, of ReLU6, Hardsigmoid and Hardswish, and of Softplus
with a low threshold, E[σ'(z) σ'(z')] may be off by 0.6 % for q up to 2 and 5 % up to 100.

For the package itself: it checks nothing of what it is handed.
"""

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from minicnn.errors import ArgumentError
from minicnn.kernels.activation import LOOPS
from minicnn.lab.theory.saturation import expectation
from minicnn.layers import Activation, Identity, Layer, LeakyReLU, LogSoftmax, PReLU, ReLU, Softmax

Array = np.ndarray | float
Parts = Iterable[np.ndarray]

NODES = 96  # on either side of the kink
REACH = 9.0  # standard deviations; what lies beyond has a probability of 1e-19
STEP = 1e-3  # relative, of difference quotients
FAR = 38.0  # where the normal density is 0 in float64
ORDERS = 24  # Hermite polynomials; what is left over counts as one more order
BENDS = {"relu6": (0.0, 6.0), "hardsigmoid": (-3.0, 3.0), "hardswish": (-3.0, 3.0)}  # others: 0
SHORT = 1e-5  # relative, of a series: what it may lack at most, several times what it does


def moments_of(layer: Layer) -> "Moments":
    """The moments of an activation layer, built or not; of a PReLU with the slope it starts from.

    Raises
    ------
    ArgumentError
        If it is no activation.
    """
    if isinstance(layer, Identity):
        return LeakyMoments(1.0)
    if isinstance(layer, ReLU):
        return LeakyMoments(0.0)
    if isinstance(layer, PReLU):
        return LeakyMoments(layer.slope)
    if isinstance(layer, LeakyReLU):
        return LeakyMoments(layer.alpha)
    if isinstance(layer, Activation) and layer.function in LOOPS:
        return Moments(layer.function, layer.alpha)
    if isinstance(layer, (Softmax, LogSoftmax)):
        raise ArgumentError(
            f"the theory promises nothing of {type(layer).__name__}: each of its outputs hangs on"
            " several Gaussian numbers."
        )
    raise ArgumentError(
        f"the theory knows the moments of activations only, got {type(layer).__name__}: derive"
        " it from Activation with a function of minicnn.kernels.activation.LOOPS."
    )


class Moments:
    """By quadrature, for a function of :data:`minicnn.kernels.activation.LOOPS` by its name."""

    def __init__(self, function: str, alpha: float | tuple[float, ...] = 0.0):
        self.function, self.bends = function, BENDS.get(function, (0.0,))
        self.alpha: Any = alpha

    def value(self, z: Array) -> np.ndarray:
        """σ(z), elementwise, float64."""
        return self._loop(z)[0]

    def derivative(self, z: Array) -> np.ndarray:
        """σ'(z), elementwise, float64."""
        return self._loop(z)[1]

    def mean(self, q: Array, mean: Array = 0.0) -> np.ndarray:
        """E[σ(z)] for z of N(mean, q); arrays broadcast."""
        return _integral(self.value, q, mean, self.bends)

    def second(self, q: Array, mean: Array = 0.0) -> np.ndarray:
        """E[σ(z)²] for z of N(mean, q)."""
        return _integral(lambda z: self.value(z) ** 2, q, mean, self.bends)

    def slope(self, q: Array, mean: Array = 0.0) -> np.ndarray:
        """E[σ'(z)²] for z of N(mean, q): chi, what a gradient's second moment is multiplied by."""
        return _integral(lambda z: self.derivative(z) ** 2, q, mean, self.bends)

    def kernel(
        self, q: Array, other: Array, covariance: Array, mean: Array = 0.0, other_mean: Array = 0.0
    ) -> np.ndarray:
        """E[σ(z) σ(z')] for two Gaussians, of variances `q` and `other`; means of 0 by default.

        Shapes of means broadcast to those of the variances, and these to that of the covariance.
        """
        return self._pair(q, other, covariance, mean, other_mean)

    def expansion(self, q: Array, mean: Array = 0.0) -> list[np.ndarray]:
        """What `product` needs of one number, a list of arrays like q."""
        return coefficients(self.value, q, mean)

    def product(self, left: Parts, right: Parts, rho: np.ndarray) -> np.ndarray:
        """`kernel` by both expansions and the correlation, ``sum over k of f_k(q) f_k(q') rho^k``.

        Arrays broadcast.
        """
        total, power = np.zeros_like(rho), np.ones_like(rho)
        for mine, its in zip(left, right):
            total += mine * its * power
            power *= rho
        return total

    def slope_kernel(
        self, q: Array, other: Array, covariance: Array, mean: Array = 0.0, other_mean: Array = 0.0
    ) -> np.ndarray:
        """E[σ'(z) σ'(z')] for two Gaussians; arguments as for `kernel`."""
        return self._pair(q, other, covariance, mean, other_mean, slopes=True)

    def elasticity(self, q: float) -> float:
        """d log E[σ(z)²] / d log q: what becomes of a small relative change of q."""
        return _log_slope(self.second, q)

    def slope_elasticity(self, q: float) -> float:
        """d log E[σ'(z)²] / d log q."""
        return _log_slope(self.slope, q)

    def growth(self, q: Array) -> np.ndarray:
        """d E[σ(z)²] / dq, elementwise, which is E[z σ(z) σ'(z)] / q; 0 where q is 0."""
        q = np.asarray(q, np.float64)
        change = self.second(q * (1 + STEP)) - self.second(q * (1 - STEP))
        return np.divide(change, 2 * STEP * q, out=np.zeros_like(q), where=q > 0)

    def square_spectrum(self, q: float) -> np.ndarray:
        """Shares of σ(z)² in the Hermite polynomials, ``f_k(q)² / f_0(q)²`` for k = 1, 2, ...

        The covariance of σ(z)² and σ(z')², over the product of their means, is the sum over k
        of these times ``rho^k``: it says how much the mean square of a unit varies.
        """
        return _shares(lambda z: self.value(z) ** 2, q)

    def slope_spectrum(self, q: float) -> np.ndarray:
        """The same of σ'(z)²."""
        return _shares(lambda z: self.derivative(z) ** 2, q)

    def _pair(self, q, other, covariance, mean, other_mean, slopes=False):
        function, rho = self.derivative if slopes else self.value, correlation(q, other, covariance)
        left, right = coefficients(function, q, mean), coefficients(function, other, other_mean)
        total = self.product(left, right, rho)
        if not (np.any(mean) or np.any(other_mean)):
            missing = np.abs(left[-1] * right[-1] * rho ** (ORDERS + 1))
            short = (missing > SHORT * np.abs(total)) & (np.abs(rho) < 1)
            if short.any():
                size, its = (np.broadcast_to(array, rho.shape)[short] for array in (q, other))
                total[short] = expectation(function, size, its, rho[short])
        return total

    def _loop(self, z):
        z = np.ascontiguousarray(z, np.float64)
        flat, ones = z.reshape(1, 1, -1), np.ones((1, 1, z.size))
        a, slope = np.empty_like(flat), np.empty_like(flat)
        alpha = np.atleast_1d(np.array(self.alpha, np.float64))
        forward, backward = LOOPS[self.function]
        forward(flat, a, alpha)
        backward(flat, a, ones, slope, alpha)
        return a.reshape(z.shape), slope.reshape(z.shape)


class LeakyMoments(Moments):
    """Closed forms for ``σ(z) = z`` above 0 and ``a z`` below: ReLU's a is 0, identity's 1.

    ``σ(z) = (1 + a)/2 z + (1 - a)/2 |z|``, and for correlation rho

        E[|z| |z'|] = 2/π √(q q') (√(1 - rho²) + rho arcsin rho)

    Parameters
    ----------
    slope : float
        a.
    """

    def __init__(self, slope: float):
        super().__init__("leaky-relu", slope)
        self._linear, self._folded = (1 + self.alpha) / 2, (1 - self.alpha) / 2

    def mean(self, q: Array, mean: Array = 0.0) -> np.ndarray:
        """``(1 + a)/2 mean + (1 - a)/2 E|z|``."""
        std, density, below = _at_zero(q, mean)
        return self._linear * mean + self._folded * (mean * (1 - 2 * below) + 2 * std * density)

    def second(self, q: Array, mean: Array = 0.0) -> np.ndarray:
        """``E[z²; z > 0] + a² E[z²; z < 0]``; for mean 0 ``(1 + a²) q / 2``."""
        std, density, below = _at_zero(q, mean)
        whole = np.asarray(q) + np.square(mean)
        above = whole * (1 - below) + mean * std * density
        return above + self.alpha**2 * (whole - above)

    def slope(self, q: Array, mean: Array = 0.0) -> np.ndarray:
        """``P(z > 0) + a² P(z < 0)``; for mean 0 ``(1 + a²) / 2``."""
        below = _at_zero(q, mean)[2]
        return (1 - below) + self.alpha**2 * below

    def expansion(self, q: Array, mean: Array = 0.0) -> list[np.ndarray]:
        """The standard deviation alone, for a mean of 0."""
        if np.any(mean):
            return super().expansion(q, mean)
        return [np.sqrt(np.asarray(q, np.float64))]

    def product(self, left: Parts, right: Parts, rho: np.ndarray) -> np.ndarray:
        """Arc-cosine kernel of order 1 where there are standard deviations alone."""
        left, right = list(left), list(right)
        if len(left) > 1:
            return super().product(left, right, rho)
        folded = 2 / math.pi * (np.sqrt(1 - rho * rho) + rho * np.arcsin(rho))
        return left[0] * right[0] * (self._linear**2 * rho + self._folded**2 * folded)

    def _pair(self, q, other, covariance, mean, other_mean, slopes=False):
        """Arc-cosine kernel of order 1, or 0 of slopes, for means of 0."""
        if np.any(mean) or np.any(other_mean):
            return super()._pair(q, other, covariance, mean, other_mean, slopes)
        rho = correlation(q, other, covariance)
        if not slopes:
            return self.product(self.expansion(q), self.expansion(other), rho)
        moving, both = np.asarray(q) > 0, np.asarray(other) > 0
        # Without a signal, z = 0, the derivative is a for certain.
        means = [np.where(there, self._linear, self.alpha) for there in (moving, both)]
        turns = self._folded**2 * 2 / math.pi * np.arcsin(rho)
        return means[0] * means[1] + np.where(moving & both, turns, 0)


def correlation(q: Array, other: Array, covariance: Array) -> np.ndarray:
    """``covariance / √(q other)``, within ±1; 0 where there is no signal."""
    size = np.sqrt(np.asarray(q, np.float64)) * np.sqrt(np.asarray(other, np.float64))
    covariance, size = np.broadcast_arrays(np.asarray(covariance, np.float64), size)
    rho = np.divide(covariance, size, out=np.zeros(size.shape), where=size > 0)
    return np.clip(rho, -1, 1)


def coefficients(
    function: Callable[[np.ndarray], np.ndarray], q: Array, mean: Array = 0.0
) -> list[np.ndarray]:
    """``E[f(mean + √q u) he_k(u)]`` for u of N(0, 1), he_k the orthonormal Hermite polynomials.

    Returns
    -------
    list of ndarray, like q
        k = 0 ... ORDERS; a last one is what makes their squares sum to E[f²].
    """
    q = np.asarray(q, np.float64)
    u, weight = _nodes()
    f = function(np.asarray(mean)[..., None] + np.sqrt(q)[..., None] * u)
    found = [f @ (weight * polynomial) for polynomial in _hermite(u)]
    rest = (f * f) @ weight - sum(part * part for part in found)
    return [*found, np.sqrt(np.maximum(rest, 0))]


def _shares(function, q):
    first, *others = coefficients(function, q)
    return np.array([(part / first) ** 2 if first else 0.0 for part in others])


def _log_slope(function, q):
    q = float(q)
    low, high = function(q * (1 - STEP)), function(q * (1 + STEP))
    if not (q > 0 and low > 0):
        return 0.0
    return float(np.log(high / low) / np.log((1 + STEP) / (1 - STEP)))


def _hermite(u):
    """Orthonormal Hermite polynomials he_0 ... he_ORDERS at `u`."""
    before, now = np.zeros_like(u), np.ones_like(u)
    for k in range(ORDERS + 1):
        yield now
        before, now = now, (u * now - math.sqrt(k) * before) / math.sqrt(k + 1)


def _half_line():
    """Nodes in (0, 1), dense near 0 where large q makes steps steep, and their weights."""
    x, weight = np.polynomial.legendre.leggauss(NODES)
    s = (x + 1) / 2
    return s * s, weight * s  # dt = 2 s ds, and ds = dx / 2


def _nodes():
    """Nodes and weights that integrate over N(0, 1) with a kink at 0."""
    t, weight = _half_line()
    u, weight = REACH * t, REACH * weight * _density(REACH * t)
    return np.concatenate([-u[::-1], u]), np.concatenate([weight[::-1], weight])


def _integral(function, q, mean, bends):
    """E[f(z)] for z of N(mean, q), by quadrature beside and between the bends of f."""
    q, mean = np.broadcast_arrays(np.asarray(q, np.float64), np.asarray(mean, np.float64))
    std, total = np.sqrt(q), np.zeros(q.shape)

    def at(bend):
        place = np.divide(bend - mean, std, out=np.zeros_like(std), where=std > 0)
        return np.clip(place, -REACH, REACH)

    def add(start, length, t, weight):
        u = start[..., None] + length[..., None] * t
        f = function(mean[..., None] + std[..., None] * u)
        total[...] += np.abs(length) * ((f * _density(u)) @ weight)

    for sign, bend in ((-1, at(bends[0])), (1, at(bends[-1]))):
        add(bend, sign * (REACH - sign * bend), *_half_line())
    x, weight = np.polynomial.legendre.leggauss(NODES)
    for low, high in pairwise(map(at, bends)):
        add(low, high - low, (x + 1) / 2, weight / 2)
    return total


def _density(u):
    return np.exp(-u * u / 2) / math.sqrt(2 * math.pi)


def _at_zero(q, mean):
    """Standard deviation, the standard density at z = 0, and P(z < 0)."""
    std = np.sqrt(np.asarray(q, np.float64))
    std, mean = np.broadcast_arrays(std, np.asarray(mean, np.float64))
    certain = np.where(mean > 0, -FAR, FAR)  # z = 0 counts as below, as in the layers
    u = np.divide(-mean, std, out=certain, where=std > 0)
    below = 0.5 * np.vectorize(math.erfc, otypes=[float])(-u / math.sqrt(2))
    return std, _density(np.clip(u, -FAR, FAR)), below
