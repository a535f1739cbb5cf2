"""Vectors of random numbers: those of :mod:`minicnn.kernels.random`, sixteen lanes at once."""

from llvmlite import ir
from numba import types

from minicnn.kernels import LANES
from minicnn.kernels.random import FIRST, SECOND, STEP
from minicnn.kernels.simd.vector import INT64, emits, vector_type

PAIRS = LANES // 2  # of lanes; each shares 64 bits
_INT32 = ir.IntType(32)


@emits(lambda p, *_: vector_type(p)(p, *[types.uint64] * 4, p.dtype))
def where_drawn(t, _, key, group, draw, least, factor):
    """A vector that is `factor` in lanes whose 32 random bits are at least `least`, else 0.

    The lanes 2 k and 2 k + 1 of a `group` take the lower and the upper half of
    ``random_bits(key, 8 group + k, draw)``. What does not depend on the draw, LLVM computes once
    before the loop over draws.
    """
    b = t.builder
    pairs = b.add(_splat(b, b.mul(group, INT64(PAIRS)), PAIRS), _constant(range(PAIRS)))
    samples = _mixed(b, b.add(_splat(b, key, PAIRS), pairs))
    turn = _splat(b, b.mul(draw, INT64(STEP)), PAIRS)
    bits = b.bitcast(_mixed(b, b.add(samples, turn)), ir.VectorType(_INT32, LANES))
    least = _splat(b, b.trunc(least, _INT32), LANES)
    drawn, none = b.icmp_unsigned(">=", bits, least), ir.Constant(t.part, None)
    factors = t.splat(factor)

    def register(row, col, part):
        own = [part * t.part.count + lane for lane in range(t.part.count)]
        places = ir.Constant(ir.VectorType(_INT32, t.part.count), own)
        return b.select(b.shuffle_vector(drawn, drawn, places), factors, none)

    return t.filled(register)


def _mixed(b, z):
    for shift, factor in ((30, FIRST), (27, SECOND)):
        z = b.mul(b.xor(z, b.lshr(z, _constant([shift] * PAIRS))), _constant([factor] * PAIRS))
    return b.xor(z, b.lshr(z, _constant([31] * PAIRS)))


def _constant(numbers):
    return ir.Constant(ir.VectorType(INT64, PAIRS), list(numbers))


def _splat(b, number, count):
    """A vector that holds a number of LLVM's in every lane."""
    kind = ir.VectorType(number.type, count)
    one = b.insert_element(ir.Constant(kind, ir.Undefined), number, _INT32(0))
    zeros = ir.Constant(ir.VectorType(_INT32, count), [0] * count)
    return b.shuffle_vector(one, one, zeros)
