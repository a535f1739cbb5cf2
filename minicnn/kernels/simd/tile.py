"""Products on tiles of vectors: what every convolution and matrix product is made of.

With a tile in registers (see :mod:`minicnn.kernels.simd.vector`), a convolution or a matrix
product is a plain loop around one of two products:

``add_rank1``
    ``tile[m, n] += w[m] * x[n]``, a scalar weight times a vector of samples;
``add_lanes``
    ``tile[m, n] += d[m] * x[n]``, lane by lane; ``store_sums`` then adds up the lanes.
"""

from numba import types
from numba.extending import intrinsic

from minicnn.kernels.simd.vector import INT64, TileBuilder, TileType


def tile_operations(rows, cols):
    """The operations on a tile of `rows` x `cols` vectors, for either floating type.

    Returns
    -------
    splat_tile(b, b_step)
        ``tile[m, n] = b[m * b_step]``
    load_tile(p, row_step, col_step), store_tile(tile, p, row_step, col_step)
        Vector ``[m, n]`` from or to ``p + m * row_step + n * col_step``
    add_rank1(tile, w, w_step, x, x_step)
        ``tile[m, n] += w[m * w_step] * (vector at x + n * x_step)``
    add_lanes(tile, d, d_offsets, x, x_offsets)
        ``tile[m, n] += (vector at d + d_offsets[m]) * (vector at x + x_offsets[n])``
    store_sums(tile, p, row_step)
        ``p[m * row_step + n] = sum over lanes of tile[m, n]``
    """

    def kind_of(p):
        return TileType(p.dtype, rows, cols, p.lanes)

    @intrinsic
    def splat_tile(_, b, b_step):
        kind = kind_of(b)

        def codegen(context, builder, signature, args):
            t, tile = TileBuilder(builder, kind), context.get_constant_undef(kind)
            values = [
                t.splat(builder.load(t.address(args[0], args[1], row))) for row in range(rows)
            ]
            for row, col, part in t.positions():
                tile = builder.insert_value(tile, values[row], t.at(row, col, part))
            return tile

        return kind(b, types.int64), codegen

    @intrinsic
    def load_tile(_, p, row_step, col_step):
        kind = kind_of(p)

        def codegen(context, builder, signature, args):
            t, tile = TileBuilder(builder, kind), context.get_constant_undef(kind)
            for row, col, part in t.positions():
                start = t.address(args[0], args[1], row)
                value = t.load(start, args[2], col, part)
                tile = builder.insert_value(tile, value, t.at(row, col, part))
            return tile

        return kind(p, types.int64, types.int64), codegen

    @intrinsic
    def store_tile(_, tile, p, row_step, col_step):
        def codegen(context, builder, signature, args):
            t = TileBuilder(builder, signature.args[0])
            for row, col, part in t.positions():
                start = t.address(args[1], args[2], row)
                value = builder.extract_value(args[0], t.at(row, col, part))
                t.store(value, t.address(start, args[3], col, part))
            return context.get_dummy_value()

        return types.void(tile, p, types.int64, types.int64), codegen

    @intrinsic
    def add_rank1(_, tile, w, w_step, x, x_step):
        def codegen(context, builder, signature, args):
            tile, w, w_step, x, x_step = args
            t = TileBuilder(builder, signature.args[0])
            t.keep_rolled()
            columns = [[t.load(x, x_step, n, part) for part in range(t.parts)] for n in range(cols)]
            for row in range(rows):
                weight = t.splat(builder.load(t.address(w, w_step, row)))
                for col in range(cols):
                    for part in range(t.parts):
                        at = t.at(row, col, part)
                        value = builder.extract_value(tile, at)
                        value = t.multiply_add(weight, columns[col][part], value)
                        tile = builder.insert_value(tile, value, at)
            return tile

        return tile(tile, w, types.int64, x, types.int64), codegen

    @intrinsic
    def add_lanes(_, tile, d, d_offsets, x, x_offsets):
        def codegen(context, builder, signature, args):
            tile, d, d_offsets, x, x_offsets = args
            t = TileBuilder(builder, signature.args[0])
            t.keep_rolled()
            d_starts = [builder.gep(d, [builder.extract_value(d_offsets, m)]) for m in range(rows)]
            x_starts = [builder.gep(x, [builder.extract_value(x_offsets, n)]) for n in range(cols)]
            for part in range(t.parts):
                deltas = [t.load(start, None, 0, part) for start in d_starts]
                for col in range(cols):
                    column = t.load(x_starts[col], None, 0, part)
                    for row in range(rows):
                        at = t.at(row, col, part)
                        value = t.multiply_add(deltas[row], column, builder.extract_value(tile, at))
                        tile = builder.insert_value(tile, value, at)
            return tile

        d_tuple, x_tuple = (types.UniTuple(types.int64, count) for count in (rows, cols))
        return tile(tile, d, d_tuple, x, x_tuple), codegen

    @intrinsic
    def store_sums(_, tile, p, row_step):
        def codegen(context, builder, signature, args):
            t = TileBuilder(builder, signature.args[0])
            sums = t.lane_sums(args[0])
            for row in range(rows):
                start = t.address(args[1], args[2], row)
                for col in range(cols):
                    register, lane = divmod(row * cols + col, t.part.count)
                    number = builder.extract_element(sums[register], INT64(lane))
                    builder.store(number, builder.gep(start, [INT64(col)]))
            return context.get_dummy_value()

        return types.void(tile, p, types.int64), codegen

    return splat_tile, load_tile, store_tile, add_rank1, add_lanes, store_sums
