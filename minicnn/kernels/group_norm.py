"""Normalization within each sample, over groups of its numbers; and gradients through it.

A sample is ``(W, R)`` vectors of lanes: W weights, each for R numbers that follow one another, so
that arrays are ``(G, W, R, 16)``. Its K groups are equally long parts of it. Each lane, being a
sample of its own, has its own moments, ``(G, K, 2, 16)``: the mean, and one over the deviation.

Sums have two levels, so that in float32 no more than some thousand numbers are added to one.
"""

import numpy as np

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.arithmetic import lane_sum
from minicnn.kernels.simd.vector import load, pointer, store, zero

RUN = 1024  # vectors that are added up to one


@kernel
def normalize(x, weight, bias, terms, centred, moments, y):
    """``y = weight x_hat + bias`` with ``x_hat = (x - mean) / √(variance + eps)``.

    Parameters
    ----------
    x, y : ndarray, shape (G, W, R, 16)
    weight, bias : ndarray, shape (W,)
    terms : ndarray of float64, shape (1,)
        eps.
    centred : bool
        If not, the mean is 0, and the variance the mean of x².
    moments : ndarray, shape (G, K, 2, 16)
        Filled. K divides W.
    """
    arguments = (x, weight, bias, terms, centred, moments, y)
    parallel_for(_normalize_groups, moments.shape[0] * moments.shape[1], arguments)


@kernel
def _normalize_groups(groups, x, weight, bias, terms, centred, moments, y):
    weights, run = x.shape[1] // moments.shape[1], x.shape[2]
    x0, y0, moments0 = pointer(x), pointer(y), pointer(moments)
    ones = np.ones(LANES, x.dtype)
    for group in groups:
        start, own = group * weights * run * LANES, group % moments.shape[1] * weights
        into = moments.reshape(-1, 2, LANES)[group]
        group_moments(x0 + start, weights * run, terms[0], centred, into)
        mean = load(moments0 + group * 2 * LANES)
        inverse = load(moments0 + (group * 2 + 1) * LANES)
        for w in range(weights):
            scale, shift = weight[own + w] * inverse, bias[own + w] * load(pointer(ones))
            for p in range(w * run, (w + 1) * run):
                at = start + p * LANES
                store(scale * (load(x0 + at) - mean) + shift, y0 + at)


@kernel
def group_moments(x0, count, eps, centred, moments):
    """The mean of `count` vectors, and ``1 / √(variance + eps)``, into a (2, 16).

    What is left of the mean when it has been taken off corrects both.
    """
    variance = np.empty(LANES)
    moments[...] = 0
    if centred:
        total = zero(x0)
        for first in range(0, count, RUN):
            part = zero(x0)
            for p in range(first, min(first + RUN, count)):
                part = part + load(x0 + p * LANES)
            total = total + part
        store(total, pointer(moments))
        for lane in range(LANES):
            moments[0, lane] = np.float64(moments[0, lane]) / count
    real = moments.dtype.type
    sums = np.empty_like(moments)
    for factor in (1.0, 2.0**-70):  # the second for numbers whose squares are too large
        unit, mean = real(factor), load(pointer(moments))
        rest, squares = zero(x0), zero(x0)
        for first in range(0, count, RUN):
            part, part_squares = zero(x0), zero(x0)
            for p in range(first, min(first + RUN, count)):
                difference = unit * (load(x0 + p * LANES) - mean)
                part = part + difference
                part_squares = part_squares + difference * difference
            rest, squares = rest + part, squares + part_squares
        store(rest, pointer(sums))
        store(squares, pointer(sums) + LANES)
        for lane in range(LANES):
            if factor == 1.0 or not np.isfinite(variance[lane]):
                left = np.float64(sums[0, lane]) / factor / count if centred else 0.0
                square = np.float64(sums[1, lane]) / factor**2 / count - left * left
                variance[lane] = 0.0 if square < 0 else square
                sums[0, lane] = left
            else:
                sums[0, lane] = 0
        again = False
        for lane in range(LANES):
            if np.isfinite(variance[lane]):
                moments[0, lane] += sums[0, lane]
            else:
                again = True
        if not again:
            break
    for lane in range(LANES):
        moments[1, lane] = 1 / np.sqrt(variance[lane] + eps)


