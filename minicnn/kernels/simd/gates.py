"""Numbers times a gate between 0 and 1 that they open themselves, in full relative precision.

SiLU and the tanh form of GELU are ``z s(w(z))`` of the logistic s; Mish is ``z tanh(log(1 + e))``
with ``e = exp(z)``. Their derivatives have a root below 0, at which two terms cancel. So the
exponent is counted from there: with d its distance from the root, ``e = e_0 (1 + m)`` where
``m = exp(d) - 1``, and the derivative is a sum of a multiple of d and one of m, which have the same
sign. One exponential serves value and derivative.

All is computed in float64, for float32 numbers as well.
"""

import numpy as np
from numba.extending import register_jitable

from minicnn.kernels.simd.exponential import (
    LOWER,
    raised_split,
    raised_split_and_expm1,
    ratio_parts,
)
from minicnn.kernels.simd.scalar import multiply_add, pair_product, pair_ratio, pair_sum, polynomial

FAR = 800.0  # z exp(-z) is 0 there, in float64
LEVEL = 22.0  # where Mish is z, and its derivative 1


@register_jitable
def _from_root(distance, rest, e0, e0_rest):
    """``2^64 e`` and ``e_0 m``, each with its rest, of the exponent's distance from the root."""
    scale, p, m, m_rest = raised_split_and_expm1(distance, -rest)
    e = multiply_add(p, scale, scale)
    e, e_rest = pair_product(e, multiply_add(p, scale, scale - e), e0, e0_rest)
    m, m_rest = pair_product(m, m_rest, e0, e0_rest)
    return e, e_rest, m, m_rest


@register_jitable
def _distance(x, y, y_rest):
    """``x - (y + y_rest)``, as a number and what its rounding took."""
    whole, rest = pair_sum(x, 0.0, -y, -y_rest)
    distance = whole + rest
    return distance, rest - (distance - whole)


# For z = -t <= 0, SiLU's derivative is e (1 + e - t) / (1 + e)² with e = exp(-t), and t_0 is where
# 1 + e_0 = t_0: then 1 + e - t = e_0 m + d with d = t_0 - t.
SILU_ROOT, SILU_ROOT_REST = 1.2784645427610737, 1.0946994183093437e-16
SILU_E, SILU_E_REST = 0.2784645427610738, -1.5523606315812798e-18


@register_jitable
def _silu_parts(t):
    """``2^64 e`` and ``1 + e - t``, each with its rest, for t >= 0."""
    distance, rest = _distance(-t, -SILU_ROOT, -SILU_ROOT_REST)
    e, e_rest, m, m_rest = _from_root(distance, rest, SILU_E, SILU_E_REST)
    u, u_rest = pair_sum(distance, rest, m, m_rest)
    return e, e_rest, u, u_rest


# For z = -t <= 0, the derivative of GELU's tanh form is e (1 + e - t w'(t)) / (1 + e)² with
# e = exp(-w(t)) and w(t) = A t + B t³. Its root is t_0, and with Q = t_0² + t (t + t_0)
#     w(t_0) - w(t) = (t_0 - t) (A + B Q)       t_0 w'(t_0) - t w'(t) = (t_0 - t) (A + 3 B Q)
GELU_ROOT, GELU_ROOT_REST = 0.7524614220710163, -3.635560509207687e-17
GELU_E, GELU_E_REST = 0.29195521191476714, -8.582607951729513e-18
GELU_B, GELU_B_REST = 0.07135481627260025, -6.175149918155315e-19
GELU_ONE, GELU_ONE_REST = 1.6361700895487292, -3.241452378397557e-17  # A + B t_0²
GELU_THREE, GELU_THREE_REST = 1.716972025434726, 1.0214260483029168e-16  # A + 3 B t_0²


@register_jitable
def _gelu_tanh_parts(t):
    """``2^64 e`` and ``1 + e - t w'(t)``, each with its rest, for t >= 0."""
    away, away_rest = _distance(-t, -GELU_ROOT, -GELU_ROOT_REST)
    x, rest = pair_sum(t, 0.0, GELU_ROOT, GELU_ROOT_REST)
    x, rest = pair_product(x, rest, t, 0.0)
    x, rest = pair_product(x, rest, GELU_B, GELU_B_REST)
    one, one_rest = pair_sum(GELU_ONE, GELU_ONE_REST, x, rest)
    x, rest = pair_product(x, rest, 3.0, 0.0)
    three, three_rest = pair_sum(GELU_THREE, GELU_THREE_REST, x, rest)
    distance, rest = pair_product(away, away_rest, one, one_rest)
    e, e_rest, m, m_rest = _from_root(distance, rest, GELU_E, GELU_E_REST)
    u, u_rest = pair_product(away, away_rest, three, three_rest)
    u, u_rest = pair_sum(u, u_rest, m, m_rest)
    return e, e_rest, u, u_rest


def _gate(parts):
    """``t e / (1 + e)`` and ``e u / (1 + e)²`` for t >= 0, of the parts e and u."""

    @register_jitable
    def moment(t):
        t = FAR if t > FAR else np.float64(t)
        e, e_rest, _, _ = parts(t)
        product, rest = pair_product(t, 0.0, e, e_rest)
        value, missing = ratio_parts(product, rest, 1.0, e * LOWER)
        return (value + missing) * LOWER

    @register_jitable
    def slope(t):
        t = FAR if t > FAR else np.float64(t)
        e, e_rest, u, u_rest = parts(t)
        opening, rest = ratio_parts(e, e_rest, 1.0, e * LOWER)
        product, rest = pair_product(opening, rest, u, u_rest)
        value, missing = ratio_parts(product, rest, 1.0, e * LOWER)
        return (value + missing) * LOWER

    return moment, slope


