"""The theory backwards: how each kind of layer passes the second moments of gradients back.

The gradient of the loss at a layer's output is taken as independent of the layer's weights and
inputs (*gradient independence*, Yang 2019, arXiv 1902.04760), and its channels as alike.

For the package itself: it checks nothing of what it is handed.
"""

from dataclasses import replace
from functools import singledispatch
from typing import Any

import numpy as np

from minicnn import layers
from minicnn.lab.theory.finite_width import Law, coherence, linear_spread, tap_weights
from minicnn.lab.theory.forward import gaussian_parts
from minicnn.lab.theory.gradient import Gradient, added
from minicnn.lab.theory.maps import Field, spread_sums, through_windows
from minicnn.lab.theory.moments import Moments
from minicnn.lab.theory.pooled_maps import AveragePooling, MaxPooling
from minicnn.lab.theory.signal import NoPromiseError, Signal
from minicnn.layers import scalars

LARGEST_SPREAD = 0.6  # of the variances of channels


@singledispatch
def backward(layer: layers.Layer, memory: Any, gradient: Gradient, signal: Signal) -> Gradient:
    """The gradient before a layer, dE/d(input), from that behind it.

    `memory` is what `forward` gave, `signal` the layer's input, or of its channels those alike.

    Raises
    ------
    NoPromiseError
        For a kind of layer that the theory does not know.
    """
    raise NoPromiseError(f"{layer.name}: the theory knows no way back through it.")


def _along(share, field):
    """The field of `share` times the signal of that field."""
    mean, square = share.mean(0), (share * share).mean(0)
    root = np.sqrt(square)
    return Field(
        share[:, None] * share * field.pairs,
        root[:, :, None, None] * root * field.same,
        mean[:, :, None, None] * mean * field.cross,
    )


def _before_weights(layer, weights, gradient, field, share, signal, extra):
    """The gradient before a layer of weights.

    It is made of weights and of gradients that hang on the same weights through the outputs: of
    ``sum of w f(z)`` the mean is ``E[w²] E[f'(z)] x``, a multiple of the input, by Stein's lemma.
    One unit's is of order 1 / width; but it is the same for all samples, so that it counts in
    sums over them, the gradients of weights.
    """
    units, inputs = signal.units, layer._fans.fan_out
    own, _ = linear_spread(field, weights, units, inputs, 1 / inputs, extra.total)
    if not (weights.orthogonal and layer.input_shape == layer.output_shape):
        field = field.plus(_along(share, signal.field))
    return gradient.passed(
        field, share, carried=gradient.carried + gradient.own,
        own=own, extra=extra.joined(units), chain=gradient.chain + 2 / units, balanced=False,
    )  # fmt: skip


