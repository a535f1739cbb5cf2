"""The gates of float32 numbers: their formulas as they stand, in float64.

What :mod:`minicnn.kernels.simd.gates` does with pairs of numbers is not needed here. Next to a root
of a derivative two terms cancel, but a float32 number is no nearer to it than 1e-9, and float64 has
seven more digits than that. LLVM makes vector instructions of these.
"""

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from minicnn.kernels.simd import gates
from minicnn.kernels.simd.exponential import split
from minicnn.kernels.simd.gates import FAR, GELU_B, LEVEL
from minicnn.kernels.simd.scalar import multiply_add, power_of_two

LEAST = -600.0  # exp is 0 there beside any float32
GELU_A = 1.5957691216057308  # 2 √(2/π); B is 0.044715 of it


@register_jitable
def _exp(x):
    """``exp(x)`` for x < 600, and that of `LEAST` below it."""
    t, p = split(LEAST if x < LEAST else x, 0.0)
    unit = power_of_two(t)
    return multiply_add(unit, p, unit)


def _gate(parts):
    """``t e / (1 + e)`` and ``e (1 + e - t w'(t)) / (1 + e)²``, e = exp(-w(t)), for t >= 0.

    `parts` gives w(t) and t w'(t).
    """

    @register_jitable
    def moment(t):
        t = FAR if t > FAR else np.float64(t)
        e = _exp(-parts(t)[0])
        return t * e / (1.0 + e)

    @register_jitable
    def slope(t):
        t = FAR if t > FAR else np.float64(t)
        w, falls = parts(t)
        e = _exp(-w)
        opening = 1.0 / (1.0 + e)
        return e * opening * ((1.0 + e - falls) * opening)

    return moment, slope


@register_jitable
def _silu_parts(t):
    return t, t


@register_jitable
def _gelu_tanh_parts(t):
    w = t * multiply_add(GELU_B * t, t, GELU_A)
    return w, t * multiply_add(3.0 * GELU_B * t, t, GELU_A)


_silu_moment, _silu_slope = _gate(_silu_parts)
_gelu_tanh_moment, _gelu_tanh_slope = _gate(_gelu_tanh_parts)


@register_jitable
def _mish_value(z):
    z = np.float64(z)
    x = LEVEL if z > LEVEL else (-FAR if z < -FAR else z)
    e = _exp(x)
    n = e * (e + 2.0)
    below = x * n / (n + 2.0)
    return z if z > LEVEL else below


@register_jitable
def _mish_derivative(z):
    z = np.float64(z)
    z = LEVEL if z > LEVEL else (-FAR if z < -FAR else z)
    e = _exp(z)
    s, part = 1.0 + e, 1.0 / multiply_add(e, e + 2.0, 2.0)
    g = multiply_add(s, multiply_add(s, s + 1.0, 1.0 + 4.0 * z), 1.0)
    return e * part * (g * part)


def _by_type(careful, quick):
    """`quick` for float32, and `careful` for float64."""

    def function(z):
        return careful(z)

    @overload(function)
    def chosen(z):
        own = quick if z == types.float32 else careful
        return lambda z: own(z)

    return function


silu_moment = _by_type(gates.silu_moment, _silu_moment)
silu_slope = _by_type(gates.silu_slope, _silu_slope)
gelu_tanh_moment = _by_type(gates.gelu_tanh_moment, _gelu_tanh_moment)
gelu_tanh_slope = _by_type(gates.gelu_tanh_slope, _gelu_tanh_slope)
mish_value = _by_type(gates.mish_value, _mish_value)
mish_derivative = _by_type(gates.mish_derivative, _mish_derivative)
