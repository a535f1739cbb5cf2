"""Operations on single numbers that LLVM turns into vector instructions, in loops.

Each is an ordinary Python function, too, for reading and for tests.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable


def multiply_add(x, y, z):
    """``x y + z``, rounded once when compiled."""
    return x * y + z


@intrinsic
def _multiply_add(_, x, y, z):
    def codegen(context, builder, signature, args):
        return builder.fma(*args)

    return x(x, x, x), codegen


@overload(multiply_add)
def _multiply_add_of(x, y, z):
    return lambda x, y, z: _multiply_add(x, y, z)


@register_jitable
def two_sum(x, y):
    """``x + y``, as a number and what its rounding took (Knuth); x and y are finite."""
    total = x + y
    back = total - x
    return total, (x - (total - back)) + (y - back)


def copy_sign(x, y):
    """`x` with the sign of `y`."""
    return math.copysign(x, y)


@intrinsic
def _copy_sign(_, x, y):
    def codegen(context, builder, signature, args):
        kind = args[0].type
        function = ir.FunctionType(kind, [kind, kind])
        copy = builder.module.declare_intrinsic("llvm.copysign", [kind], function)
        return builder.call(copy, args)

    return x(x, x), codegen


@overload(copy_sign)
def _copy_sign_of(x, y):
    return lambda x, y: _copy_sign(x, y)


def rounder(x):
    """A number R: ``(y + R) - R`` is the whole number nearest to y."""
    return 1.5 * 2.0**52


@overload(rounder)
def _rounder_of(x):
    value = 1.5 * 2.0**23 if x == types.float32 else rounder(0.0)
    return lambda x: value


def power_of_two(t):
    """``2^n`` of ``t = n + rounder(t)``; 0 for the n below the least of a normal number."""
    return 2.0 ** (t - rounder(t))


@intrinsic
def _power_of_two(_, t):
    bits, fraction, bias = (32, 23, 127) if t == types.float32 else (64, 52, 1023)

    def codegen(context, builder, signature, args):
        whole = ir.IntType(bits)
        n = builder.bitcast(args[0], whole)  # in its lowest bits
        power = builder.add(builder.shl(n, whole(fraction)), whole(bias << fraction))
        return builder.bitcast(power, args[0].type)

    return t(t), codegen


@overload(power_of_two)
def _power_of_two_of(t):
    return lambda t: _power_of_two(t)


def polynomial(coefficients, for_float32=None):
    """A function ``c_0 + c_1 x + c_2 x² + ...`` by Horner's rule, each step rounded once.

    Parameters
    ----------
    coefficients : tuple of float
        For float64.
    for_float32 : tuple of float
        Fewer of them, if float32 is computed, too.
    """

    def value(x):
        result = 0.0
        for c in reversed(coefficients):
            result = multiply_add(result, x, c)
        return result

    @intrinsic
    def compiled(_, x):
        chosen = coefficients if x == types.float64 else [float(np.float32(c)) for c in for_float32]

        def codegen(context, builder, signature, args):
            first, *others = (ir.Constant(args[0].type, c) for c in reversed(chosen))
            result = first
            for c in others:
                result = builder.fma(result, args[0], c)
            return result

        return x(x), codegen

    @overload(value)
    def value_of(x):
        return lambda x: compiled(x)

    return value
