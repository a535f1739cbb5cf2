"""The theory forwards: how each kind of layer passes a signal's second moments on.

``forward(layer, signal)`` gives the signal behind a layer, and what the way back needs to know.
A new kind of layer is taught by ``@forward.register``.

For the package itself: it checks nothing of what it is handed.
"""

from functools import singledispatch
from typing import Any

import numpy as np

from minicnn.lab.theory.finite_width import coherence
from minicnn.lab.theory.maps import MAX_PIXELS, Field
from minicnn.lab.theory.moments import LeakyMoments, Moments, moments_of
from minicnn.lab.theory.pooled_maps import AveragePooling, MaxPooling, Upsampling
from minicnn.lab.theory.pooled_pairs import pooled
from minicnn.lab.theory.products import Activated, Centred, Dropped, Scaled
from minicnn.lab.theory.signal import SKEWED, NoPromiseError, Signal
from minicnn.lab.theory.weights import convolution, dense
from minicnn.layers import (
    Activation,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2d,
    Upsample,
)
from minicnn.layers.scalars import Scale, Shift

SUMS = (Conv2d, Dense)  # layers whose outputs sum over all channels
LEFT = 0.25  # of an activation's variance, where that of its input is fixed
SIMULATION = 0.01  # relative error of max pooling's simulation
ROUGH = 0.4  # of products of two samples behind an average pooling that are scaled, as seen
ROUGHEST = 0.1  # and of means over samples of squares, where products are scaled or near enough


@singledispatch
def forward(layer: Layer, signal: Signal) -> tuple[Signal, Any]:
    """The signal behind a layer, and the memory that the way back needs.

    Parameters
    ----------
    layer : Layer
    signal : Signal

    Returns
    -------
    Signal, object

    Raises
    ------
    NoPromiseError
        For a kind of layer that the theory does not know, or weights whose mean is not 0.
    """
    raise NoPromiseError(
        f"{layer.name}: the theory knows no layer {type(layer).__name__}; teach it by"
        " @minicnn.lab.theory.forward.forward.register and"
        " @minicnn.lab.theory.backward.backward.register."
    )


forward.register(Conv2d, convolution)
forward.register(Dense, dense)


def gaussian_parts(signal: Signal) -> tuple[np.ndarray, list[tuple[Any, ...]]]:
    """What an activation takes: variances, and all arguments of kernels for a field's arrays.

    Returns
    -------
    q : ndarray, shape (N, H, W)
    arguments : list of tuple
        q, other, covariance, mean and other_mean for pairs, same and cross.
    """
    field, mean = signal.field, np.asarray(signal.mean)
    q = np.maximum(field.map - mean * mean, 0)
    usual = mean.mean(0) if mean.ndim else mean
    spatial = np.maximum(np.einsum("hwhw->hw", field.same) - usual * usual, 0)
    first = (q[:, None], q[None], mean[:, None] if mean.ndim else mean, mean)
    second = (spatial[:, :, None, None], spatial, usual[:, :, None, None] if mean.ndim else mean)
    arguments = [(*first[:2], field.pairs - first[2] * mean, *first[2:])]
    for array in (field.same, field.cross):
        arguments.append((*second[:2], array - second[2] * usual, second[2], usual))
    return q, arguments


@forward.register
def _(layer: Activation, signal: Signal) -> tuple[Signal, Moments]:
    moments, before = moments_of(layer), signal.field
    q, arrays = gaussian_parts(signal)
    pairs, same, cross = (moments.kernel(*parts) for parts in arrays)
    index = np.arange(before.samples)
    pairs[index, index] = moments.second(q, signal.mean)
    field = Field(pairs, same, cross)
    sizes = np.maximum(field.map, 0)
    typical = float((sizes * before.map).sum() / sizes.sum()) if sizes.sum() > 0 else 0.0
    elasticity = moments.elasticity(typical)
    spectrum = moments.square_spectrum(typical)
    chance = spectrum[1] * (signal.extra.total + signal.offset)
    own = (coherence(before, spectrum, sizes) + chance) / signal.units
    own = max(own - elasticity**2 * signal.fixed, LEFT * own)
    behind = signal.passed(
        field, Activated(signal.source, moments, q, signal.mean), before=before, moments=moments,
        mean=moments.mean(q, signal.mean), own=own, fixed=elasticity**2 * signal.fixed,
        carried=elasticity**2 * signal.carried + signal.skewed**2,
    )  # fmt: skip
    return behind, moments


