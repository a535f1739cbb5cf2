"""The exponential function, written so that LLVM computes a whole register of them at once.

The C library's functions take one number at a time; a loop of additions, multiplications
and choices becomes vector instructions by itself.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

# Of the exponential minus 1 by Taylor's series: enough for |r| <= ln(2) / 2 in float64.
T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12 = (1 / math.factorial(k) for k in range(2, 13))


def power_of_two(n):
    """``2^n`` of a whole number n, given and returned as a float."""
    return 2.0**n


@intrinsic
def _power_of_two(_, n):
    bits, fraction, bias = (32, 23, 127) if n == types.float32 else (64, 52, 1023)

    def codegen(context, builder, signature, args):
        whole = ir.IntType(bits)
        exponent = builder.add(builder.fptosi(args[0], whole), whole(bias))
        return builder.bitcast(builder.shl(exponent, whole(fraction)), args[0].type)

    return n(n), codegen


@overload(power_of_two)
def _power_of_two_of(n):
    return lambda n: _power_of_two(n)


def limits(x):
    """Two parts of ln 2, the first with exact multiples, and the least x of a normal exp(x)."""
    return 6.93147180369123816490e-01, 1.90821492927058770002e-10, -708.0


@overload(limits)
def _limits_of(x):
    if x == types.float32:
        values = 0.693359375, -2.12194440e-4, -87.0
    else:
        values = limits(0.0)
    return lambda x: values


@register_jitable
def expm1(x):
    """``exp(x) - 1`` for x <= 0, to a few units in the last place; NaN stays NaN.

    With n the whole number nearest to x / ln 2 and r the rest,
    ``exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1)``. Below the least x whose exponential is a
    normal number, that of the least is taken.
    """
    real = type(x)
    high, low, least = limits(x)
    x = real(least) if x < least else x
    n = np.floor(x * real(1 / math.log(2)) + real(0.5))
    r = (x - n * real(high)) - n * real(low)
    p = real(T12)
    p = p * r + real(T11)
    p = p * r + real(T10)
    p = p * r + real(T9)
    p = p * r + real(T8)
    p = p * r + real(T7)
    p = p * r + real(T6)
    p = p * r + real(T5)
    p = p * r + real(T4)
    p = p * r + real(T3)
    p = p * r + real(T2)
    p = (p * r) * r + r
    scale = real(power_of_two(n if n == n else real(0)))
    return scale * p + (scale - real(1))
