"""Products of two positions, sample by sample: what average pooling needs.

The second moment of a mean over a window hangs on the products of all its positions,

    E[y_n(o) y_m(o')] = 1 / k² sum over p in window o, q in window o' of K[n, m, p, q],

and K = E[x_n(p) x_m(q)] has to pass every layer before the pooling for each pair of samples by
itself: an activation's kernel of a mean of K is not the mean of the kernels. These are the
recursions of the Gaussian process that a wide network is, with pooling (Novak et al., ICLR 2019,
arXiv 1810.05148, section 3; Garriga-Alonso et al., ICLR 2019, arXiv 1808.05587):

    convolution    K'[p, q] = E[w²] n_in sum over taps t of K[s p + t, s q + t] + E[b²]
    activation     K'[p, q] = E[σ(z) σ(z')], z and z' Gaussian with K[p, p], K[q, q] and K[p, q]

Each layer's signal has a :class:`Products`, which knows its equation and those before it; more of
them are in :mod:`minicnn.lab.theory.products`. Nothing is computed until a pooling calls
:func:`minicnn.lab.theory.pooled_pairs.pooled`, which asks for no more than it needs: K at ``q = p +
d`` for the few offsets d that reach one window, times the strides on the way. For two samples alike
``K[p, p + d]`` and ``K[p + d, p]`` are one number.

For the package itself: it checks nothing of what it is handed.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from minicnn.lab.theory.maps import Field
from minicnn.lab.theory.moments import correlation

Offset = tuple[int, int]
Given = Sequence[Callable[[Offset], np.ndarray]]
HERE: Offset = (0, 0)  # the offset of a position to itself


class Products:
    """K of one layer's output, from those of its inputs.

    An array for one offset d has shape (B, h, w): for pairs of samples, the positions p for which
    ``p + d`` is in the image, too.

    Attributes
    ----------
    size : (int, int)
    parents : tuple of Products
    exact : bool
        Whether no approximation is on the way here.
    cost : float
        Of one number.
    """

    cost, near = 1.0, False

    def __init__(self, size: Sequence[int], *parents: "Products"):
        self.size, self.parents = tuple(size), parents
        self.exact: bool = not self.near and all(parent.exact for parent in parents)

    def needs(self, d: Offset) -> list[Offset]:
        """The offsets of the parents' products that those at offset d are made of."""
        return [d]

    def at(self, d: Offset, n: np.ndarray, m: np.ndarray, given: Given) -> np.ndarray:
        """``E[x_n(p) x_m(p + d)]`` for pairs (n, m) of samples, shape (B, h, w).

        `n` and `m` are of shape (B,); `given` has, for each parent, a function from an offset to
        its array there.
        """
        raise NotImplementedError


class Images(Products):
    """Of given images: ``1 / C sum over c of x_n[c, p] x_m[c, q]``."""

    def __init__(self, images: npt.ArrayLike):
        images = np.asarray(images, np.float64)
        self._x = images[:, :, None, None] if images.ndim == 2 else images
        super().__init__(self._x.shape[2:])

    def at(self, d: Offset, n: np.ndarray, m: np.ndarray, given: Given) -> np.ndarray:
        """The images' own products."""
        p, q = (np.index_exp[:] + slices for slices in overlap(self.size, d))
        x = self._x[p][n], self._x[q][m]
        return np.einsum("bchw,bchw->bhw", *x) / self._x.shape[1]


class Alike(Products):
    """Of a field of which no more is known, as behind max pooling: an approximation.

    The correlation of two positions is taken as that of the means over samples, and of two samples
    as the mean of that at the two positions.
    """

    near = True

    def __init__(self, field: Field):
        super().__init__(field.size)
        self._field, self._root = field, np.sqrt(np.maximum(field.map, 0))
        self._rho = correlation(field.map[:, None], field.map, field.pairs)

    def at(self, d: Offset, n: np.ndarray, m: np.ndarray, given: Given) -> np.ndarray:
        """The correlation times what the positions have."""
        p, q = overlap(self.size, d)
        i, j = np.indices(self.size)[:, None]
        square = np.maximum(self._field.usual, 0)[None]
        falloff = correlation(square[p], square[q], self._field.same[i[p], j[p], i[q], j[q]])
        between = (self._rho[n, m][p] + self._rho[n, m][q]) / 2
        return between * falloff * self._root[p][n] * self._root[q][m]