@forward.register
def _(layer: MaxPool2d, signal: Signal) -> tuple[Signal, MaxPooling]:
    before, moments = signal.before, signal.moments
    if before is None or moments is None:
        before, moments = signal.field, LeakyMoments(1.0)
    pooling = MaxPooling(layer, signal.field, before, moments, signal.draws)
    # What orthogonal weights fix of all numbers they do not fix of the largest.
    own = signal.own + LEFT * signal.fixed
    carried = signal.carried + SIMULATION**2
    field = pooling.forward()
    return signal.passed(
        field, mean=pooling.mean(field), own=own, carried=carried, draws=pooling.draws
    ), pooling


@forward.register
def _(layer: AvgPool2d, signal: Signal) -> tuple[Signal, AveragePooling]:
    pooling = AveragePooling(layer, signal.field)
    products = pooling.products(signal.source)
    field, rough, roughest = _corrected(pooling.forward(signal.field), products)
    own = signal.own
    if own or signal.fixed:
        # Means of many numbers are Gaussian by themselves; and where they are small because
        # positions have little in common, chance products count.
        positions = np.prod(signal.field.size) / np.prod(field.size)
        small = signal.field.moment / max(field.moment * positions, 1e-300)
        chance = 2 * signal.extra.total * small**2
        own = max(own, 2 * coherence(field, (0, 1)) / signal.units) + chance
    mean = pooling.mean(signal.mean)
    return signal.passed(
        field, products, SKEWED if np.any(mean) else 0.0, mean=mean, own=own,
        rough=max(rough, signal.rough), carried=signal.carried + roughest**2,
    ), pooling  # fmt: skip


def _corrected(field, products):
    """A pooled field with exact products of samples, as far as they can be afforded.

    Returns
    -------
    Field
    rough, roughest : float
        Relative errors of products of two samples, and of the mean square.
    """
    exact = pooled(products, field.samples)
    if exact is None:
        return field, ROUGH, ROUGHEST
    roughest = 0.0 if products.exact else ROUGHEST
    if exact.ndim == 4:
        return field.with_pairs(exact), 0.0, roughest
    return field.with_map(exact), ROUGH, roughest


@forward.register
def _(layer: Upsample, signal: Signal) -> tuple[Signal, Upsampling]:
    pixels = np.prod(layer.output_shape[1:])
    if pixels > MAX_PIXELS:
        raise NoPromiseError(
            f"{layer.name}: the theory keeps products of all pairs of pixels, for at most"
            f" {MAX_PIXELS} pixels, and these are {pixels}."
        )
    copies = Upsampling(layer, signal.field)
    return signal.passed(
        copies.forward(signal.field), copies.products(signal.source), mean=copies.mean(signal.mean)
    ), copies


@forward.register
def _(layer: Flatten, signal: Signal) -> tuple[Signal, None]:
    return signal, None


@forward.register
def _(layer: Scale, signal: Signal) -> tuple[Signal, float]:
    a = layer.start
    field, products = signal.field.scaled(a * a), Scaled(signal.source, a * a)
    return signal.passed(field, products, mean=a * signal.mean), a


@forward.register
def _(layer: Shift, signal: Signal) -> tuple[Signal, None]:  # by 0 at the start
    return signal, None


@forward.register
def _(layer: Dropout, signal: Signal) -> tuple[Signal, float | None]:
    if not signal.training or not layer.p:
        return signal, None
    field, products = signal.field.dropped(layer.p), Dropped(signal.source, layer.p)
    return signal.passed(field, products), layer.p


@forward.register
def _(layer: BatchNorm, signal: Signal) -> tuple[Signal, tuple[Field, float] | None]:
    if not signal.training:
        scale = 1 / (1 + layer.eps)
        return signal.passed(signal.field.scaled(scale), Scaled(signal.source, scale)), None
    centred = signal.field.centred()
    variance = max(centred.moment, 0.0)
    field = centred.scaled(1 / (variance + layer.eps))
    shape = coherence(field, (0, 1))
    # Channels differ in variance, and with it in how much eps takes from one.
    lost = (layer.eps / (variance + layer.eps)) ** 2
    _, each, whole = signal.field.with_mean()
    behind = signal.passed(
        field, Centred(signal.source, each, whole, 1 / (variance + layer.eps)), mean=0.0,
        carried=lost, own=0.0, fixed=2 * shape / signal.units,
    )  # fmt: skip
    return behind, (field, variance)
