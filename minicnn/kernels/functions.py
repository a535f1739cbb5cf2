"""Activations: each function and its derivative for one number.

An activation is a pair of scalar functions that read as the formula does. `z` is its
input, `a` its output and `alpha` its parameter, where it has one; the derivative is
dσ/dz. Constants are taken in the type of `z`, so that a float32 loop holds nothing but
float32, but for those that :mod:`minicnn.kernels.simd.quick_gates` and ``gaussian`` compute in
float64.

Values and derivatives are within 2 units in the last place in float32 and within 4 in float64,
whatever z is (``python -m tests.long precision``). So a derivative is that of z: a, once
it has been rounded, has lost how far it is from its limit.

NaN stays NaN, and has the derivative NaN; where the derivative is a constant, that of one side:
1 for ReLU and ReLU6, so that delta passes, 1/6 for Hardsigmoid, and alpha for LeakyReLU. Where one
of these stops delta, a NaN in delta is stopped, too. PyTorch has the same, but for NaN of
Hardsigmoid, where it stops delta, and of ELU, SELU, CELU and Hardswish, where delta passes.
"""

import numpy as np
from numba.extending import register_jitable

from minicnn.kernels.simd import gates, quick_gates
from minicnn.kernels.simd.exponential import (
    LOWER,
    exp_parts,
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


@register_jitable
def relu6(z, alpha):
    """``min(max(z, 0), 6)``."""
    real = type(z)
    return real(0) if z <= 0 else (real(6) if z >= 6 else z)


@register_jitable
def relu6_gradient(z, a, alpha, dy):
    """``dy if 0 < a < 6 else 0``, which is where 0 < z < 6."""
    return type(z)(0) if a <= 0 or a >= 6 else dy


@register_jitable
def hardsigmoid(z, alpha):
    """``min(max(z + 3, 0), 6) / 6``."""
    real = type(z)
    return relu6(z + real(3), alpha) / real(6)


@register_jitable
def hardsigmoid_gradient(z, a, alpha, dy):
    """``dy / 6 if -3 < z < 3 else 0``."""
    real = type(z)
    return real(0) if z <= -3 or z >= 3 else dy / real(6)


@register_jitable
def hardswish(z, alpha):
    """``z min(max(z + 3, 0), 6) / 6``."""
    real = type(z)
    bent = z * (z + real(3)) / real(6)
    return real(0) if z <= -3 else (z if z >= 3 else bent)


@register_jitable
def hardswish_slope(z, a, alpha):
    """``0 if z <= -3, 1 if z >= 3, else (2 z + 3) / 6``."""
    real = type(z)
    bent = (z + real(1.5)) / real(3)
    return real(0) if z <= -3 else (real(1) if z >= 3 else bent)


@register_jitable
def celu(z, alpha):
    """``z if z > 0 else alpha (exp(z / alpha) - 1)``."""
    value, rest = expm1_parts(z / alpha)
    return z if z > 0 else multiply_add(alpha, value, alpha * rest)


@register_jitable
def celu_slope(z, a, alpha):
    """``1 if z > 0 else exp(z / alpha)``, in which the rounding of the ratio does not show."""
    real = type(z)
    x = z / alpha
    less = multiply_add(x, alpha, -z) / alpha
    less = less if abs(less) < 1 else real(0)  # NaN where the ratio is infinite
    return real(1) if z > 0 else exp_parts(x, less)[0]


@register_jitable
def silu(z, alpha):
    """``z s(z)``, s the logistic function, which is ``z - z s(-z)`` for z > 0."""
    below = -quick_gates.silu_moment(abs(z))
    return type(z)(below if z < 0 else np.float64(z) + below)


@register_jitable
def silu_slope(z, a, alpha):
    """``s(z) (1 + z s(-z))``; the sum for z and for -z is 1."""
    below = quick_gates.silu_slope(abs(z))
    return type(z)(below if z < 0 else 1.0 - below)


@register_jitable
def gelu_tanh(z, alpha):
    """``z/2 (1 + tanh(w/2))`` with ``w = 2 √(2/π) (z + 0.044715 z³)``, which is ``z s(w)``."""
    below = -quick_gates.gelu_tanh_moment(abs(z))
    return type(z)(below if z < 0 else np.float64(z) + below)


@register_jitable
def gelu_tanh_slope(z, a, alpha):
    """``s(w) (1 + z s(-w) dw/dz)``; the sum for z and for -z is 1."""
    below = quick_gates.gelu_tanh_slope(abs(z))
    return type(z)(below if z < 0 else 1.0 - below)


@register_jitable
def mish(z, alpha):
    """``z tanh(log(1 + exp(z)))``."""
    return type(z)(quick_gates.mish_value(z))


@register_jitable
def mish_slope(z, a, alpha):
    """``t + z (1 - t²) s(z)`` with t the tanh and s the logistic function."""
    return type(z)(quick_gates.mish_derivative(z))


@register_jitable
def _scaled_by(beta, z):
    """``beta z``, in float64, and what its rounding took."""
    x = np.float64(beta) * np.float64(z)
    rest = multiply_add(np.float64(beta), np.float64(z), -x)
    return x, rest if abs(rest) < 1 else 0.0  # NaN where the product is infinite


@register_jitable
def softplus(z, settings):
    """``log(1 + exp(beta z)) / beta``, and z where beta z is above the threshold."""
    beta, threshold = settings
    x, rest = _scaled_by(beta, z)
    bend = gates.raised_log1p_exp(-abs(x), rest if x > 0 else -rest) / np.float64(beta) * LOWER
    above = np.float64(0 if z < 0 else z)
    return type(z)(z if x > threshold else above + bend)


@register_jitable
def softplus_slope(z, a, settings):
    """``s(beta z)``, s the logistic function, and 1 where beta z is above the threshold."""
    beta, threshold = settings
    x, rest = _scaled_by(beta, z)
    below = gates.logistic_of(-abs(x), rest if x > 0 else -rest)
    return type(z)(1.0 if x > threshold else (below if x < 0 else 1.0 - below))