class Windows(Products):
    """Of sums over windows: of all pairs of taps, or of those at the same tap of each window.

    Parameters
    ----------
    source : Products
    members : pair of ndarray, shapes (H_out, H) and (W_out, W)
        Which rows and columns lie in which window, 0 or 1.
    steps : (int, int)
        From a window to the next.
    factor, bias : float
        What the sum is multiplied by, and what is added to it.
    weighted : bool
        Whether taps have independent weights, so that products of two taps count nothing.
    """

    def __init__(
        self,
        source: Products,
        members: Sequence[np.ndarray],
        steps: Sequence[int],
        factor: float,
        bias: float = 0.0,
        weighted: bool = True,
    ):
        super().__init__([len(member) for member in members], source)
        self._members, self._steps, self._factor, self._bias = members, steps, factor, bias
        self._reach = (0, 0) if weighted else [int(member.sum(1).max()) - 1 for member in members]

    def needs(self, d: Offset) -> list[Offset]:
        """Those from a tap of a window to a tap of the one at d."""
        steps = zip(d, self._steps, self._reach)
        ranges = [range(s * e - reach, s * e + reach + 1) for e, s, reach in steps]
        return offsets(self.parents[0].size, ranges)

    def at(self, d: Offset, n: np.ndarray, m: np.ndarray, given: Given) -> np.ndarray:
        """Rows are summed, then columns."""
        size = self.parents[0].size
        total = np.zeros((len(n), *extent(self.size, d)))
        for e in self.needs(d):
            rows, columns = (
                member[o_p][:, i_p] * member[o_q][:, i_q]
                for member, (o_p, o_q), (i_p, i_q) in zip(
                    self._members, axes(self.size, d), axes(size, e)
                )
            )
            if rows.any() and columns.any():
                total += rows @ (given[0](e) @ columns.T)
        return self._factor * total + self._bias


def overlap(size: Sequence[int], d: Offset) -> tuple[Any, ...]:
    """Indices into a map by sample of the positions p with p + d inside, and of those p + d."""
    rows, columns = axes(size, d)
    return tuple(np.index_exp[:, rows[side], columns[side]] for side in (0, 1))


def offsets(size: Sequence[int], ranges: Sequence[range]) -> list[Offset]:
    """Of the offsets in a range for each axis, those at which there are such positions."""
    rows, columns = ([step for step in steps if abs(step) < n] for n, steps in zip(size, ranges))
    return [(row, column) for row in rows for column in columns]


def members(
    size: int, count: int, stride: int, padding: Any, dilation: int, taps: npt.ArrayLike
) -> np.ndarray:
    """Which of `size` positions lie in which of `count` windows, 0 or 1, of one axis.

    The padding is an int, or a pair if it differs between the ends.
    """
    first = np.ravel(padding)[0]
    seen = stride * np.arange(count)[:, None] - first + dilation * np.asarray(taps)
    return (seen[:, :, None] == np.arange(size)).any(1).astype(float)


def axes(size: Sequence[int], d: Offset) -> list[tuple[slice, slice]]:
    """Of both axes, the slices of the positions p with p + d inside, and of those p + d."""
    return [
        (slice(max(0, -step), n - max(0, step)), slice(max(0, step), n - max(0, -step)))
        for n, step in zip(size, d)
    ]


def extent(size: Sequence[int], d: Offset) -> tuple[int, ...]:
    """Height and width of the positions p for which p + d is inside."""
    return tuple(n - abs(step) for n, step in zip(size, d))
