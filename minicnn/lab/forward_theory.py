"""The theory forwards: how each kind of layer passes a signal's second moments on.

``forward(layer, signal)`` gives the signal behind a layer, and what the way back needs to know.
A new kind of layer is taught by ``@forward.register``.

For the package itself: it checks nothing of what it is handed.
"""

from dataclasses import dataclass, replace
from functools import singledispatch

import numpy as np

from minicnn.errors import ArgumentError
from minicnn.lab.maps import Field, from_images, through_windows, window_sums
from minicnn.lab.moments import LeakyMoments, Moments, moments_of
from minicnn.lab.pooled_maps import AveragePooling, MaxPooling
from minicnn.lab.pooled_pairs import pooled
from minicnn.lab.positions import (
    Activated,
    Alike,
    Centred,
    Dropped,
    Images,
    Products,
    Scaled,
    Sum,
    Windows,
    members,
)
from minicnn.lab.spread import Excess, Law, coherence, law, linear_spread, window_coherence
from minicnn.layers import (
    Activation,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool2d,
)
from minicnn.layers.gate import Gate, Shift

LEFT = 0.25  # of an activation's variance, where that of its input is fixed
SIMULATION = 0.01  # relative error of max pooling's simulation
ROUGH = 0.4  # of products of two samples behind an average pooling that are scaled, as seen
ROUGHEST = 0.1  # and of means over samples of squares, where products are scaled or near enough
SKEWED = 0.4  # of an activation of means of another's numbers, which it takes for Gaussian


class NoPromiseError(Exception):
    """A layer whose weights have a mean: its units are no independent sums."""


@dataclass(frozen=True)
class Signal:
    """A field on its way, and how far its second moment can be trusted.

    Attributes
    ----------
    field : Field
    units : int
        How many independent draws of the field there are: channels or features.
    carried, own : float
        Relative variance of the field's moment that came with the input of the last layer of
        weights, and that its own weights have added.
    fixed : float
        How much less than with Gaussian weights that was.
    extra : Excess
        How much less independent the field's numbers are in one draw than in expectation, see
        `linear_spread`.
    offset : float
        How much more than by `coherence` 1 / d is, where it is known exactly.
    mean : ndarray, shape (N, H, W)
        E[x] by sample and position: 0 behind weights, not behind most activations.
    rough : float
        Relative error of products of two samples, where they have been scaled.
    skewed : float
        Relative error of an activation that takes the field for Gaussian.
    before : Field, optional
        Of the Gaussian numbers that an activation has just made this field of.
    moments : Moments, optional
        Of that activation.
    training : bool
        Whether dropout drops and batch normalization normalizes.
    products : Products, optional
        Those of two positions for each pair of samples, where they are known.
    """

    field: Field
    units: int
    carried: float = 0.0
    own: float = 0.0
    fixed: float = 0.0
    extra: Excess = Excess()
    offset: float = 0.0
    mean: np.ndarray | float = 0.0
    rough: float = 0.0
    skewed: float = 0.0
    before: Field | None = None
    moments: Moments | None = None
    training: bool = True
    products: Products | None = None

    @property
    def variance(self):
        """Relative variance of the field's moment."""
        return self.carried + self.own

    @property
    def source(self):
        """Its products of two positions, near enough where they are not known."""
        return self.products or Alike(self.field)

    def passed(self, field, products=None, skewed=0.0, **changes):
        """The signal with another field, which is no activation's any more."""
        return replace(
            self, field=field, products=products, skewed=skewed, before=None, moments=None,
            **changes,
        )  # fmt: skip


def from_batch(images, training=True):
    """The signal that images are, shape (N, C, H, W) or (N, F)."""
    return Signal(
        from_images(images), units=images.shape[1], training=training,
        products=Images(images),
    )  # fmt: skip


@singledispatch
def forward(layer, signal):
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
    ArgumentError
        For a kind of layer that the theory does not know.
    NoPromiseError
        For weights whose mean is not 0.
    """
    raise ArgumentError(
        f"{layer.name}: the theory knows no layer {type(layer).__name__}; teach it by"
        " @minicnn.lab.forward_theory.forward.register and the same of backward_theory."
    )


def added(a, b):
    """The signal that is the sum of a block's body `a` and the shortcut `b` around it."""
    field = a.field.plus(b.field)
    part = a.field.moment / field.moment if field.moment > 0 else 1.0
    mixed = {
        key: part * getattr(a, key) + (1 - part) * getattr(b, key)
        for key in ("carried", "own", "fixed")
    }
    # Their product is 0 in the mean only.
    shapes = coherence(a.field, (0, 1)) * coherence(b.field, (0, 1))
    mixed["own"] += 4 * part * (1 - part) * np.sqrt(shapes) / a.units
    return a.passed(field, Sum(a.source, b.source), mean=a.mean + b.mean, **mixed)


