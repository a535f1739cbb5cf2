"""Products on tiles of vectors: what every convolution and matrix product is made of.

With a tile in registers (see :mod:`minicnn.kernels.simd.vector`), a convolution or a matrix
product is a plain loop around one of two products:

``add_rank1``
    ``tile[m, n] += w[m] * x[n]``, a scalar weight times a vector of samples;
``add_lanes``
    ``tile[m, n] += d[m] * x[n]``, lane by lane; ``store_sums`` then adds up the lanes.
"""

from numba import types

from minicnn.kernels.simd.vector import INT64, TileType, emits


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

    @emits(lambda b, b_step: kind_of(b)(b, types.int64))
    def splat_tile(t, b, b_step):
        values = [t.splat(t.builder.load(t.address(b, b_step, row))) for row in range(rows)]
        return t.filled(lambda row, col, part: values[row])

    @emits(lambda p, row_step, col_step: kind_of(p)(p, types.int64, types.int64))
    def load_tile(t, p, row_step, col_step):
        def register(row, col, part):
            return t.load(t.address(p, row_step, row), col_step, col, part)

        return t.filled(register)

    @emits(lambda tile, p, row_step, col_step: types.void(tile, p, types.int64, types.int64))
    def store_tile(t, tile, p, row_step, col_step):
        for row, col, part in t.positions():
            start = t.address(p, row_step, row)
            value = t.builder.extract_value(tile, t.at(row, col, part))
            t.store(value, t.address(start, col_step, col, part))

    @emits(lambda tile, w, w_step, x, x_step: tile(tile, w, types.int64, x, types.int64))
    def add_rank1(t, tile, w, w_step, x, x_step):
        t.keep_rolled()
        columns = [[t.load(x, x_step, n, part) for part in range(t.parts)] for n in range(cols)]
        for row in range(rows):
            weight = t.splat(t.builder.load(t.address(w, w_step, row)))
            for col in range(cols):
                for part in range(t.parts):
                    tile = t.add_product(tile, weight, columns[col][part], (row, col, part))
        return tile

    def kinds(tile, d, d_offsets, x, x_offsets):
        of_rows, of_columns = (types.UniTuple(types.int64, count) for count in (rows, cols))
        return tile(tile, d, of_rows, x, of_columns)

    @emits(kinds)
    def add_lanes(t, tile, d, d_offsets, x, x_offsets):
        b = t.builder
        t.keep_rolled()
        d_starts = [b.gep(d, [b.extract_value(d_offsets, m)]) for m in range(rows)]
        x_starts = [b.gep(x, [b.extract_value(x_offsets, n)]) for n in range(cols)]
        for part in range(t.parts):
            deltas = [t.load(start, None, 0, part) for start in d_starts]
            for col in range(cols):
                column = t.load(x_starts[col], None, 0, part)
                for row in range(rows):
                    tile = t.add_product(tile, deltas[row], column, (row, col, part))
        return tile

    @emits(lambda tile, p, row_step: types.void(tile, p, types.int64))
    def store_sums(t, tile, p, row_step):
        sums = t.lane_sums(tile)
        for row in range(rows):
            start = t.address(p, row_step, row)
            for col in range(cols):
                register, lane = divmod(row * cols + col, t.part.count)
                number = t.builder.extract_element(sums[register], INT64(lane))
                t.builder.store(number, t.builder.gep(start, [INT64(col)]))

    return splat_tile, load_tile, store_tile, add_rank1, add_lanes, store_sums
