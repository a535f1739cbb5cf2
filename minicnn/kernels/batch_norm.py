"""Batch normalization: moments over the batch, and the gradient through them.

Arrays are in lanes, ``(G, C, P, 16)``: P positions of C channels. Each task owns one
channel. A mask of ones and zeros, ``(G, 16)``, tells the lanes that hold a sample; the
spare ones count nowhere.

Lanes add up some thousand positions, and only such sums are added in float64: over all the
positions of a large image a float32 would lose digits.
"""

import numpy as np

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.arithmetic import lane_sum, where_above
from minicnn.kernels.simd.vector import load, pointer, store, zero

RUN = 1024  # positions that are added up in a lane


@kernel
def moments(x, filled, count, mean, variance):
    """Mean and biased variance of each channel over `count` numbers, n: the samples times P.

    ::

        mean = (1/n) sum of x        variance = (1/n) sum of (x - mean)²

    For `x` of (G, C, P, 16) and `filled` (G, 16); `mean` and `variance` are of float64, (C,).
    """
    parallel_for(_moments_of_channels, x.shape[1], (x, filled, count, mean, variance))


@kernel
def _moments_of_channels(own_channels, x, filled, count, mean, variance):
    groups, channels, positions, _ = x.shape
    x0, filled0 = pointer(x), pointer(filled)
    for c in own_channels:
        total = 0.0
        for g in range(groups):
            plane, valid = x0 + (g * channels + c) * positions * LANES, load(filled0 + g * LANES)
            for first in range(0, positions, RUN):
                part = zero(x0)
                for p in range(first, min(first + RUN, positions)):
                    part = part + load(plane + p * LANES)
                total += lane_sum(where_above(valid, zero(x0), part, zero(x0)))
        mean[c] = total / count
        for factor in (1.0, 2.0**-70):  # the second for numbers whose squares are too large
            unit, squares = x.dtype.type(factor), 0.0
            for g in range(groups):
                plane = x0 + (g * channels + c) * positions * LANES
                valid = load(filled0 + g * LANES)
                shift = x.dtype.type(mean[c]) * valid
                for first in range(0, positions, RUN):
                    part = zero(x0)
                    for p in range(first, min(first + RUN, positions)):
                        difference = unit * (load(plane + p * LANES) - shift)
                        part = part + difference * difference
                    squares += lane_sum(where_above(valid, zero(x0), part, zero(x0)))
            if np.isfinite(squares):
                break
        variance[c] = squares / factor**2 / count


@kernel
def mark_filled(samples, filled):
    """Ones in the lanes of a ``(G, 16)`` that hold one of the samples, zeros in the spare ones."""
    parallel_for(_mark_filled, 1, (samples, filled))


@kernel
def _mark_filled(tasks, samples, filled):
    for _ in tasks:
        for g in range(filled.shape[0]):
            for lane in range(LANES):
                filled[g, lane] = 1 if g * LANES + lane < samples else 0


@kernel
def follow(terms, count, mean, variance, running_mean, running_var):
    """Let the running averages follow a batch of `count` values of each channel.

    ``running += momentum (new - running)``, with the unbiased variance; `terms` holds the momentum
    and eps.
    """
    parallel_for(_follow, 1, (terms, count, mean, variance, running_mean, running_var))


@kernel
def _follow(tasks, terms, count, mean, variance, running_mean, running_var):
    for _ in tasks:
        momentum = terms[0]
        for c in range(mean.size):
            running_mean[c] += momentum * (mean[c] - running_mean[c])
            unbiased = variance[c] * count / (count - 1)
            running_var[c] += momentum * (unbiased - running_var[c])


@kernel
def factors(terms, variance, gamma, beta, inverse, scale, shift):
    """``inverse = 1 / √(variance + eps)``, ``scale = gamma inverse`` and ``shift = beta``."""
    parallel_for(_factors, 1, (terms, variance, gamma, beta, inverse, scale, shift))


@kernel
def _factors(tasks, terms, variance, gamma, beta, inverse, scale, shift):
    for _ in tasks:
        eps = terms[1]
        for c in range(variance.size):
            inverse[c] = 1 / np.sqrt(variance[c] + eps)
            scale[c] = np.float64(gamma[c]) * inverse[c]
            shift[c] = beta[c]


@kernel
def normalize(x, mean, scale, shift, relu, y):
    """``y = (x - mean) * scale + shift``, channel by channel, or ``max(y, 0)`` if `relu`.

    `x`, `y` of shape (G, C, P, 16); `mean`, `scale`, `shift` of float64, shape (C,).
    """
    parallel_for(_normalize_planes, x.shape[0] * x.shape[1], (x, mean, scale, shift, relu, y))


