"""Arithmetic on vectors and tiles, element by element.

``s + t``, ``s - t``, ``s * t`` and ``scalar * t`` read as they do for numbers, and `rounded` is a
product that stays one; :func:`where_same`, :func:`where_above` and :func:`larger` choose;
:func:`lane_sum` adds up a vector's lanes, and :func:`transpose` turns sixteen vectors into their
columns.
"""

import operator

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from minicnn.kernels import LANES
from minicnn.kernels.simd.vector import INT64, TileBuilder, TileType, element

CONTRACT = ("contract",)  # a product and a sum may become one multiply-add, rounded once


@intrinsic
def transpose(_, p, p_step, q, q_step):
    """Write the 16 vectors at ``p + i p_step`` as columns: lane i of ``q + j q_step`` is lane j.

    Four rounds, in which pairs of vectors exchange blocks of 8, 4, 2 and 1 lanes.
    """

    def codegen(context, builder, signature, args):
        p, p_step, q, q_step = args
        wide = ir.VectorType(element(signature.args[0].dtype), LANES)
        align = signature.args[0].dtype.bitwidth // 8
        lane = ir.VectorType(ir.IntType(32), LANES)

        def place(base, step, index):
            start = builder.gep(base, [builder.mul(step, INT64(index))])
            return builder.bitcast(start, wide.as_pointer())

        rows = [builder.load(place(p, p_step, i), align=align) for i in range(LANES)]
        for size in (8, 4, 2, 1):
            even = [(i // size) % 2 == 0 for i in range(LANES)]
            first = [i if even[i] else LANES + i - size for i in range(LANES)]
            second = [i + size if even[i] else LANES + i for i in range(LANES)]
            for i in range(LANES):
                if even[i]:
                    pair = rows[i], rows[i + size]
                    rows[i] = builder.shuffle_vector(*pair, ir.Constant(lane, first))
                    rows[i + size] = builder.shuffle_vector(*pair, ir.Constant(lane, second))
        for j in range(LANES):
            builder.store(rows[j], place(q, q_step, j), align)
        return context.get_dummy_value()

    return types.void(p, types.int64, q, types.int64), codegen


@intrinsic
def lane_sum(_, vector):
    """The sum of a vector's lanes, by halving."""

    def codegen(context, builder, signature, args):
        sums = TileBuilder(builder, signature.args[0]).lane_sums(args[0])
        return builder.extract_element(sums[0], ir.IntType(32)(0))

    return vector.dtype(vector), codegen


def _by_parts(emit):
    """An intrinsic on tiles of one type that emits ``emit(builder, *parts)`` for every part."""

    def typing(_, *tiles):
        def codegen(context, builder, signature, args):
            result = context.get_constant_undef(signature.return_type)
            for at in range(args[0].type.count):
                parts = [builder.extract_value(tile, at) for tile in args]
                result = builder.insert_value(result, emit(builder, *parts), at)
            return result

        return tiles[0](*tiles), codegen

    return typing


@intrinsic
def _add(context, s, t):
    return _by_parts(lambda b, x, y: b.fadd(x, y, flags=CONTRACT))(context, s, t)


@intrinsic
def _subtract(context, s, t):
    return _by_parts(lambda b, x, y: b.fsub(x, y, flags=CONTRACT))(context, s, t)


@intrinsic
def _multiply(context, s, t):
    return _by_parts(lambda b, x, y: b.fmul(x, y, flags=CONTRACT))(context, s, t)


@intrinsic
def where_same(context, s, t, x, y):
    """``x`` in the elements where s and t have the same bits, else ``y``; all four are tiles.

    So a NaN is the same as itself, and 0 and -0 differ.
    """

    def emit(b, s, t, x, y):
        whole = ir.VectorType(
            ir.IntType(32 if s.type.element == ir.FloatType() else 64), s.type.count
        )
        return b.select(b.icmp_signed("==", b.bitcast(s, whole), b.bitcast(t, whole)), x, y)

    return _by_parts(emit)(context, s, t, x, y)


@intrinsic
def where_above(context, s, t, x, y):
    """``x`` in the elements where ``s > t`` or one of them is NaN, else ``y``."""
    return _by_parts(lambda b, s, t, x, y: b.select(b.fcmp_unordered(">", s, t), x, y))(
        context, s, t, x, y
    )


@intrinsic
def larger(context, s, t):
    """The larger of each pair of elements, `s` if they are equal, NaN if either is."""

    def emit(b, x, y):
        above = b.select(b.fcmp_ordered(">", y, x), y, x)  # one instruction; x if either is NaN
        return b.select(b.fcmp_unordered("uno", y, y), y, above)

    return _by_parts(emit)(context, s, t)


def _scaling(flags):
    """The product of a number and a tile, with LLVM's flags."""

    def scale(_, scalar, tile):
        def codegen(context, builder, signature, args):
            t, result = TileBuilder(builder, signature.args[1]), args[1]
            factor = t.splat(context.cast(builder, args[0], scalar, tile.dtype))
            for at in range(args[1].type.count):
                product = builder.fmul(factor, builder.extract_value(args[1], at), flags=flags)
                result = builder.insert_value(result, product, at)
            return result

        return tile(scalar, tile), codegen

    return scale


_scale = intrinsic(_scaling(CONTRACT))
#: ``rounded(factor, t)`` is ``factor * t`` that never becomes one with a sum. Of two products in
#: a sum LLVM would choose one, and not the same one whenever it compiles.
rounded = intrinsic(_scaling(()))


def _both_tiles(s, t):
    return isinstance(s, TileType) and s == t


@overload(operator.add)
def _tile_plus(s, t):
    if _both_tiles(s, t):
        return lambda s, t: _add(s, t)


@overload(operator.sub)
def _tile_minus(s, t):
    if _both_tiles(s, t):
        return lambda s, t: _subtract(s, t)


@overload(operator.mul)
def _tile_times(s, t):
    if _both_tiles(s, t):
        return lambda s, t: _multiply(s, t)
    if isinstance(s, types.Float) and isinstance(t, TileType):
        return lambda s, t: _scale(s, t)
