"""Loops of the activations: σ(z) and σ'(z) dE/da of every number of an array.

The functions stand in :mod:`minicnn.kernels.functions`. A loop is compiled when it is first called.
"""

import numpy as np
from numba.extending import register_jitable

from minicnn.kernels import functions as f
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for


def _scaled(slope):
    @register_jitable
    def gradient(z, a, alpha, dy):
        return slope(z, a, alpha) * dy

    return gradient


@register_jitable
def _of_channel(alpha, c):
    """One number for all channels, or one for each."""
    return alpha[c % alpha.size]


@register_jitable
def _both(alpha, c):
    """Two settings for all channels."""
    return alpha[0], alpha[1]


def _loops(value, gradient, settings=_of_channel):
    """The loops of an activation: ``forward(z, a, alpha)`` and ``backward``."""

    @kernel
    def forward(z, a, alpha):
        """``a = σ(z)`` for `z`, `a` of shape (G, C, M), `alpha` of shape (C,) or (1,).

        Softplus takes ``[beta, threshold]`` for alpha. Without an `a` the result is written over
        `z`, as in `backward`.
        """
        parallel_for(forward_planes, z.shape[0] * z.shape[1], (z, a, alpha))

    @kernel
    def forward_planes(planes, z, a, alpha):
        out = z if a is None else a
        for plane in planes:
            g, c = plane // z.shape[1], plane % z.shape[1]
            own = settings(alpha, c)
            for i in range(z.shape[2]):
                out[g, c, i] = value(z[g, c, i], own)

    @kernel
    def backward(z, a, dy, dx, alpha):
        """``dx = diag(σ'(z)) dy``; shapes as in `forward`.

        Without a `dx` the result is written over `dy`. The compiler then knows that it is the
        same array; for two that may overlap it would take one number at a time.
        """
        parallel_for(backward_planes, z.shape[0] * z.shape[1], (z, a, dy, dx, alpha))

    @kernel
    def backward_planes(planes, z, a, dy, dx, alpha):
        out = dy if dx is None else dx
        for plane in planes:
            g, c = plane // z.shape[1], plane % z.shape[1]
            own = settings(alpha, c)
            for i in range(z.shape[2]):
                out[g, c, i] = gradient(z[g, c, i], a[g, c, i], own, dy[g, c, i])

    return forward, backward


LOOPS = {
    "identity": _loops(f.identity, _scaled(f.identity_slope)),
    "relu": _loops(f.relu, f.relu_gradient),
    "leaky-relu": _loops(f.leaky_relu, _scaled(f.leaky_relu_slope)),
    "elu": _loops(f.elu, _scaled(f.elu_slope)),
    "selu": _loops(f.selu, _scaled(f.selu_slope)),
    "gelu": _loops(f.gelu, _scaled(f.gelu_slope)),
    "sigmoid": _loops(f.sigmoid, _scaled(f.sigmoid_slope)),
    "tanh": _loops(f.tanh, _scaled(f.tanh_slope)),
    "softsign": _loops(f.softsign, _scaled(f.softsign_slope)),
    "relu6": _loops(f.relu6, f.relu6_gradient),
    "hardsigmoid": _loops(f.hardsigmoid, f.hardsigmoid_gradient),
    "hardswish": _loops(f.hardswish, _scaled(f.hardswish_slope)),
    "celu": _loops(f.celu, _scaled(f.celu_slope)),
    "silu": _loops(f.silu, _scaled(f.silu_slope)),
    "gelu-tanh": _loops(f.gelu_tanh, _scaled(f.gelu_tanh_slope)),
    "mish": _loops(f.mish, _scaled(f.mish_slope)),
    "softplus": _loops(f.softplus, _scaled(f.softplus_slope), _both),
}


def _forward_with_slope(value, slope, settings=_of_channel):
    """A loop that also keeps σ'(z), where it is made of the same exponential as the value."""

    @kernel
    def forward(z, a, kept, alpha):
        """``a = σ(z)`` and ``kept = σ'(z)``, in the shapes of `_loops`.

        Without a `kept` the slope is written over `z`.
        """
        parallel_for(planes_of, z.shape[0] * z.shape[1], (z, a, kept, alpha))

    @kernel
    def planes_of(planes, z, a, kept, alpha):
        out = z if kept is None else kept
        for plane in planes:
            g, c = plane // z.shape[1], plane % z.shape[1]
            own = settings(alpha, c)
            for i in range(z.shape[2]):
                number = z[g, c, i]
                a[g, c, i] = value(number, own)
                out[g, c, i] = slope(number, a[g, c, i], own)

    return forward


#: Loops of the functions whose slope takes as long as their value, for a backward pass that is
#: then a product.
WITH_SLOPE = {
    "sigmoid": _forward_with_slope(f.sigmoid, f.sigmoid_slope),
    "tanh": _forward_with_slope(f.tanh, f.tanh_slope),
    "silu": _forward_with_slope(f.silu, f.silu_slope),
    "gelu-tanh": _forward_with_slope(f.gelu_tanh, f.gelu_tanh_slope),
    "mish": _forward_with_slope(f.mish, f.mish_slope),
    "softplus": _forward_with_slope(f.softplus, f.softplus_slope, _both),
}


@kernel
def multiply(slope, dy, dx):
    """``dx = slope dy`` for arrays of shape (G, C, M); without a `dx` it is written over `dy`."""
    parallel_for(_multiply_planes, dy.shape[0] * dy.shape[1], (slope, dy, dx))


@kernel
def _multiply_planes(planes, slope, dy, dx):
    out = dy if dx is None else dx
    for plane in planes:
        g, c = plane // dy.shape[1], plane % dy.shape[1]
        for i in range(dy.shape[2]):
            out[g, c, i] = slope[g, c, i] * dy[g, c, i]


@kernel
def leaky_relu_alpha_gradient(z, dy, out):
    """``out[c] = sum of dy z where z < 0``; `z`, `dy` of shape (G, C, M), `out` (C,)."""
    parallel_for(_alpha_gradient_of_channels, z.shape[1], (z, dy, out))


@kernel
def total(numbers, out):
    """``out[0] = sum of the numbers``, a few, added up in float64 one after the other."""
    parallel_for(_total, 1, (numbers, out))


@kernel
def _total(tasks, numbers, out):
    for _ in tasks:
        sum_ = np.float64(0)
        for i in range(numbers.size):
            sum_ += np.float64(numbers[i])
        out[0] = sum_


@kernel
def _alpha_gradient_of_channels(own_channels, z, dy, out):
    for c in own_channels:
        total = np.float64(0)
        for g in range(z.shape[0]):
            for i in range(z.shape[2]):
                if z[g, c, i] < 0:
                    total += np.float64(dy[g, c, i]) * np.float64(z[g, c, i])
        out[c] = total
