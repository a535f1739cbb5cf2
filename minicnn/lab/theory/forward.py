"""The theory forwards: how each kind of layer passes a signal's second moments on.

``forward(layer, signal)`` gives the signal behind a layer, and what the way back needs to know.
A new kind of layer is taught by ``@forward.register``.

For the package itself: it checks nothing of what it is handed.
"""

from functools import singledispatch
from typing import Any

import numpy as np

from minicnn import layers
from minicnn.lab.theory import maps
from minicnn.lab.theory.finite_width import (
    Law,
    coherence,
    law,
    linear_spread,
    tap_weights,
    window_coherence,
)
from minicnn.lab.theory.moments import LeakyMoments, Moments, moments_of
from minicnn.lab.theory.pooled_maps import AveragePooling, MaxPooling, Upsampling
from minicnn.lab.theory.pooled_pairs import pooled
from minicnn.lab.theory.positions import Windows, members
from minicnn.lab.theory.products import Activated, Centred, Dropped, Scaled
from minicnn.lab.theory.signal import SKEWED, NoPromiseError, Signal
from minicnn.layers import scalars
from minicnn.layers.group_norm import SampleNorm

SUMS = (layers.Conv2d, layers.Dense)  # layers whose outputs sum over all channels
LEFT = 0.25  # of an activation's variance, where that of its input is fixed
SIMULATION = 0.01  # relative error of max pooling's simulation
ROUGH = 0.4  # of products of two samples behind an average pooling that are scaled, as seen
ROUGHEST = 0.1  # and of means over samples of squares, where products are scaled or near enough


@singledispatch
def forward(layer: layers.Layer, signal: Signal) -> tuple[Signal, Any]:
    """The signal behind a layer, and the memory that the way back needs.

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


def _promised(layer):
    """The law of a layer's weights, if they are of mean 0."""
    weights = law(layer)
    if weights.mean:
        raise NoPromiseError(
            f"{layer.name}: its weights have a mean, {weights.mean:.3g}, so that its units are no"
            " independent sums."
        )
    return weights


@forward.register
def _(layer: layers.Conv2d, signal: Signal) -> tuple[Signal, Law]:
    weights, channels = _promised(layer), layer.input_shape[0] // layer.groups
    taps = tap_weights(layer, weights, channels)
    window, size = (layer.stride, layer.padding, layer.dilation), layer.output_shape[1:]
    field = maps.through_windows(signal.field, maps.window_sums, taps, *window, size)
    # Rows and columns that each window sees, at taps that count.
    counts = [np.flatnonzero(taps.any(axis)) for axis in (1, 0)]
    seen = [members(*one) for one in zip(signal.field.size, size, *window, counts)]
    products = Windows(signal.source, seen, layer.stride, taps.max(), _bias(layer).second)
    given = signal.units == 1 and not signal.variance and not signal.extra.parts
    shape = window_coherence(layer, signal.field) if given and layer.dilation == (1, 1) else None
    extra = _joined(signal).convolved(taps.size, field.pixels)
    return _weighted(layer, signal, field, products, weights, extra, shape=shape), weights


@forward.register
def _(layer: layers.Dense, signal: Signal) -> tuple[Signal, Law]:
    weights, source = _promised(layer), signal.field
    factor = weights.second * layer.input_shape[0]
    spatial = (factor * np.einsum("hwhw->", a) / source.pixels for a in (source.same, source.cross))
    field = maps.shaped((1, 1), factor * source.pairs.mean((2, 3)), *spatial)
    everywhere = [np.ones((1, n)) for n in source.size]
    share, bias = factor / source.pixels, _bias(layer).second
    products = Windows(signal.source, everywhere, (1, 1), share, bias)
    q = source.map.mean(0)  # a convolution's window moves over all positions, this one does not
    uneven = float((q * q).mean() / max(q.mean() ** 2, 1e-300))
    extra = _joined(signal).averaged(q.size)
    return _weighted(layer, signal, field, products, weights, extra, uneven), weights


def _weighted(layer, signal, field, products, weights, extra, uneven=1.0, shape=None):
    """The signal behind a layer of weights; `field` is that of its sums without bias."""
    inputs, units, bias = layer._fans.fan_in, layer.output_shape[0], _bias(layer)
    if weights.centred:
        inputs /= np.prod(layer.kernel_size)
    own, gaussian = linear_spread(
        field, weights, units, inputs, uneven / inputs, extra.total, shape
    )
    # All samples and positions share the bias.
    biased = maps.Field(*(array + bias.second for array in field))
    return signal.passed(
        biased, products, units=units, carried=signal.variance, own=own, fixed=gaussian - own,
        extra=extra, offset=0.0 if shape is None else shape - coherence(field, (0, 1)),
        mean=bias.mean, origins=frozenset({layer}), past=signal.past | {layer},
    )  # fmt: skip


