"""Operations on single numbers that LLVM turns into vector instructions, in loops.

Each is an ordinary Python function, too, for reading and for tests.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import overload, register_jitable

from minicnn.kernels.simd.vector import emits


def multiply_add(x, y, z):
    """``x y + z``, rounded once when compiled."""
    return x * y + z


@emits(lambda x, y, z: x(x, x, x))
def _multiply_add(builder, x, y, z):
    return builder.fma(x, y, z)


@overload(multiply_add)
def _multiply_add_of(x, y, z):
    return lambda x, y, z: _multiply_add(x, y, z)


@register_jitable
def two_sum(x, y):
    """``x + y``, as a number and what its rounding took (Knuth); x and y are finite."""
    total = x + y
    back = total - x
    return total, (x - (total - back)) + (y - back)


@register_jitable
def pair_sum(x, x_rest, y, y_rest):
    """The sum of two numbers that come with a rest each, with its rest; all finite."""
    total, lost = two_sum(x, y)
    return total, lost + (x_rest + y_rest)


@register_jitable
def pair_product(x, x_rest, y, y_rest):
    """The product of two numbers that come with a rest each, with its rest."""
    product = x * y
    return product, multiply_add(x, y, -product) + multiply_add(x, y_rest, x_rest * y)


@register_jitable
def pair_ratio(x, x_rest, y, y_rest):
    """The ratio of two numbers that come with a rest each, with its rest."""
    r = type(x)(1) / y
    q = x * r
    return q, r * (multiply_add(-q, y, x) + multiply_add(-q, y_rest, x_rest))


def copy_sign(x, y):
    """`x` with the sign of `y`."""
    return math.copysign(x, y)


@emits(lambda x, y: x(x, x))
def _copy_sign(builder, x, y):
    kind = ir.FunctionType(x.type, [x.type, x.type])
    return builder.call(builder.module.declare_intrinsic("llvm.copysign", [x.type], kind), [x, y])


@overload(copy_sign)
def _copy_sign_of(x, y):
    return lambda x, y: _copy_sign(x, y)


def constant(value, for_float32):
    """A function of a number that is `value`, or another one where the number is a float32."""

    def of(x):
        return value

    @overload(of)
    def compiled(x):
        chosen = for_float32 if x == types.float32 else value
        return lambda x: chosen

    return of


#: A number R: ``(y + R) - R`` is the whole number nearest to y.
rounder = constant(1.5 * 2.0**52, for_float32=1.5 * 2.0**23)


def power_of_two(t):
    """``2^n`` of ``t = n + rounder(t)``; 0 for the n below the least of a normal number."""
    return 2.0 ** (t - rounder(t))


@emits(lambda t: t(t))
def _power_of_two(builder, t):
    bits, fraction, bias = (32, 23, 127) if t.type == ir.FloatType() else (64, 52, 1023)
    whole = ir.IntType(bits)
    n = builder.bitcast(t, whole)  # in its lowest bits
    power = builder.add(builder.shl(n, whole(fraction)), whole(bias << fraction))
    return builder.bitcast(power, t.type)


@overload(power_of_two)
def _power_of_two_of(t):
    return lambda t: _power_of_two(t)


def polynomial(coefficients, for_float32=None):
    """A function ``c_0 + c_1 x + c_2 x² + ...`` by Horner's rule, each step rounded once.

    The coefficients are for float64; there may be fewer `for_float32`.
    """

    def value(x):
        result = 0.0
        for c in reversed(coefficients):
            result = multiply_add(result, x, c)
        return result

    @emits(lambda x: x(x))
    def compiled(builder, x):
        wide = x.type == ir.DoubleType()
        chosen = coefficients if wide else [float(np.float32(c)) for c in for_float32]
        result, *others = (ir.Constant(x.type, c) for c in reversed(chosen))
        for c in others:
            result = builder.fma(result, x, c)
        return result

    @overload(value)
    def value_of(x):
        return lambda x: compiled(x)

    return value
