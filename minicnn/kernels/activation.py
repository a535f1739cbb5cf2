"""Activations: each function and its derivative for one number, and their loops.

An activation is a pair of scalar functions that read as the formula does. `z` is its
input, `a` its output and `alpha` its parameter, where it has one; the derivative is
dσ/dz. Constants are taken in the type of `z`, so that a float32 loop holds nothing but
float32, but for GELU's.

Values and derivatives are within 2 units in the last place in float32 and within 4 in float64,
whatever z is (``python -m tests.long precision``). So a derivative is that of z: a, once
it has been rounded, has lost how far it is from its limit.

NaN stays NaN, and has the derivative NaN; where the derivative is a constant, that of one side:
1 for ReLU, so that delta passes, and alpha for LeakyReLU. Where ReLU stops delta, a NaN in
delta is stopped, too. PyTorch has the same.
"""

import numpy as np
from numba.extending import register_jitable

from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.exponential import (
    LOWER,
    expm1_parts,
    raised_logistic,
    raised_logistic_slope,
    ratio,
    times_exp,
    times_expm1,
)
from minicnn.kernels.simd.gaussian import tail_moment, tail_slope
from minicnn.kernels.simd.scalar import constant, copy_sign, multiply_add

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
def relu_gradient(z, a, alpha, dy):
    """``0 if z <= 0 else dy``, whatever dy is: a NaN of it does not pass either."""
    return type(z)(0) if a <= 0 else dy


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
    return z if z > 0 else times_expm1(alpha, z)


@register_jitable
def elu_slope(z, a, alpha):
    """``1 if z > 0 else alpha exp(z)``."""
    return type(z)(1) if z > 0 else times_exp(alpha, z)


@register_jitable
def selu(z, alpha):
    """``scale (z if z > 0 else alpha (exp(z) - 1))`` with the paper's scale and alpha."""
    real = type(z)
    return real(SELU_SCALE) * z if z > 0 else times_expm1(real(SELU_SCALE * SELU_ALPHA), z)


@register_jitable
def selu_slope(z, a, alpha):
    """``scale if z > 0 else scale alpha exp(z)``."""
    real = type(z)
    return real(SELU_SCALE) if z > 0 else times_exp(real(SELU_SCALE * SELU_ALPHA), z)


@register_jitable
def gelu(z, alpha):
    """``z Φ(z)``, which is ``z - z Φ(-z)`` for z > 0."""
    below = -tail_moment(abs(z))
    return type(z)(below if z < 0 else np.float64(z) + below)


@register_jitable
def gelu_slope(z, a, alpha):
    """``Φ(z) + z φ(z)``, φ the standard normal density; the sum for z and for -z is 1."""
    below = tail_slope(abs(z))
    return type(z)(below if z < 0 else 1.0 - below)


@register_jitable
def sigmoid(z, alpha):
    """``1 / (1 + exp(-z))``, by the exponential of ``-|z|``, which can not overflow."""
    real = type(z)
    below = raised_logistic(-abs(z)) * real(LOWER)
    return below if z < 0 else real(1) - below


@register_jitable
def sigmoid_slope(z, a, alpha):
    """``a (1 - a)``, where a is that of ``-|z|``."""
    return raised_logistic_slope(-abs(z)) * type(z)(LOWER)


@register_jitable
def tanh(z, alpha):
    """``tanh(z)``, which is ``-t / (2 + t)`` of ``t = exp(-2 |z|) - 1`` for z > 0, and odd."""
    real = type(z)
    t, rest = expm1_parts(-real(2) * abs(z))
    return copy_sign(ratio(t, rest, real(2), t), z)


@register_jitable
def tanh_slope(z, a, alpha):
    """``1 - a²``, which is 4 times the sigmoid's at 2 z."""
    real = type(z)
    return raised_logistic_slope(-real(2) * abs(z)) * real(4 * LOWER)


#: A number so large that 1 + it is it; there infinity is cut off.
largest = constant(1e300, for_float32=1e38)


@register_jitable
def softsign(z, alpha):
    """``z / (1 + |z|)``."""
    real = type(z)
    size = real(largest(z)) if abs(z) > real(largest(z)) else abs(z)
    return copy_sign(size / (real(1) + size), z)


@register_jitable
def softsign_slope(z, a, alpha):
    """``1 / (1 + |z|)²``, as ``q² (1 + 2 e)`` of ``q = 1 / (1 + |z|)`` with the relative error e.

    The square of 1 + |z| itself would overflow where the result is still above 0.
    """
    real = type(z)
    size = real(largest(z)) if abs(z) > real(largest(z)) else abs(z)
    q = real(1) / (real(1) + size)
    error = multiply_add(-q, size, real(1) - q)
    return multiply_add(q, q, (q + q) * (q * error))


def _scaled(slope):
    @register_jitable
    def gradient(z, a, alpha, dy):
        return slope(z, a, alpha) * dy

    return gradient


def _loops(value, gradient):
    """The loops of an activation: ``forward(z, a, alpha)`` and ``backward``."""

    @kernel
    def forward(z, a, alpha):
        """``a = σ(z)`` for `z`, `a` of shape (G, C, M), `alpha` of shape (C,) or (1,)."""
        parallel_for(forward_planes, z.shape[0] * z.shape[1], (z, a, alpha))

    @kernel
    def forward_planes(planes, z, a, alpha):
        for plane in planes:
            g, c = plane // z.shape[1], plane % z.shape[1]
            own = alpha[c % alpha.size]
            for i in range(z.shape[2]):
                a[g, c, i] = value(z[g, c, i], own)

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
            own = alpha[c % alpha.size]
            for i in range(z.shape[2]):
                out[g, c, i] = gradient(z[g, c, i], a[g, c, i], own, dy[g, c, i])

    return forward, backward


LOOPS = {
    "identity": _loops(identity, _scaled(identity_slope)),
    "relu": _loops(relu, relu_gradient),
    "leaky-relu": _loops(leaky_relu, _scaled(leaky_relu_slope)),
    "elu": _loops(elu, _scaled(elu_slope)),
    "selu": _loops(selu, _scaled(selu_slope)),
    "gelu": _loops(gelu, _scaled(gelu_slope)),
    "sigmoid": _loops(sigmoid, _scaled(sigmoid_slope)),
    "tanh": _loops(tanh, _scaled(tanh_slope)),
    "softsign": _loops(softsign, _scaled(softsign_slope)),
}


def _forward_with_slope(value, slope):
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
            own = alpha[c % alpha.size]
            for i in range(z.shape[2]):
                number = z[g, c, i]
                a[g, c, i] = value(number, own)
                out[g, c, i] = slope(number, a[g, c, i], own)

    return forward


#: Loops of the functions whose slope takes as long as their value, for a backward pass that is
#: then a product.
WITH_SLOPE = {
    "sigmoid": _forward_with_slope(sigmoid, sigmoid_slope),
    "tanh": _forward_with_slope(tanh, tanh_slope),
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