@backward.register
def _(layer: layers.Conv2d, weights: Law, gradient: Gradient, signal: Signal) -> Gradient:
    taps = tap_weights(layer, weights, layer.out_channels // layer.groups)
    window = (taps, layer.stride, layer.padding, layer.dilation, layer.input_shape[1:])
    field = through_windows(gradient.field, spread_sums, *window)
    share = spread_sums(gradient.share, *window)
    # Orthogonal as a matrix of windows; where they overlap, its columns are not.
    weights = replace(weights, orthogonal=False)
    extra = gradient.extra.convolved(taps.size, field.pixels)
    return _before_weights(layer, weights, gradient, field, share, signal, extra)


@backward.register
def _(layer: layers.Dense, weights: Law, gradient: Gradient, signal: Signal) -> Gradient:
    size, pixels = signal.field.size, signal.field.pixels
    factor = weights.second * layer.out_features
    # Weights from different positions are independent: so are the gradients there.
    diagonal = np.eye(pixels).reshape(*size, *size) * factor
    given = gradient.field
    pairs = np.broadcast_to(factor * given.pairs, (*given.pairs.shape[:2], *size))
    field = Field(pairs, diagonal * given.same, diagonal * given.cross)
    share = np.broadcast_to(factor * gradient.share, (len(gradient.share), *size))
    weights = replace(weights, orthogonal=weights.orthogonal and pixels == 1)
    extra = gradient.extra.averaged(pixels)
    return _before_weights(layer, weights, gradient, field, share, signal, extra)


@backward.register
def _(layer: layers.Activation, moments: Moments, gradient: Gradient, signal: Signal) -> Gradient:
    before, (q, arrays) = signal.field, gaussian_parts(signal)
    slopes = [moments.slope_kernel(*parts) for parts in arrays]
    # Behind a fork, winners' gradients have met their slopes, those of other consumers have not.
    gated, rest = gradient.gated, gradient.rest
    if gated is None:
        passed = _sloped(gradient, slopes, moments.growth(q))
    elif rest is None:
        passed = gated
    else:
        passed = added(gated, _sloped(rest, slopes, moments.growth(q)))
    spectrum = moments.slope_spectrum(before.moment)
    alike = coherence(before, spectrum) + spectrum[1] * signal.extra.total
    varying = alike / signal.units
    joint = min(gradient.own * sum(spectrum), 2 * varying)
    shift = abs(moments.slope_elasticity(before.moment)) * np.sqrt(signal.variance)
    return replace(
        passed, own=gradient.own + varying + joint, shift=gradient.shift + float(shift),
        balanced=False,
    )  # fmt: skip


def _sloped(gradient, slopes, growth):
    return gradient.passed(
        Field(*map(np.multiply, gradient.field, slopes)), gradient.share * growth
    )


@backward.register
def _(layer: layers.MaxPool2d, pooling: MaxPooling, gradient: Gradient, signal: Signal) -> Gradient:
    fields, shares = pooling.backward(gradient.field), pooling.aligned(gradient.share)
    plain, gated = map(gradient.passed, fields, shares)
    return replace(plain, gated=gated)


@backward.register(layers.AvgPool2d)
@backward.register(layers.Upsample)
def _(layer: Any, pooling: AveragePooling, gradient: Gradient, signal: Signal) -> Gradient:
    return gradient.passed(pooling.backward(gradient.field), pooling.aligned(gradient.share))


@backward.register(layers.Flatten)
@backward.register(scalars.Shift)
def _(layer: layers.Layer, memory: None, gradient: Gradient, signal: Signal) -> Gradient:
    return gradient


@backward.register(scalars.Scale)
@backward.register(layers.LayerScale)
def _(layer: layers.Layer, a: float, gradient: Gradient, signal: Signal) -> Gradient:
    return gradient.passed(gradient.field.scaled(a * a), gradient.share * a)


@backward.register
def _(layer: layers.Dropout, p: float | None, gradient: Gradient, signal: Signal) -> Gradient:
    if p is None:
        return gradient
    return gradient.passed(gradient.field.dropped(p), gradient.share / (1 - p))


@backward.register
def _(
    layer: layers.BatchNorm, memory: tuple[Field, float] | None, gradient: Gradient, signal: Signal
) -> Gradient:
    if memory is None:
        scale = 1 / (1 + layer.eps)
        return gradient.passed(gradient.field.scaled(scale), gradient.share * scale)
    normalized, variance = memory
    n, whole = normalized.samples, gradient.field.centred()
    products = (whole.same * normalized.same).mean() + (n - 1) * (
        whole.cross * normalized.cross
    ).mean()
    removed = min(max(products / n / max(whole.moment, 1e-300), 0.0), 0.9)
    # Channels differ in variance, as gamma distributed numbers do: E[1/s] exceeds 1/E[s].
    varying = min(2 * coherence(normalized, (0, 1)), LARGEST_SPREAD)
    factor = (1 - removed) / (1 - varying) / (variance + layer.eps)
    own = varying / max(1 - 2 * varying, 0.1) / signal.units
    return gradient.passed(
        whole.scaled(factor), gradient.share * 0.0, balanced=True,
        own=gradient.own + own, carried=gradient.carried + signal.carried,
    )  # fmt: skip
