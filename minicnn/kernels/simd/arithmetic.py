"""Arithmetic on vectors and tiles, element by element.

``s + t``, ``s - t``, ``s * t`` and ``scalar * t`` read as they do for numbers, and `rounded` is a
product that stays one; :func:`where_same`, :func:`where_above` and :func:`larger` choose;
:func:`lane_sum` adds up a vector's lanes, and :func:`transpose` turns sixteen vectors into their
columns.
"""

import operator
from functools import wraps

from llvmlite import ir
from numba import types
from numba.extending import overload

from minicnn.kernels import LANES
from minicnn.kernels.simd.vector import INT64, TileType, emits

CONTRACT = ("contract",)  # a product and a sum may become one multiply-add, rounded once


@emits(lambda p, p_step, q, q_step: types.void(p, types.int64, q, types.int64))
def transpose(t, p, p_step, q, q_step):
    """Write the 16 vectors at ``p + i p_step`` as columns: lane i of ``q + j q_step`` is lane j.

    Four rounds, in which pairs of vectors exchange blocks of 8, 4, 2 and 1 lanes.
    """
    b, align = t.builder, t.kind.dtype.bitwidth // 8
    wide, lane = ir.VectorType(t.part.element, LANES), ir.VectorType(ir.IntType(32), LANES)

    def place(base, step, index):
        return b.bitcast(b.gep(base, [b.mul(step, INT64(index))]), wide.as_pointer())

    rows = [b.load(place(p, p_step, i), align=align) for i in range(LANES)]
    for size in (8, 4, 2, 1):
        even = [(i // size) % 2 == 0 for i in range(LANES)]
        first = [i if even[i] else LANES + i - size for i in range(LANES)]
        second = [i + size if even[i] else LANES + i for i in range(LANES)]
        for i in range(LANES):
            if even[i]:
                pair = rows[i], rows[i + size]
                rows[i] = b.shuffle_vector(*pair, ir.Constant(lane, first))
                rows[i + size] = b.shuffle_vector(*pair, ir.Constant(lane, second))
    for j in range(LANES):
        b.store(rows[j], place(q, q_step, j), align)


@emits(lambda vector: vector.dtype(vector))
def lane_sum(t, vector):
    """The sum of a vector's lanes, by halving."""
    return t.builder.extract_element(t.lane_sums(vector)[0], ir.IntType(32)(0))


def _by_parts(emit):
    """An intrinsic on tiles of one type that emits ``emit(builder, *parts)`` for every part."""

    @wraps(emit)
    def of_tiles(t, *tiles):
        def register(*place):
            at = t.at(*place)
            return emit(t.builder, *(t.builder.extract_value(tile, at) for tile in tiles))

        return t.filled(register)

    return emits(lambda *tiles: tiles[0](*tiles))(of_tiles)


@_by_parts
def where_same(b, s, t, x, y):
    """``x`` in the elements where s and t have the same bits, else ``y``; all four are tiles.

    So a NaN is the same as itself, and 0 and -0 differ.
    """
    bits = ir.IntType(32 if s.type.element == ir.FloatType() else 64)
    whole = ir.VectorType(bits, s.type.count)
    return b.select(b.icmp_signed("==", b.bitcast(s, whole), b.bitcast(t, whole)), x, y)


@_by_parts
def where_above(b, s, t, x, y):
    """``x`` in the elements where ``s > t`` or one of them is NaN, else ``y``."""
    return b.select(b.fcmp_unordered(">", s, t), x, y)


@_by_parts
def larger(b, x, y):
    """The larger of each pair of elements, `x` if they are equal, NaN if either is."""
    above = b.select(b.fcmp_ordered(">", y, x), y, x)  # one instruction; x if either is NaN
    return b.select(b.fcmp_unordered("uno", y, y), y, above)


def _scaling(flags):
    """The product of a number and a tile, with LLVM's flags."""

    @emits(lambda factor, tile: tile(tile.dtype, tile))
    def scale(t, factor, tile):
        b, splat = t.builder, t.splat(factor)

        def register(*place):
            return b.fmul(splat, b.extract_value(tile, t.at(*place)), flags=flags)

        return t.filled(register)

    return scale


_scale = _scaling(CONTRACT)
#: ``rounded(factor, t)`` is ``factor * t`` that never becomes one with a sum. Of two products in
#: a sum LLVM would choose one, and not the same one whenever it compiles.
rounded = _scaling(())


def _between_tiles(symbol, instruction):
    """Let kernels write `symbol` between two tiles."""

    @_by_parts
    def emit(b, s, t):
        return getattr(b, instruction)(s, t, flags=CONTRACT)

    @overload(symbol)
    def of_tiles(s, t):
        if isinstance(s, TileType) and s == t:
            return lambda s, t: emit(s, t)


_between_tiles(operator.add, "fadd")
_between_tiles(operator.sub, "fsub")
_between_tiles(operator.mul, "fmul")


@overload(operator.mul)
def _scalar_times_tile(s, t):
    if isinstance(s, types.Float) and isinstance(t, TileType):
        return lambda s, t: _scale(s, t)
