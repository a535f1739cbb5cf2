"""How much second moments vary with the draw of the weights: what finite width adds.

A layer's mean square over units is a mean over independent units. One unit's mean square over
the batch varies by ``2 / d``, relative and squared, where d is the effective number of
independent numbers among its samples and positions, ``(Σ q)² / Σ E[z z']²``: between 1 (all
samples look alike) and their number. Through an activation the 2 becomes the variance of
σ(z)². These shares add from layer to layer; orders above the first in 1 / width are left out.

For the package itself: it checks nothing of what it is handed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minicnn.errors import ArgumentError
from minicnn.initializers import DeltaOrthogonal, Identity, Orthogonal, Uniform
from minicnn.lab.theory.maps import Field, diagonal
from minicnn.lab.theory.moments import correlation
from minicnn.lab.theory.pooled_maps import windows
from minicnn.layers import Conv2d, Dense

MOST_TERMS = 100_000  # of a spectrum
EXCESS = {"normal": 0.0, "uniform": -1.2, "truncated-normal": -0.63}  # kurtosis less 3


@dataclass(frozen=True)
class Moment:
    """A predicted second moment.

    Attributes
    ----------
    value, error : float
        Its expectation over the weights, NaN where the theory makes no promise, and its relative
        standard error: how much one draw of the weights differs, over `value`.
    floor : float
        What rounding may leave where `value` is 0.
    """

    value: float
    error: float
    floor: float = 0.0

    def z(self, measured: float) -> float:
        """How many standard errors a measurement lies off.

        On a logarithmic scale, as factors multiply: of a log-normal number with mean `value`
        and standard deviation ``error value``. For small errors it is
        ``(measured - value) / (error value)``; 0 where both are 0 or nothing is promised, infinite
        where one is 0, NaN for NaN.
        """
        if math.isnan(measured):
            return math.nan
        if math.isnan(self.value) or measured == self.value:
            return 0.0
        if max(measured, self.value) <= self.floor:
            return 0.0
        if not (measured > 0 and self.value > 0 and self.error > 0):
            return math.copysign(math.inf, measured - self.value)
        square = math.log1p(self.error**2)
        return (math.log(measured / self.value) + square / 2) / math.sqrt(square)

    @property
    def interval(self) -> tuple[float, ...]:
        """Low and high end of the central 95 %."""
        square = math.log1p(self.error**2)
        middle = math.log(self.value) - square / 2 if self.value > 0 else -math.inf
        return tuple(math.exp(middle + side * 1.96 * math.sqrt(square)) for side in (-1, 1))


UNKNOWN = Moment(math.nan, math.inf)


def coherence(
    field: Field, spectrum: Sequence[float] | np.ndarray, sizes: np.ndarray | None = None
) -> float:
    """Mean over all pairs of numbers of ``Σ spectrum[k - 1] rho^k``, weighted by their sizes.

    ``coherence(field, (0, 1))`` is 1 / d. Pairs of samples count exactly at one position; their
    fall over positions is that of the mean products. What each number contributes are sizes, of
    shape (N, H, W), by default the field's own map.
    """
    if len(spectrum) > MOST_TERMS:
        raise ArgumentError(f"spectrum must have at most {MOST_TERMS} terms, got {len(spectrum)}.")
    q = np.maximum(field.map, 0)
    weight = q if sizes is None else np.maximum(sizes, 0)
    if not weight.sum() > 0:
        return 0.0
    weight = weight / weight.sum()
    rho = correlation(q[:, None], q, field.pairs)
    place = weight.sum(0).ravel()
    spatial = place[:, None] * place
    squares = [np.maximum(np.diag(matrix), 0) for matrix in field.matrices]
    same, cross = (correlation(a[:, None], a, b) for a, b in zip(squares, field.matrices))
    # Pairs of samples that differ in sign cancel in the mean, not one by one.
    cross = np.where(np.abs(cross) < np.abs(same), same, cross)
    share = np.sqrt(weight[:, None] * weight)
    diagonal(share)[...] = 0
    each = (weight.sum((1, 2)) ** 2).sum()  # 1 / N where samples are of one size
    share *= (1 - each) / max(share.sum(), 1e-300)
    total, powers = 0.0, [np.ones_like(part) for part in (rho, same, cross)]
    for part in spectrum:
        for power, base in zip(powers, (rho, same, cross)):
            power *= base
        if part:
            within = np.vdot(spatial, powers[1])
            between = np.vdot(share, powers[0]) * np.vdot(spatial, powers[2])
            total += part * (each * within + between)
    return float(max(total, 0))


def window_coherence(layer: Conv2d, field: Field) -> float:
    """1 / d of what a convolution makes of given images of one channel, exactly.

    It is that of the matrix of products of two places in the window, ``tr A² / (tr A)²``.
    """
    places = windows(layer)
    both = (places >= 0)[:, :, None] & (places >= 0)[:, None]
    window = np.where(both, field.matrices[0][places[:, :, None], places[:, None]], 0).sum(0)
    trace = np.trace(window)
    return float((window * window).sum() / trace**2) if trace > 0 else 0.0


@dataclass(frozen=True)
class Law:
    """What the theory needs to know of a layer's weights.

    Attributes
    ----------
    second, mean, excess : float
        E[w²], the mean over the elements; E[w]; kurtosis less 3.
    orthogonal, centred : bool
        Whether rows or columns are orthonormal; whether all is at the kernel's centre.
    """

    second: float
    mean: float = 0.0
    excess: float = 0.0
    orthogonal: bool = False
    centred: bool = False


def law(layer: Conv2d | Dense, name: str = "weight") -> Law:
    """The law of a layer's weights, or of its bias, by what its initializer promises."""
    initializer, std = layer.initializers()[name]
    shape = layer.own_parameters()[name].value.shape
    mean = initializer.mean(layer._fans, shape)
    distribution = getattr(initializer, "distribution", "")
    if isinstance(initializer, Uniform):
        distribution = "uniform"
    return Law(
        std * std + mean * mean, mean, EXCESS.get(distribution, 0.0),
        isinstance(initializer, Orthogonal),
        hasattr(layer, "kernel_size") and isinstance(initializer, DeltaOrthogonal | Identity),
    )  # fmt: skip


