"""The exponential function and its relatives, each in full relative precision.

The C library's functions take one number at a time; a loop of additions, multiplications
and choices becomes vector instructions by itself.

With n the whole number nearest to x / ln 2 and r the rest, ``exp(x) = 2^n (1 + p)`` where
``p = exp(r) - 1``. Where exp(x) is below the normal numbers it has to be rounded once, at the
end. Functions called *raised* give 2^64 times what they are named after, which is normal all
along; a product with ``LOWER = 2^-64`` ends them.
"""

import math

from numba import types
from numba.extending import overload, register_jitable

from minicnn.kernels.simd.scalar import (
    constant,
    multiply_add,
    polynomial,
    power_of_two,
    rounder,
    two_sum,
)

RAISED, LOWER = 64, 2.0**-64

# (exp(r) - 1 - r) / r² for |r| <= ln(2) / 2: minimax, relative to exp(r) - 1 within 2^-54
# and 2^-25.
_of_square = polynomial(
    (
        0.5000000000000004, 0.16666666666666682, 0.041666666666585216, 0.008333333333316038,
        0.0013888888929354264, 0.0001984126990014664, 2.480150750586147e-05,
        2.7557230333723846e-06, 2.7625268857299043e-07, 2.5113774128245536e-08,
    ),
    (0.5, 0.1666654646396637, 0.04166629537940025, 0.008366265334188938, 0.0013945817481726408),
)  # fmt: skip


#: Two parts of ln 2, the first with exact multiples; and where 2^64 exp(x) is taken for 0.
limits = constant(
    (6.93147180369123816490e-01, 1.90821492927058770002e-10, -1087 * math.log(2)),
    for_float32=(0.693359375, -2.12194440e-4, -191 * math.log(2)),
)


@register_jitable
def split(x, less):
    """``t, p`` of ``exp(x - less) = 2^n (1 + p)`` with ``t = n + rounder(x)``; `less` is tiny."""
    real = type(x)
    high, low, _ = limits(x)
    t = multiply_add(x, real(1 / math.log(2)), real(rounder(x)))
    n = t - real(rounder(x))
    r = multiply_add(n, -real(low), multiply_add(n, -real(high), x)) - less
    return t, multiply_add(r * r, _of_square(r), r)


@register_jitable
def bounded_split(x, less):
    """`split` for x <= 0, of no less than where 2^64 exp(x) is taken for 0."""
    real = type(x)
    _, _, least = limits(x)
    return split(real(least) if x < real(least) else x, less)


@register_jitable
def raised_split(x, less):
    """``scale, p`` of ``2^64 exp(x - less) = scale (1 + p)`` for x <= 0."""
    t, p = bounded_split(x, less)
    return power_of_two(t + type(x)(RAISED)), p


@register_jitable
def raised_split_and_expm1(x, less):
    """As of `raised_split`, and ``exp(x - less) - 1`` with what its rounding took; x < 600."""
    real = type(x)
    t, p = bounded_split(x, less)
    unit = power_of_two(_not_tiny(t))
    value = multiply_add(unit, p, unit - real(1))
    rest = multiply_add(unit, p, (unit - real(1)) - value)
    return power_of_two(t + real(RAISED)), p, value, rest


@register_jitable
def exp_parts(x, less):
    """``exp(x - less)`` for x <= 0, as a number and what its rounding took; `less` is tiny."""
    real = type(x)
    scale, p = raised_split(x, less)
    value = multiply_add(p, scale, scale)
    return value * real(LOWER), multiply_add(p, scale, scale - value) * real(LOWER)


@register_jitable
def times_exp(factor, x):
    """``factor exp(x)`` for x <= 0, rounded once but for the error of p; NaN stays NaN."""
    value, rest = exp_parts(x, type(x)(0))
    return multiply_add(factor, value, factor * rest)


@register_jitable
def times_expm1(factor, x):
    """``factor (exp(x) - 1)`` for x <= 0, rounded once but for the error of p."""
    value, rest = expm1_parts(x)
    return multiply_add(factor, value, factor * rest)


@register_jitable
def exp_of_difference(x, y):
    """``exp(x - y)`` for x <= y, in which the rounding of x - y does not show."""
    difference, error = two_sum(x, -y)
    less = -error if abs(error) < 1 else type(x)(0)  # NaN where the difference is infinite
    return exp_parts(difference, less)[0]


@register_jitable
def _not_tiny(t):
    """t, but of no n below -100."""
    least = type(t)(rounder(t)) - type(t)(100)
    return least if t < least else t


@register_jitable
def expm1_parts(x):
    """``exp(x) - 1 = 2^n p + (2^n - 1)`` for x <= 0, as a number and what its rounding took.

    Both are NaN for NaN. Below 2^-100 nothing is left of 2^n beside 1.
    """
    real = type(x)
    t, p = bounded_split(x, real(0))
    scale = power_of_two(_not_tiny(t))
    value = multiply_add(scale, p, scale - real(1))
    return value, multiply_add(scale, p, (scale - real(1)) - value)


@register_jitable
def ratio_parts(x, rest, c, d):
    """``(x + rest) / (c + d)`` with a tiny rest and |d| <= c, as a number and what it lacks."""
    whole = c + d
    part = d - (whole - c)  # that the sum has lost
    r = type(x)(1) / whole
    q = x * r
    return q, r * multiply_add(-q, part, multiply_add(-q, whole, x) + rest)


def ratio(x, rest, c, d):
    """``(x + rest) / (c + d)``, as in `ratio_parts`: rounded once in float32, thrice in float64."""
    return (x + rest) / (c + d)


@overload(ratio)
def _ratio_of(x, rest, c, d):
    def quick(x, rest, c, d):
        return x / (c + d)

    def careful(x, rest, c, d):
        q, missing = ratio_parts(x, rest, c, d)
        return q + missing

    return careful if x == types.float32 else quick


@register_jitable
def raised_logistic(x):
    """``2^64 exp(x) / (1 + exp(x))`` for x <= 0."""
    real = type(x)
    scale, p = raised_split(x, real(0))
    e = multiply_add(p, scale, scale)
    return ratio(e, multiply_add(p, scale, scale - e), real(1), e * real(LOWER))


@register_jitable
def raised_logistic_slope(x):
    """``2^64 exp(x) / (1 + exp(x))²`` for x <= 0, as ``q (1 - q)`` of the logistic q."""
    q = raised_logistic(x)
    return multiply_add(q, -type(x)(LOWER) * q, q)