@kernel
def normalize_gradient(x, dy, weight, centred, moments, dx):
    """The gradient through the normalization and its moments, of n numbers in a group.

    ::

        dx = (d - (1/n) sum of d - x_hat (1/n) sum of d x_hat) / √(variance + eps)    d = weight dy

    Without the sum of d if it is not `centred`. Shapes are those of :func:`normalize`; `dx` is
    filled, and may be `dy`.
    """
    arguments = (x, dy, weight, centred, moments, dx)
    parallel_for(_normalize_gradient_groups, moments.shape[0] * moments.shape[1], arguments)


@kernel
def _normalize_gradient_groups(groups, x, dy, weight, centred, moments, dx):
    weights, run = x.shape[1] // moments.shape[1], x.shape[2]
    x0, dy0, dx0, moments0 = pointer(x), pointer(dy), pointer(dx), pointer(moments)
    real, step = x.dtype.type, max(1, RUN // run)
    share = real(1 / (weights * run))
    for group in groups:
        start, own = group * weights * run * LANES, group % moments.shape[1] * weights
        mean = load(moments0 + group * 2 * LANES)
        inverse = load(moments0 + (group * 2 + 1) * LANES)
        level, slope = zero(x0), zero(x0)
        for first_weight in range(0, weights, step):
            sums, products = zero(x0), zero(x0)
            for w in range(first_weight, min(first_weight + step, weights)):
                for first in range(w * run, (w + 1) * run, RUN):
                    part, part_product = zero(x0), zero(x0)
                    for p in range(first, min(first + RUN, (w + 1) * run)):
                        delta = load(dy0 + start + p * LANES)
                        x_hat = inverse * (load(x0 + start + p * LANES) - mean)
                        part, part_product = part + delta, part_product + delta * x_hat
                    sums = sums + weight[own + w] * part
                    products = products + weight[own + w] * part_product
            level, slope = level + sums, slope + products
        slope = share * slope
        level = share * level if centred else zero(x0)
        for w in range(weights):
            for p in range(w * run, (w + 1) * run):
                at = start + p * LANES
                x_hat = inverse * (load(x0 + at) - mean)
                delta = weight[own + w] * load(dy0 + at)
                store(inverse * (delta - level - x_hat * slope), dx0 + at)


@kernel
def gradient_sums(x, dy, moments, d_weight, d_bias):
    """``d_weight = sum of dy x_hat`` and ``d_bias = sum of dy``, for each weight over all samples.

    Parameters
    ----------
    x, dy : ndarray, shape (G, W, R, 16)
        `dy` zero in spare lanes.
    moments : ndarray, shape (G, K, 2, 16), or None
        As :func:`normalize` fills it; without it x_hat is x.
    d_weight : ndarray, shape (W,)
        Filled.
    d_bias : ndarray, shape (W,), or None
        Filled.
    """
    parallel_for(_gradient_sums_of_weights, x.shape[1], (x, dy, moments, d_weight, d_bias))


@kernel
def _gradient_sums_of_weights(own_weights, x, dy, moments, d_weight, d_bias):
    samples, weights, run, _ = x.shape
    x0, dy0 = pointer(x), pointer(dy)
    for w in own_weights:
        total, total_product = zero(x0), zero(x0)
        for g in range(samples):
            start = (g * weights + w) * run * LANES
            for first in range(0, run, RUN):
                part, part_product = zero(x0), zero(x0)
                for p in range(first, min(first + RUN, run)):
                    delta, x_hat = load(dy0 + start + p * LANES), load(x0 + start + p * LANES)
                    if moments is not None:
                        group = g * moments.shape[1] + w * moments.shape[1] // weights
                        own = pointer(moments) + group * 2 * LANES
                        x_hat = load(own + LANES) * (x_hat - load(own))
                    part, part_product = part + delta, part_product + delta * x_hat
                total, total_product = total + part, total_product + part_product
        d_weight[w] = lane_sum(total_product)
        if d_bias is not None:
            d_bias[w] = lane_sum(total)
