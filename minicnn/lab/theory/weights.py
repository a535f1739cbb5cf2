"""The theory forwards through layers of weights: sums of independent terms of mean 0.

For the package itself: it checks nothing of what it is handed.
"""

import numpy as np

from minicnn.lab.theory.finite_width import Law, coherence, law, linear_spread, window_coherence
from minicnn.lab.theory.maps import Field, through_windows, window_sums
from minicnn.lab.theory.positions import Windows, members
from minicnn.lab.theory.signal import NoPromiseError, Signal
from minicnn.layers import Conv2d, Dense


def tap_weights(layer: Conv2d, weights: Law, channels: int) -> np.ndarray:
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
        members(size, count, step, border, gap, np.flatnonzero(counts))
        for size, count, step, border, gap, counts in zip(
            layer.input_shape[1:], layer.output_shape[1:], layer.stride, layer.padding,
            layer.dilation, (taps.any(1), taps.any(0)),
        )
    ]  # fmt: skip


def promised(layer: Conv2d | Dense) -> Law:
    """The law of a layer's weights, if they are of mean 0."""
    weights = law(layer)
    if weights.mean:
        raise NoPromiseError(
            f"{layer.name}: its weights have a mean, {weights.mean:.3g}, so that its units are no"
            " independent sums."
        )
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
    seen, steps, factor = windows
    # All samples and positions share the bias.
    biased = Field(*(array + bias.second for array in (field.pairs, field.same, field.cross)))
    return signal.passed(
        biased, Windows(signal.source, seen, steps, factor, bias.second), units=units,
        carried=signal.variance, own=own, fixed=gaussian - own, extra=extra,
        offset=0.0 if shape is None else shape - coherence(field, (0, 1)), mean=bias.mean,
        origins=frozenset({layer}), past=signal.past | {layer},
    )  # fmt: skip


def _known_shape(layer, signal):
    given = signal.units == 1 and not signal.variance and not signal.extra.parts
    if given and isinstance(layer, Conv2d) and layer.dilation == (1, 1):
        return window_coherence(layer, signal.field)
    return None


def convolution(layer: Conv2d, signal: Signal) -> tuple[Signal, Law]:
    """The signal behind a Conv2d, and the law of its weights."""
    weights, channels = promised(layer), layer.input_shape[0] // layer.groups
    taps = tap_weights(layer, weights, channels)
    window = (taps, layer.stride, layer.padding, layer.dilation, layer.output_shape[1:])
    field = through_windows(signal.field, window_sums, *window)
    windows = _members(layer, taps), layer.stride, taps.max()
    return _weighted(layer, signal, field, weights, layer.out_channels, windows), weights


def dense(layer: Dense, signal: Signal) -> tuple[Signal, Law]:
    """The signal behind a Dense layer, and the law of its weights."""
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