def tap_weights(layer: Conv2d, weights: Law, channels: int) -> np.ndarray:
    """What each tap of a kernel counts: E[w²] times the channels that it sums over."""
    taps = np.full(layer.kernel_size, weights.second * channels)
    if weights.centred:
        centre = tuple(size // 2 for size in layer.kernel_size)
        whole, taps[...] = taps.sum(), 0.0
        taps[centre] = whole
    return taps


@dataclass(frozen=True)
class Excess:
    """What draws of weights add to 1 / d: products of expectation 0 are of order 1 / √units.

    A layer of few units makes its numbers look alike by chance. Later kernels average such
    chances, over their taps: as in diffusion, the number that is averaged grows by about the
    taps at every layer, until it is that of the positions.

    Attributes
    ----------
    parts : tuple of (float, float)
        What each layer has added, and over how many products it has been averaged since.
    """

    parts: tuple[tuple[float, float], ...] = ()

    @property
    def total(self) -> float:
        """What 1 / d is raised by."""
        return sum(amount / averaged for amount, averaged in self.parts)

    def joined(self, units: float) -> "Excess":
        """With what another layer of so many units adds."""
        return Excess((*self.parts, (1 / units, 1.0)))

    def convolved(self, taps: int, positions: int) -> "Excess":
        """Behind a kernel of so many taps, on an image of so many positions."""
        limit = max(positions, 1)
        return Excess(tuple((a, max(n, min(n + taps - 1, limit))) for a, n in self.parts))

    def averaged(self, positions: int) -> "Excess":
        """Where each position has weights of its own."""
        return Excess(tuple((a, n * positions) for a, n in self.parts))


def linear_spread(
    field: Field,
    weights: Law,
    units: float,
    inputs: float,
    participation: float,
    extra: float = 0.0,
    shape: float | None = None,
) -> tuple[float, float]:
    """Relative variance of the mean square over units of sums of a field with random weights.

    Parameters
    ----------
    field : Field
        Of the sums.
    weights : Law
    units, inputs : float
        How many sums there are, and of how many numbers each.
    participation : float
        ``Σ q² / (Σ q)²`` over the inputs' second moments: what the kurtosis counts by.
    extra : float
        What one draw of the layers before adds to 1 / d, see `Excess`.
    shape : float, optional
        1 / d where it is known better than by `coherence`.

    Returns
    -------
    spread, gaussian : float
        Of these weights, and of Gaussian ones.
    """
    shape = coherence(field, (0, 1)) if shape is None else shape
    shape = min(shape + extra, 1.0)
    gaussian = 2 * shape / units
    if weights.orthogonal:
        free = max(1 - units / inputs, 0)
        return 2 * free * max(shape - 1 / inputs, 0) / units, gaussian
    return max(gaussian + weights.excess * participation / units, 0), gaussian
