"""Products of two positions through single numbers, joins and copies; see `positions`.

For the package itself: it checks nothing of what it is handed.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from minicnn.lab.theory.moments import Moments
from minicnn.lab.theory.positions import (
    HERE,
    Given,
    Offset,
    Products,
    axes,
    extent,
    offsets,
    overlap,
)

HERMITE = 10  # what a number costs that is a sum over Hermite polynomials


class Activated(Products):
    """Behind an activation of Gaussian numbers of variance `q` and a mean, of shape (N, H, W)."""

    def __init__(self, source: Products, moments: Moments, q: np.ndarray, mean: np.ndarray | float):
        super().__init__(source.size, source)
        self._moments, self._q = moments, q
        root = np.sqrt(q)
        self._inverse = np.divide(1, root, out=np.zeros(q.shape), where=root > 0)
        self._mean = np.broadcast_to(mean, q.shape) if np.any(mean) else None

    @property
    def cost(self) -> float:  # type: ignore[override]  # a constant of all others
        """One, or that of many polynomials."""
        return 1.0 if len(self._parts) == 1 else HERMITE

    def at(self, d: Offset, n: np.ndarray, m: np.ndarray, given: Given) -> np.ndarray:
        """``E[σ(z_n(p)) σ(z_m(q))]``."""
        p, q = overlap(self.size, d)
        covariance = given[0](d)
        if self._mean is not None:
            covariance = covariance - self._mean[p][n] * self._mean[q][m]
        rho = np.clip(self._inverse[p][n] * self._inverse[q][m] * covariance, -1, 1)
        left, right = (part[p][n] for part in self._parts), (part[q][m] for part in self._parts)
        return self._moments.product(left, right, rho)

    @cached_property
    def _parts(self):
        return self._moments.expansion(self._q, 0.0 if self._mean is None else self._mean)


class Scaled(Products):
    """``factor K``."""

    def __init__(self, source: Products, factor: float):
        super().__init__(source.size, source)
        self._factor = factor

    def at(self, d: Offset, n: np.ndarray, m: np.ndarray, given: Given) -> np.ndarray:
        """Times the factor."""
        return self._factor * given[0](d)


class Centred(Scaled):
    """Less each channel's mean over samples and positions, times a factor: batch normalization.

    An approximation, as `Field.with_mean` is for each sample: `each` and `whole` are what it gives.
    """

    near = True

    def __init__(self, source: Products, each: np.ndarray, whole: float, factor: float):
        super().__init__(source, factor)
        self._each, self._whole = each, whole

    def at(self, d: Offset, n: np.ndarray, m: np.ndarray, given: Given) -> np.ndarray:
        """``factor E[(x_n(p) - μ) (x_m(q) - μ)]``."""
        p, q = overlap(self.size, d)
        less = self._each[p][n] + self._each[q][m]
        return self._factor * (given[0](d) - less + self._whole)


class Dropped(Products):
    """Behind dropout, by which a number's own square grows to ``1 / (1 - p)`` of it."""

    def __init__(self, source: Products, p: float):
        super().__init__(source.size, source)
        self._keep = 1 / (1 - p)

    def at(self, d: Offset, n: np.ndarray, m: np.ndarray, given: Given) -> np.ndarray:
        """What else there is stays."""
        products = given[0](d)
        if d == HERE:
            products = products * np.where(n == m, self._keep, 1.0)[:, None, None]
        return products


class Sum(Products):
    """Of two branches whose units are independent of each other.

    The means are E[x] in both, of shape (N, H, W), if neither is 0.
    """

    def __init__(self, body: Products, around: Products, means: Sequence[np.ndarray] | None = None):
        super().__init__(body.size, body, around)
        self._means = means

    def at(self, d: Offset, n: np.ndarray, m: np.ndarray, given: Given) -> np.ndarray:
        """The sum, and twice the product of the means."""
        total = given[0](d) + given[1](d)
        if self._means is None:
            return total
        p, q = overlap(self.size, d)
        a, b = self._means
        return total + a[p][n] * b[q][m] + b[p][n] * a[q][m]


class Mean(Products):
    """Over channels of several kinds, each with its share of them."""

    def __init__(self, sources: Sequence[Products], shares: Sequence[float]):
        super().__init__(sources[0].size, *sources)
        self._shares = shares

    def at(self, d: Offset, n: np.ndarray, m: np.ndarray, given: Given) -> np.ndarray:
        """The mean."""
        total: Any = sum(share * source(d) for share, source in zip(self._shares, given))
        return total


class Copies(Products):
    """Of images that have grown by whole factors: ``K'[p, q] = K[p // s, q // s]``."""

    def __init__(self, source: Products, size: Sequence[int], scale: Sequence[int]):
        super().__init__(size, source)
        self._scale = scale

    def needs(self, d: Offset) -> list[Offset]:
        """Those between the blocks in which p and p + d may lie."""
        ranges = [range(e // s, (e + s - 1) // s + 1) for e, s in zip(d, self._scale)]
        return offsets(self.parents[0].size, ranges)

    def at(self, d: Offset, n: np.ndarray, m: np.ndarray, given: Given) -> np.ndarray:
        """Each from its blocks."""
        found = np.empty((len(n), *extent(self.size, d)))
        blocks = [
            tuple(np.arange(size)[side] // s for side in sides)
            for size, sides, s in zip(self.size, axes(self.size, d), self._scale)
        ]
        for e in self.needs(d):
            (rows, i), (columns, j) = (
                (np.flatnonzero(q - p == step), p[q - p == step] - max(0, -step))
                for (p, q), step in zip(blocks, e)
            )
            found[:, rows[:, None], columns] = given[0](e)[:, i[:, None], j]
        return found
