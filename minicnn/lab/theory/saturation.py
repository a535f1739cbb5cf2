"""``E[f(z) f(z')]`` of two Gaussians where a series in Hermite polynomials is too short.

Where a network saturates, σ(z) is a step and σ'(z) a spike beside the spread of z, whose
coefficients fall off slowly. In polar coordinates, ``z = √q r cos t`` and
``z' = √q' r cos(t - θ)`` with θ the arc cosine of the correlation, all that is steep stands at
the rays z = 0 and z' = 0, at which the integral over t is split::

    E[f(z) f(z')] = (1 / 2π) ∫ dt ∫ r exp(-r² / 2) f(z) f(z') dr

Nodes are dense at the rays and at r = 0. For many pairs the integral is computed on a grid of
Chebyshev nodes in log q, log q' and an angle, and interpolated.

For the package itself: it checks nothing of what it is handed.
"""

import functools
import math
from collections.abc import Callable

import numpy as np

REACH = 9.5  # radii; what lies beyond has a probability of 3e-20
RADII, ANGLES = 72, 64  # nodes; of angles on each of the four arcs between the rays
SHARPNESS = 5  # order to which the density of the nodes vanishes at the rays
TURNS, SIZES = 32, 8  # Chebyshev nodes in the angle and, at most for one factor e, in log q
BLOCK = 1 << 11  # pairs that are interpolated at a time


def expectation(
    f: Callable[[np.ndarray], np.ndarray], q: np.ndarray, other: np.ndarray, rho: np.ndarray
) -> np.ndarray:
    """``E[f(z) f(z')]`` for means of 0, pair by pair, shape (P,).

    f is elementwise, float64, and smooth but for z = 0; `q`, `other` and `rho`, of shape (P,), are
    both variances, above 0, and the correlations.
    """
    out = np.empty_like(rho)
    for sign in (1, -1):  # a negative correlation is a positive one of z and -z'
        chosen = rho >= 0 if sign > 0 else rho < 0
        if chosen.any():
            arguments = q[chosen], other[chosen], np.arccos(np.clip(abs(rho[chosen]), 0, 1))
            out[chosen] = _many(f, sign, *arguments)
    return out


def _many(f, sign, q, other, angle):
    sizes = [_Axis(np.log(array), _count) for array in (q, other)]
    width = math.exp(-(np.log(q).mean() + np.log(other).mean()) / 4)  # of a spike, as an angle
    turns = _Axis(np.log(angle + width), lambda _: TURNS)
    if sizes[0].count * sizes[1].count * turns.count >= len(q):
        pairs = zip(q, other, angle)
        return np.array([_integrals(f, sign, [one], [two], a).item() for one, two, a in pairs])
    angles = np.exp(turns.nodes) - width
    left, right = (np.exp(axis.nodes) for axis in sizes)
    grid = np.stack([_integrals(f, sign, left, right, a) for a in angles])
    flat, out = grid.reshape(turns.count, -1), np.empty_like(q)
    for first in range(0, len(q), BLOCK):
        part = slice(first, first + BLOCK)
        left, right, turn = (axis.weights(part) for axis in (*sizes, turns))
        by_size = (turn @ flat).reshape(-1, sizes[0].count, sizes[1].count)
        out[part] = ((by_size * left[:, :, None]).sum(1) * right).sum(1)
    return out


def _count(width):
    return max(1, min(SIZES * math.ceil(width), 40)) if width > 1e-12 else 1


class _Axis:
    """Chebyshev nodes over the range of some numbers, and what each counts at those numbers."""

    def __init__(self, values, count):
        low, high = float(values.min()), float(values.max())
        self.count = count(high - low) if high > low else 1
        self.values, self._middle, self._half = values, (low + high) / 2, (high - low) / 2
        self._angles = (np.arange(self.count) + 0.5) * math.pi / self.count
        self.nodes = self._middle + self._half * np.cos(self._angles)

    def weights(self, part):
        """Lagrange's polynomials of the nodes at a slice of the numbers, by their cosine series."""
        x = np.zeros_like(self.values[part])
        if self.count > 1:
            x = np.clip((self.values[part] - self._middle) / self._half, -1, 1)
        order = np.arange(self.count)
        series = np.cos(np.outer(self._angles, order)) * np.where(order > 0, 2, 1) / self.count
        return np.cos(np.outer(np.arccos(x), order)) @ series.T


def _integrals(f, sign, q, other, angle):
    """Of each q with each other, at one angle; only the factors need f anew."""
    t, arc = _arcs(angle)
    r, radial = _radii()
    z, its = np.outer(r, np.cos(t)).reshape(-1), np.outer(r, np.cos(t - angle)).reshape(-1)
    left = f(np.outer(np.sqrt(q), z)) * np.outer(radial, arc).reshape(-1)
    return left @ f(sign * np.outer(np.sqrt(other), its)).T


def _arcs(angle):
    """Nodes in t and their weights, dense at the rays z = 0 and z' = 0."""
    rays = np.array([1, 1, 3, 3, 5]) * math.pi / 2 + np.array([0, angle, 0, angle, 0])
    share, density = _shares()
    length = np.diff(rays)[:, None]
    return (rays[:-1, None] + length * share).reshape(-1), (length * density).reshape(-1)


@functools.cache
def _radii():
    x, weight = np.polynomial.legendre.leggauss(RADII)
    y = (x + 1) / 2
    r = REACH * y**3
    return r, REACH * 3 * y**2 * weight / 2 * r * np.exp(-r * r / 2) / (2 * math.pi)


@functools.cache
def _shares():
    """Nodes in (0, 1), dense at both ends, and their weights."""
    x, weight = np.polynomial.legendre.leggauss(ANGLES)
    y, p = (x + 1) / 2, SHARPNESS
    both = y**p + (1 - y) ** p
    return y**p / both, p * (y * (1 - y)) ** (p - 1) / both**2 * weight / 2
