"""Normalization of each pixel over its channels; and gradients through it.

Arrays are of shape (G, C, P, 16), so that the channels of a pixel stand far apart. A task copies a
few neighbouring pixels, each with its channels side by side, into an array that fits into the
cache, and works there. Each pixel has its own moments, ``(G, P, 2, 16)``: the mean, and one over
the deviation, as of the groups of :mod:`minicnn.kernels.group_norm`, which computes them.
"""

import numpy as np

from minicnn.kernels import LANES
from minicnn.kernels.group_norm import RUN, group_moments
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.arithmetic import lane_sum
from minicnn.kernels.simd.vector import load, pointer, store, zero

BLOCK = 2048  # vectors that a task copies at a time, 128 kB in float32


@kernel
def block_size(channels):
    """How many pixels a task copies: together they have some `BLOCK` vectors."""
    return max(1, BLOCK // channels)


@kernel
def block_count(pixels, channels):
    """How many tasks the pixels of a lane group are."""
    size = block_size(channels)
    return (pixels + size - 1) // size


@kernel
def normalize(x, weight, bias, terms, moments, y):
    """``y[c] = weight[c] x_hat[c] + bias[c]``, ``x_hat = (x - mean) / √(variance + eps)``.

    Parameters
    ----------
    x, y : ndarray, shape (G, C, P, 16)
    weight, bias : ndarray, shape (C,)
    terms : ndarray of float64, shape (1,)
        eps.
    moments : ndarray, shape (G, P, 2, 16)
        Filled: of the C numbers of each pixel.
    """
    blocks = len(x) * block_count(x.shape[2], x.shape[1])
    parallel_for(_normalize_blocks, blocks, (x, weight, bias, terms, moments, y))


@kernel
def _normalize_blocks(blocks, x, weight, bias, terms, moments, y):
    _, channels, pixels, _ = x.shape
    size, count = block_size(channels), block_count(pixels, channels)
    block = np.empty((size, channels, LANES), x.dtype)
    ones = np.ones(LANES, x.dtype)
    x0, y0, one = pointer(x), pointer(y), load(pointer(ones))
    moments0, own = pointer(moments), moments.reshape(-1, 2, LANES)
    for number in blocks:
        block0 = pointer(block)  # here, as Numba frees an array after its last use
        g, first = number // count, number % count * size
        here = min(size, pixels - first)
        for c in range(channels):
            source = x0 + ((g * channels + c) * pixels + first) * LANES
            for p in range(here):
                store(load(source + p * LANES), block0 + (p * channels + c) * LANES)
        for p in range(here):
            pixel = g * pixels + first + p
            group_moments(block0 + p * channels * LANES, channels, terms[0], True, own[pixel])
        for c in range(channels):
            target = y0 + ((g * channels + c) * pixels + first) * LANES
            scale, shift = weight[c], bias[c] * one
            for p in range(here):
                at = moments0 + (g * pixels + first + p) * 2 * LANES
                x_hat = load(at + LANES) * (load(block0 + (p * channels + c) * LANES) - load(at))
                store(scale * x_hat + shift, target + p * LANES)


@kernel
def normalize_gradient(x, dy, weight, moments, dx):
    """The gradient through the normalization of each pixel and its moments.

    ::

        dx = (d - (1/C) sum of d - x_hat (1/C) sum of d x_hat) / √(variance + eps)    d = weight dy

    Shapes are those of :func:`normalize`; `dx` is filled, and may be `dy`.
    """
    blocks = len(x) * block_count(x.shape[2], x.shape[1])
    parallel_for(_normalize_gradient_blocks, blocks, (x, dy, weight, moments, dx))


@kernel
def _normalize_gradient_blocks(blocks, x, dy, weight, moments, dx):
    _, channels, pixels, _ = x.shape
    size, count = block_size(channels), block_count(pixels, channels)
    block = np.empty((size, channels, 2, LANES), x.dtype)  # d and x_hat
    x0, dy0, dx0, moments0 = pointer(x), pointer(dy), pointer(dx), pointer(moments)
    share = x.dtype.type(1 / channels)
    for number in blocks:
        block0 = pointer(block)  # here, as Numba frees an array after its last use
        g, first = number // count, number % count * size
        here = min(size, pixels - first)
        for c in range(channels):
            start = ((g * channels + c) * pixels + first) * LANES
            for p in range(here):
                own = moments0 + (g * pixels + first + p) * 2 * LANES
                at, to = start + p * LANES, block0 + (p * channels + c) * 2 * LANES
                store(weight[c] * load(dy0 + at), to)
                store(load(own + LANES) * (load(x0 + at) - load(own)), to + LANES)
        for p in range(here):
            start = block0 + p * channels * 2 * LANES
            level, slope = zero(x0), zero(x0)
            for begin in range(0, channels, RUN):
                part, part_product = zero(x0), zero(x0)
                for c in range(begin, min(begin + RUN, channels)):
                    d, x_hat = load(start + c * 2 * LANES), load(start + (c * 2 + 1) * LANES)
                    part, part_product = part + d, part_product + d * x_hat
                level, slope = level + part, slope + part_product
            level, slope = share * level, share * slope
            inverse = load(moments0 + ((g * pixels + first + p) * 2 + 1) * LANES)
            for c in range(channels):
                d, x_hat = load(start + c * 2 * LANES), load(start + (c * 2 + 1) * LANES)
                store(inverse * (d - level - x_hat * slope), start + c * 2 * LANES)
        for c in range(channels):
            target = dx0 + ((g * channels + c) * pixels + first) * LANES
            for p in range(here):
                store(load(block0 + (p * channels + c) * 2 * LANES), target + p * LANES)


@kernel
def gradient_sums(x, dy, moments, d_weight, d_bias):
    """``d_weight = sum of dy x_hat`` and ``d_bias = sum of dy``, of each channel over all else.

    Parameters
    ----------
    x, dy : ndarray, shape (G, C, P, 16)
        `dy` zero in spare lanes.
    moments : ndarray, shape (G, P, 2, 16)
        As :func:`normalize` fills it.
    d_weight, d_bias : ndarray, shape (C,)
        Filled.
    """
    parallel_for(_gradient_sums_of_channels, x.shape[1], (x, dy, moments, d_weight, d_bias))


@kernel
def _gradient_sums_of_channels(own_channels, x, dy, moments, d_weight, d_bias):
    groups, channels, pixels, _ = x.shape
    x0, dy0, moments0 = pointer(x), pointer(dy), pointer(moments)
    for c in own_channels:
        total, total_product = zero(x0), zero(x0)
        for g in range(groups):
            start = (g * channels + c) * pixels * LANES
            for first in range(0, pixels, RUN):
                part, part_product = zero(x0), zero(x0)
                for p in range(first, min(first + RUN, pixels)):
                    own = moments0 + (g * pixels + p) * 2 * LANES
                    delta = load(dy0 + start + p * LANES)
                    x_hat = load(own + LANES) * (load(x0 + start + p * LANES) - load(own))
                    part, part_product = part + delta, part_product + delta * x_hat
                total, total_product = total + part, total_product + part_product
        d_weight[c], d_bias[c] = lane_sum(total_product), lane_sum(total)
