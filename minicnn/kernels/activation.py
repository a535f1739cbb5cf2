"""Activations: each function and its derivative for one number, and their loops.

An activation is a pair of scalar functions that read as the formula does. `z` is its
input, `a` its output and `alpha` its parameter, where it has one; the derivative is
dσ/dz. NaN stays NaN. Constants are taken in the type of `z`, so that a float32 loop
holds nothing but float32.
"""

import math

import numpy as np
from numba.extending import register_jitable

from minicnn.kernels.exponential import expm1
from minicnn.kernels.launch import kernel
from minicnn.kernels.team import share

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@register_jitable
def identity(z, alpha):
    """``z``."""
    return z


@register_jitable
def identity_slope(z, a, alpha):
    """``1``."""
    return type(z)(1)


@register_jitable
def relu(z, alpha):
    """``max(z, 0)``."""
    return type(z)(0) if z <= 0 else z


@register_jitable
def relu_slope(z, a, alpha):
    """``1 if z > 0 else 0``; 0 at z = 0."""
    return type(z)(1) if a > 0 else type(z)(0)


@register_jitable
def leaky_relu(z, alpha):
    """``z if z > 0 else alpha z``."""
    return alpha * z if z <= 0 else z


@register_jitable
def leaky_relu_slope(z, a, alpha):
    """``1 if z > 0 else alpha``."""
    return type(z)(1) if z > 0 else alpha


@register_jitable
def elu(z, alpha):
    """``z if z > 0 else alpha (exp(z) - 1)``."""
    return z if z > 0 else alpha * expm1(z)


@register_jitable
def elu_slope(z, a, alpha):
    """``1 if z > 0 else alpha exp(z)``, which is ``a + alpha``."""
    return type(z)(1) if z > 0 else a + alpha


@register_jitable
def selu(z, alpha):
    """``scale (z if z > 0 else alpha (exp(z) - 1))`` with the paper's scale and alpha."""
    real = type(z)
    return real(SELU_SCALE) * elu(z, real(SELU_ALPHA))


@register_jitable
def selu_slope(z, a, alpha):
    """``scale if z > 0 else scale alpha exp(z)``, which is ``a + scale alpha``."""
    real = type(z)
    return real(SELU_SCALE) if z > 0 else a + real(SELU_SCALE * SELU_ALPHA)


@register_jitable
def normal_cdf(z):
    """``Φ(z) = (1 + erf(z / √2)) / 2``."""
    real = type(z)
    return real(0.5) * (real(1) + real(math.erf(z * real(math.sqrt(0.5)))))


@register_jitable
def gelu(z, alpha):
    """``z Φ(z)``."""
    return z * normal_cdf(z)


@register_jitable
def gelu_slope(z, a, alpha):
    """``Φ(z) + z φ(z)``, φ the standard normal density."""
    real = type(z)
    density = real(math.exp(-real(0.5) * z * z)) * real(1 / math.sqrt(2 * math.pi))
    return normal_cdf(z) + z * density


@register_jitable
def sigmoid(z, alpha):
    """``1 / (1 + exp(-z))``, by the exponential of ``-|z|``, which can not overflow."""
    one = type(z)(1)
    e = expm1(-abs(z)) + one
    return (e if z < 0 else one) / (one + e)


@register_jitable
def sigmoid_slope(z, a, alpha):
    """``a (1 - a)``."""
    return a * (type(z)(1) - a)


@register_jitable
def tanh(z, alpha):
    """``tanh(z)``, which is ``-t / (t + 2)`` of ``t = exp(-2 |z|) - 1`` for z > 0, and odd."""
    two = type(z)(2)
    t = expm1(-two * abs(z))
    return (t if z < 0 else -t) / (t + two)


@register_jitable
def tanh_slope(z, a, alpha):
    """``1 - a²``."""
    return type(z)(1) - a * a


@register_jitable
def softsign(z, alpha):
    """``z / (1 + |z|)``."""
    return z / (type(z)(1) + abs(z))


@register_jitable
def softsign_slope(z, a, alpha):
    """``1 / (1 + |z|)²``, which is ``(1 - |a|)²``; as the former it keeps its digits."""
    one = type(z)(1)
    return one / ((one + abs(z)) * (one + abs(z)))


def _loops(value, slope):
    """The loops of an activation: ``forward(z, a, alpha)`` and ``backward``."""

    @kernel
    def forward(z, a, alpha):
        """``a = σ(z)`` for `z`, `a` of shape (G, C, M), `alpha` of shape (C,) or (1,)."""
        share(forward_planes, z.shape[0] * z.shape[1], (z, a, alpha))

    @kernel
    def forward_planes(planes, z, a, alpha):
        for plane in planes:
            g, c = plane // z.shape[1], plane % z.shape[1]
            own = alpha[c % alpha.size]
            for i in range(z.shape[2]):
                a[g, c, i] = value(z[g, c, i], own)

    @kernel
    def backward(z, a, dy, dx, alpha):
        """``dx = diag(σ'(z)) dy``; shapes as in `forward`."""
        share(backward_planes, z.shape[0] * z.shape[1], (z, a, dy, dx, alpha))

    @kernel
    def backward_planes(planes, z, a, dy, dx, alpha):
        for plane in planes:
            g, c = plane // z.shape[1], plane % z.shape[1]
            own = alpha[c % alpha.size]
            for i in range(z.shape[2]):
                dx[g, c, i] = slope(z[g, c, i], a[g, c, i], own) * dy[g, c, i]

    return forward, backward


LOOPS = {
    "identity": _loops(identity, identity_slope),
    "relu": _loops(relu, relu_slope),
    "leaky-relu": _loops(leaky_relu, leaky_relu_slope),
    "elu": _loops(elu, elu_slope),
    "selu": _loops(selu, selu_slope),
    "gelu": _loops(gelu, gelu_slope),
    "sigmoid": _loops(sigmoid, sigmoid_slope),
    "tanh": _loops(tanh, tanh_slope),
    "softsign": _loops(softsign, softsign_slope),
}


@kernel
def leaky_relu_alpha_gradient(z, dy, out):
    """``out[c] = sum of dy z where z < 0``; `z`, `dy` of shape (G, C, M), `out` (C,)."""
    share(_alpha_gradient_of_channels, z.shape[1], (z, dy, out))


@kernel
def _alpha_gradient_of_channels(own_channels, z, dy, out):
    for c in own_channels:
        total = np.float64(0)
        for g in range(z.shape[0]):
            for i in range(z.shape[2]):
                if z[g, c, i] < 0:
                    total += np.float64(dy[g, c, i]) * np.float64(z[g, c, i])
        out[c] = total