def tap_weights(layer, weights, channels):
    """What each tap of a kernel counts: E[w²] times the channels that it sums over."""
    taps = np.full(layer.kernel_size, weights.second * channels)
    if weights.centred:
        centre = tuple(size // 2 for size in layer.kernel_size)
        whole, taps[...] = taps.sum(), 0.0
        taps[centre] = whole
    return taps


def _members(layer, taps):
    """Rows and columns that each window of a convolution sees at taps that count."""
    return [
        members(*axis, np.flatnonzero(counts))
        for *axis, counts in zip(
            layer.input_shape[1:], layer.output_shape[1:], layer.stride, layer.padding,
            layer.dilation, (taps.any(1), taps.any(0)),
        )
    ]  # fmt: skip


def promised(layer):
    """The law of a layer's weights, if they are of mean 0."""
    weights = law(layer)
    if weights.mean:
        raise NoPromiseError(layer.name)
    return weights


def _weighted(layer, signal, field, weights, units, windows):
    """The signal behind a layer of weights; `field` is that of its sums over `windows`."""
    bias = law(layer, "bias") if layer.bias else Law(0.0)
    inputs = layer._fans.fan_in
    if weights.centred:
        inputs /= np.prod(layer.kernel_size)
    q = signal.field.map.mean(0)
    extra = signal.extra.joined(signal.units) if signal.own else signal.extra
    if isinstance(layer, Dense):  # else a window moves over all positions
        uneven = (q * q).mean() / max(q.mean() ** 2, 1e-300)
        extra = extra.averaged(q.size)
    else:
        uneven = 1.0
        extra = extra.convolved(np.prod(layer.kernel_size), np.prod(field.size))
    share, shape = float(uneven) / inputs, _known_shape(layer, signal)
    own, gaussian = linear_spread(field, weights, units, inputs, share, extra.total, shape)
    # All samples and positions share the bias.
    biased = Field(*(array + bias.second for array in (field.pairs, field.same, field.cross)))
    return signal.passed(
        biased, Windows(signal.source, *windows, bias.second), units=units,
        carried=signal.variance, own=own, fixed=gaussian - own, extra=extra,
        offset=0.0 if shape is None else shape - coherence(field, (0, 1)), mean=bias.mean,
    )  # fmt: skip


def _known_shape(layer, signal):
    given = signal.units == 1 and not signal.variance and not signal.extra.parts
    if given and isinstance(layer, Conv2d) and layer.dilation == (1, 1):
        return window_coherence(layer, signal.field)
    return None


@forward.register
def _(layer: Conv2d, signal):
    weights, channels = promised(layer), layer.input_shape[0] // layer.groups
    taps = tap_weights(layer, weights, channels)
    window = (taps, layer.stride, layer.padding, layer.dilation, layer.output_shape[1:])
    field = through_windows(signal.field, window_sums, *window)
    windows = _members(layer, taps), layer.stride, taps.max()
    return _weighted(layer, signal, field, weights, layer.out_channels, windows), weights


@forward.register
def _(layer: Dense, signal):
    weights, source = promised(layer), signal.field
    factor = weights.second * layer.input_shape[0]
    pairs = factor * source.pairs.mean((2, 3), keepdims=True)
    same, cross = (
        np.full((1, 1, 1, 1), factor * np.einsum("hwhw->", a) / np.prod(source.size))
        for a in (source.same, source.cross)
    )
    field = Field(pairs, same, cross)
    everywhere = [np.ones((1, n)) for n in source.size]
    windows = everywhere, (1, 1), factor / np.prod(source.size)
    return _weighted(layer, signal, field, weights, layer.out_features, windows), weights


def gaussian_parts(signal):
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
def _(layer: Activation, signal):
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
    behind = replace(
        signal, field=field, mean=moments.mean(q, signal.mean), own=own, before=before,
        moments=moments, carried=elasticity**2 * signal.carried + signal.skewed**2,
        fixed=elasticity**2 * signal.fixed, skewed=0.0,
        products=Activated(signal.source, moments, q, signal.mean),
    )  # fmt: skip
    return behind, moments


@forward.register
def _(layer: MaxPool2d, signal):
    before, moments = signal.before, signal.moments
    if before is None:
        before, moments = signal.field, LeakyMoments(1.0)
    pooling = MaxPooling(layer, signal.field, before, moments)
    # What orthogonal weights fix of all numbers they do not fix of the largest.
    own = signal.own + LEFT * signal.fixed
    carried = signal.carried + SIMULATION**2
    field = pooling.forward()
    return signal.passed(field, mean=pooling.mean(field), own=own, carried=carried), pooling


@forward.register
def _(layer: AvgPool2d, signal):
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
def _(layer: Flatten, signal):
    return signal, None


@forward.register
def _(layer: Gate, signal):
    a = layer.start
    field, products = signal.field.scaled(a * a), Scaled(signal.source, a * a)
    return signal.passed(field, products, mean=a * signal.mean), a


@forward.register
def _(layer: Shift, signal):  # by 0 at the start
    return signal, None


@forward.register
def _(layer: Dropout, signal):
    if not signal.training or not layer.p:
        return signal, None
    field, products = signal.field.dropped(layer.p), Dropped(signal.source, layer.p)
    return signal.passed(field, products), layer.p


@forward.register
def _(layer: BatchNorm, signal):
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