@kernel
def _normalize_planes(planes, x, mean, scale, shift, relu, y):
    groups, channels, positions, lanes = x.shape
    real = x.dtype.type
    for plane in planes:
        g, c = plane // channels, plane % channels
        m, s, b = real(mean[c]), real(scale[c]), real(shift[c])
        for p in range(positions):
            for lane in range(lanes):
                value = (x[g, c, p, lane] - m) * s + b
                y[g, c, p, lane] = real(0) if relu and value <= 0 else value


@kernel
def gradient_sums(x, dy, mask, mean, inverse, d_gamma, d_beta):
    """``d_beta = sum of dy`` and ``d_gamma = sum of dy x_hat``, x_hat = (x - mean) inverse.

    Parameters
    ----------
    x, dy : ndarray, shape (G, C, P, 16)
        `dy` zero in spare lanes.
    mask : ndarray of the shape of `x`, or None
        Where it is at most 0, `dy` is taken for 0; a NaN lets it pass.
    mean, inverse : ndarray of float64, shape (C,)
        `inverse` is one over the standard deviation.
    d_gamma, d_beta : ndarray, shape (C,)
        Filled.
    """
    parallel_for(
        _gradient_sums_of_channels, x.shape[1], (x, dy, mask, mean, inverse, d_gamma, d_beta)
    )


@kernel
def _gradient_sums_of_channels(own_channels, x, dy, mask, mean, inverse, d_gamma, d_beta):
    groups, channels, positions, _ = x.shape
    x0, dy0 = pointer(x), pointer(dy)
    mask0 = x0 if mask is None else pointer(mask)
    ones = np.ones(LANES, x.dtype)
    for c in own_channels:
        shift = x.dtype.type(mean[c]) * load(pointer(ones))
        sum_dy, sum_product = 0.0, 0.0
        for g in range(groups):
            start = (g * channels + c) * positions * LANES
            for first in range(0, positions, RUN):
                part_dy, part_product = zero(x0), zero(x0)
                for p in range(first, min(first + RUN, positions)):
                    delta = load(dy0 + start + p * LANES)
                    if mask is not None:
                        none = zero(x0)
                        delta = where_above(load(mask0 + start + p * LANES), none, delta, none)
                    part_dy = part_dy + delta
                    part_product = part_product + delta * (load(x0 + start + p * LANES) - shift)
                sum_dy += lane_sum(part_dy)
                sum_product += lane_sum(part_product)
        d_beta[c] = sum_dy
        d_gamma[c] = sum_product * inverse[c]


@kernel
def normalize_gradient(x, dy, mask, filled, mean, inverse, gamma, d_gamma, d_beta, count, dx):
    """The gradient through the normalization and, in training, through its moments.

    ``dx = gamma inverse (dy - d_beta / n - x_hat d_gamma / n)`` with n = `count`; a count
    of infinity is evaluation, in which the moments are constants. `dx`, of the shape of `dy`, is
    filled, with zeros in spare lanes; it may be `dy` itself. The others are as in
    :func:`gradient_sums` and :func:`moments`, `gamma` of shape (C,).
    """
    arguments = (x, dy, mask, filled, mean, inverse, gamma, d_gamma, d_beta, count, dx)
    parallel_for(_normalize_gradient_planes, x.shape[0] * x.shape[1], arguments)


@kernel
def _normalize_gradient_planes(
    planes, x, dy, mask, filled, mean, inverse, gamma, d_gamma, d_beta, count, dx
):
    groups, channels, positions, _ = x.shape
    real = x.dtype.type
    x0, dy0, dx0, filled0 = pointer(x), pointer(dy), pointer(dx), pointer(filled)
    mask0 = x0 if mask is None else pointer(mask)
    for plane in planes:
        g, c = plane // channels, plane % channels
        start, valid = plane * positions * LANES, load(filled0 + g * LANES)
        scale = real(gamma[c] * inverse[c]) * valid
        shift = real(mean[c]) * valid
        slope = real(inverse[c] * d_gamma[c] / count) * valid
        level = real(d_beta[c] / count) * valid
        for p in range(positions):
            at = start + p * LANES
            centred = (load(x0 + at) - shift) * slope
            delta = load(dy0 + at)
            if mask is not None:
                none = zero(x0)
                delta = where_above(load(mask0 + at), none, delta, none)
            store(scale * (delta - level - centred), dx0 + at)