#: For t >= 0: what SiLU is at -t without its sign, and its derivative there; the same of GELU.
silu_moment, silu_slope = _gate(_silu_parts)
gelu_tanh_moment, gelu_tanh_slope = _gate(_gelu_tanh_parts)


# Mish's derivative is e g / (n + 2)² with e = exp(z), n = e (e + 2), s = 1 + e and
#     g = s³ + s² + s + 1 + 4 s z = e_0 m (s (s + s_0 + 1) - 1 / s_0) + 4 s d
# where g is 0 at z_0, s_0 = 1 + e_0 and d = z - z_0.
MISH_ROOT, MISH_ROOT_REST = -1.1924312145154952, -4.8484829848031044e-17
MISH_E, MISH_E_REST = 0.3034825352815289, 1.981117434764409e-17
MISH_MORE, MISH_MORE_REST = 2.303482535281529, -2.0223343057738722e-16  # s_0 + 1
MISH_LESS, MISH_LESS_REST = -0.7671756029964896, -4.145490152710459e-17  # -1 / s_0


@register_jitable
def _mish_parts(z):
    """z within bounds, ``2^64 e`` with its rest, ``n + 2`` with its rest; d, ``e_0 m``."""
    z = np.float64(z)
    z = LEVEL if z > LEVEL else (-FAR if z < -FAR else z)
    d, rest = _distance(z, MISH_ROOT, MISH_ROOT_REST)
    e, e_rest, m, m_rest = _from_root(d, rest, MISH_E, MISH_E_REST)
    low, low_rest = e * LOWER, e_rest * LOWER
    more, more_rest = pair_sum(2.0, 0.0, low, low_rest)
    n, n_rest = pair_product(low, low_rest, more, more_rest)
    whole, whole_rest = pair_sum(n, n_rest, 2.0, 0.0)
    return z, e, e_rest, whole, whole_rest, (d, rest, m, m_rest)


@register_jitable
def mish_value(z):
    """``z n / (n + 2)``, which is ``z - 2 z / (n + 2)`` for z > 0."""
    x, e, e_rest, whole, whole_rest, _ = _mish_parts(z)
    more, more_rest = pair_sum(2.0, 0.0, e * LOWER, e_rest * LOWER)
    n, n_rest = pair_product(e, e_rest, more, more_rest)
    product, rest = pair_product(x, 0.0, n if z <= 0 else -2 / LOWER, n_rest if z <= 0 else 0.0)
    value, missing = pair_ratio(product, rest, whole, whole_rest)
    below = (value + missing) * LOWER
    return below if z <= 0 else z + below


@register_jitable
def mish_derivative(z):
    """``e g / (n + 2)²``."""
    _, e, e_rest, whole, whole_rest, (d, d_rest, m, m_rest) = _mish_parts(z)
    s, s_rest = pair_sum(1.0, 0.0, e * LOWER, e_rest * LOWER)
    f, f_rest = pair_sum(s, s_rest, MISH_MORE, MISH_MORE_REST)
    f, f_rest = pair_product(s, s_rest, f, f_rest)
    f, f_rest = pair_sum(f, f_rest, MISH_LESS, MISH_LESS_REST)
    f, f_rest = pair_product(f, f_rest, m, m_rest)
    g, g_rest = pair_product(4 * s, 4 * s_rest, d, d_rest)
    g, g_rest = pair_sum(g, g_rest, f, f_rest)
    part, rest = pair_ratio(e, e_rest, whole, whole_rest)
    product, rest = pair_product(part, rest, g, g_rest)
    value, missing = pair_ratio(product, rest, whole, whole_rest)
    return (value + missing) * LOWER


# (atanh(s) - s) / s³ as a polynomial of s² <= 1/9: minimax, within 2^-54.
_of_atanh = polynomial((
    0.3333333333333333, 0.20000000000007292, 0.1428571428355438, 0.11111111358713932,
    0.09090894718066429, 0.07692785032479312, 0.06657072104827468, 0.06000536404795356,
    0.04400369243072337, 0.08082022805971766,
))  # fmt: skip


@register_jitable
def raised_log1p_exp(x, less):
    """``2^64 log(1 + exp(x - less))`` for x <= 0, which is ``2 atanh(u / (2 + u))`` of u = exp."""
    scale, p = raised_split(x, less)
    u = multiply_add(p, scale, scale)
    s, missing = ratio_parts(u, multiply_add(p, scale, scale - u), 2.0, u * LOWER)
    square = (s * LOWER) * (s * LOWER)
    return 2 * (s + multiply_add(s, square * _of_atanh(square), missing))


@register_jitable
def logistic_of(x, less):
    """``1 / (1 + exp(less - x))`` for x <= 0."""
    scale, p = raised_split(x, less)
    e = multiply_add(p, scale, scale)
    q, missing = ratio_parts(e, multiply_add(p, scale, scale - e), 1.0, e * LOWER)
    return (q + missing) * LOWER