def _bias(layer):
    return law(layer, "bias") if layer.bias else Law(0.0)


def _joined(signal):
    return signal.extra.joined(signal.units) if signal.own else signal.extra


@forward.register(layers.Flatten)
@forward.register(scalars.Shift)  # by 0 at the start
def _(layer: layers.Layer, signal: Signal) -> tuple[Signal, None]:
    return signal, None


def gaussian_parts(signal: Signal) -> tuple[np.ndarray, list[tuple[Any, ...]]]:
    """What an activation takes: variances, and all arguments of kernels for a field's arrays.

    Variances are of shape (N, H, W), arguments those of `Moments.kernel`.
    """
    field = signal.field
    mean = np.broadcast_to(signal.mean, field.map.shape)
    usual = mean.mean(0)
    q = np.maximum(field.map - mean * mean, 0)
    spatial = np.maximum(field.usual - usual * usual, 0)

    def arguments(array, variance, level, place):
        return variance[place], variance, array - level[place] * level, level[place], level

    positions = np.index_exp[:, :, None, None]
    spread = [arguments(array, spatial, usual, positions) for array in (field.same, field.cross)]
    return q, [arguments(field.pairs, q, mean, np.index_exp[:, None]), *spread]


@forward.register
def _(layer: layers.Activation, signal: Signal) -> tuple[Signal, Moments]:
    moments, before = moments_of(layer), signal.field
    q, arrays = gaussian_parts(signal)
    field = maps.Field(*(moments.kernel(*parts) for parts in arrays))
    maps.diagonal(field.pairs)[...] = moments.second(q, signal.mean)
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
def _(layer: layers.MaxPool2d, signal: Signal) -> tuple[Signal, MaxPooling]:
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
def _(layer: layers.AvgPool2d, signal: Signal) -> tuple[Signal, AveragePooling]:
    if not layer.has_one_count:
        raise NoPromiseError(
            f"{layer.name}: the theory knows means that are all divided by the same number, and"
            " with ceil_mode or count_include_pad=False windows at the border have others."
        )
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

    Besides, relative errors: of products of two samples, and of the mean square.
    """
    exact = pooled(products, field.samples)
    if exact is None:
        return field, ROUGH, ROUGHEST
    roughest = 0.0 if products.exact else ROUGHEST
    if exact.ndim == 4:
        return field.with_pairs(exact), 0.0, roughest
    return field.with_map(exact), ROUGH, roughest


@forward.register
def _(layer: layers.Upsample, signal: Signal) -> tuple[Signal, Upsampling]:
    if layer.mode != "nearest":
        raise NoPromiseError(
            f"{layer.name}: the theory knows copies of pixels, and no bilinear means of them."
        )
    pixels = np.prod(layer.output_shape[1:])
    if pixels > maps.MAX_PIXELS:
        raise NoPromiseError(
            f"{layer.name}: the theory keeps products of all pairs of pixels, for at most"
            f" {maps.MAX_PIXELS} pixels, and these are {pixels}."
        )
    copies = Upsampling(layer, signal.field)
    return signal.passed(
        copies.forward(signal.field), copies.products(signal.source), mean=copies.mean(signal.mean)
    ), copies


@forward.register(scalars.Scale)
@forward.register(layers.LayerScale)
def _(layer: Any, signal: Signal) -> tuple[Signal, float]:
    a = layer.start if isinstance(layer, scalars.Scale) else layer.init
    field, products = signal.field.scaled(a * a), Scaled(signal.source, a * a)
    return signal.passed(field, products, mean=a * signal.mean), a


@forward.register
def _(layer: layers.Dropout, signal: Signal) -> tuple[Signal, float | None]:
    if not signal.training or not layer.p:
        return signal, None
    field, products = signal.field.dropped(layer.p), Dropped(signal.source, layer.p)
    return signal.passed(field, products), layer.p


@forward.register
def _(layer: layers.Dropout2d, signal: Signal) -> tuple[Signal, None]:
    if signal.training and layer.p:
        raise NoPromiseError(
            f"{layer.name}: the theory takes what is dropped at two pixels as independent, and"
            " Dropout2d drops whole channels."
        )
    return signal, None


@forward.register
def _(layer: SampleNorm, signal: Signal) -> tuple[Signal, Any]:
    raise NoPromiseError(
        f"{layer.name}: the theory knows mean and deviation of a channel over a batch, not those"
        f" within a sample, as {type(layer).__name__} takes them."
    )


@forward.register
def _(layer: layers.BatchNorm, signal: Signal) -> tuple[Signal, tuple[maps.Field, float] | None]:
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
