"""The only file that knows LLVM: pointers, and tiles of vectors that stay in registers.

A *vector* is sixteen lanes, one sample each. A *tile* is a small block of
``rows x cols`` vectors, a first-class Numba value that LLVM keeps in registers. With it
a convolution or a matrix product is a plain loop around one of two products:

``add_rank1``
    ``tile[m, n] += w[m] * x[n]``, a scalar weight times a vector of samples;
``add_lanes``
    ``tile[m, n] += d[m] * x[n]``, lane by lane; ``store_sums`` then adds up the lanes.

The processor holds a vector of 16 lanes in several registers (two of 256 bits for
float32); the functions here emit one instruction for each of those parts, part after
part, so that few operands are alive at a time and nothing spills to the stack.

All offsets and steps are in elements. Nothing is bounds-checked: the callers, which know
the shapes, are.
"""

import operator

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from minicnn.lanes import LANES

INT64 = ir.IntType(64)


def _registers():
    """Width in bytes and number of the host's vector registers."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 64, 32
    if features.get("avx"):
        return 32, 16
    return 16, 32 if features.get("neon") else 16


REGISTER_BYTES, REGISTER_COUNT = _registers()
# Accumulators: what is left when a few registers hold the operands. Twelve chains of
# multiply-adds also cover the latency of two units (4 cycles each, so at least 8).
ACCUMULATORS = {16: 12, 32: 24}[REGISTER_COUNT]


def tile_rows(itemsize):
    """Largest number of rows of a one-column tile that fits the registers, at most 6."""
    return max(1, min(6, ACCUMULATORS * REGISTER_BYTES // (LANES * itemsize)))


class PointerType(types.Type):
    """The address of an element; ``p + n`` is the address of the n-th after it."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(f"Pointer({dtype})")


class TileType(types.Type):
    """A block of `rows` x `cols` vectors of sixteen lanes that LLVM keeps in registers."""

    def __init__(self, dtype, rows, cols):
        self.dtype, self.rows, self.cols = dtype, rows, cols
        super().__init__(f"Tile({dtype},{rows},{cols})")


def _element(dtype):
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def _part(dtype):
    """The LLVM vector that one register holds."""
    return ir.VectorType(_element(dtype), min(LANES, REGISTER_BYTES * 8 // dtype.bitwidth))


def _parts(dtype):
    """How many registers hold a vector of sixteen lanes."""
    return LANES // _part(dtype).count


@register_model(PointerType)
class _PointerModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _element(kind.dtype).as_pointer())


@register_model(TileType)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        registers = kind.rows * kind.cols * _parts(kind.dtype)
        super().__init__(manager, kind, ir.ArrayType(_part(kind.dtype), registers))


@intrinsic
def pointer(_, array):
    """The address of the first element of a float32 or float64 array."""

    def codegen(context, builder, signature, args):
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return PointerType(array.dtype)(array), codegen


@intrinsic
def _advance(_, p, n):
    def codegen(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return p(p, types.int64), codegen


@overload(operator.add)
def _pointer_plus(p, n):
    if isinstance(p, PointerType) and isinstance(n, types.Integer):
        return lambda p, n: _advance(p, n)


class _Tile:
    """Emits the instructions of a tile: loops over its parts, rows and columns."""

    def __init__(self, builder, kind):
        self.builder, self.kind = builder, kind
        self.rows, self.cols = kind.rows, kind.cols
        self.part, self.parts = _part(kind.dtype), _parts(kind.dtype)

    def at(self, row, col, part):
        return (row * self.cols + col) * self.parts + part

    def positions(self):
        for part in range(self.parts):
            for row in range(self.rows):
                for col in range(self.cols):
                    yield row, col, part

    def address(self, base, step, index, part=0):
        b = self.builder
        if index:
            base = b.gep(base, [b.mul(step, INT64(index))])
        if part:
            base = b.gep(base, [INT64(part * self.part.count)])
        return base

    def load(self, base, step, index, part):
        b = self.builder
        p = b.bitcast(self.address(base, step, index, part), self.part.as_pointer())
        return b.load(p, align=self.kind.dtype.bitwidth // 8)

    def store(self, value, address):
        b = self.builder
        b.store(value, b.bitcast(address, self.part.as_pointer()), self.kind.dtype.bitwidth // 8)

    def splat(self, scalar):
        b, lane = self.builder, ir.IntType(32)
        one = b.insert_element(ir.Constant(self.part, ir.Undefined), scalar, lane(0))
        zeros = ir.Constant(ir.VectorType(lane, self.part.count), [0] * self.part.count)
        return b.shuffle_vector(one, ir.Constant(self.part, ir.Undefined), zeros)

    def multiply_add(self, a, b, c):
        bits = self.kind.dtype.bitwidth
        fn = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(self.part, [self.part] * 3),
            f"llvm.fma.v{self.part.count}f{bits}",
        )
        return self.builder.call(fn, [a, b, c])

    def lane_sum(self, tile, row, col):
        """Sum of a vector's lanes by halving: a fixed tree, whatever the registers."""
        b, lane = self.builder, ir.IntType(32)
        vector = [b.extract_value(tile, self.at(row, col, p)) for p in range(self.parts)]
        while len(vector) > 1:
            half = len(vector) // 2
            vector = [b.fadd(x, y) for x, y in zip(vector[:half], vector[half:])]
        total, count = vector[0], self.part.count
        while count > 1:
            count //= 2
            low, high = (
                ir.Constant(ir.VectorType(lane, count), list(range(start, start + count)))
                for start in (0, count)
            )
            low, high = (b.shuffle_vector(total, total, half) for half in (low, high))
            total = b.fadd(low, high)
        return b.extract_element(total, lane(0))


def tile_operations(rows, cols):
    """The operations on a tile of `rows` x `cols` vectors, for either floating type.

    Returns
    -------
    splat_tile(b, b_step)
        ``tile[m, n] = b[m * b_step]``
    zero_tile(p)
        ``tile[m, n] = 0``, of the type that `p` points at
    load_tile(p, row_step, col_step), store_tile(tile, p, row_step, col_step)
        Vector ``[m, n]`` from or to ``p + m * row_step + n * col_step``
    add_rank1(tile, w, w_step, x, x_step)
        ``tile[m, n] += w[m * w_step] * (vector at x + n * x_step)``
    add_lanes(tile, d, d_step, x, offsets)
        ``tile[m, n] += (vector at d + m * d_step) * (vector at x + offsets[n])``
    store_sums(tile, p, row_step)
        ``p[m * row_step + n] = sum over lanes of tile[m, n]``
    """

    def kind_of(p):
        return TileType(p.dtype, rows, cols)

    @intrinsic
    def splat_tile(_, b, b_step):
        kind = kind_of(b)

        def codegen(context, builder, signature, args):
            t, tile = _Tile(builder, kind), context.get_constant_undef(kind)
            values = [
                t.splat(builder.load(t.address(args[0], args[1], row))) for row in range(rows)
            ]
            for row, col, part in t.positions():
                tile = builder.insert_value(tile, values[row], t.at(row, col, part))
            return tile

        return kind(b, types.int64), codegen

    @intrinsic
    def zero_tile(_, p):
        kind = kind_of(p)

        def codegen(context, builder, signature, args):
            return ir.Constant(context.get_value_type(kind), None)

        return kind(p), codegen

    @intrinsic
    def load_tile(_, p, row_step, col_step):
        kind = kind_of(p)

        def codegen(context, builder, signature, args):
            t, tile = _Tile(builder, kind), context.get_constant_undef(kind)
            for row, col, part in t.positions():
                start = t.address(args[0], args[1], row)
                value = t.load(start, args[2], col, part)
                tile = builder.insert_value(tile, value, t.at(row, col, part))
            return tile

        return kind(p, types.int64, types.int64), codegen

    @intrinsic
    def store_tile(_, tile, p, row_step, col_step):
        def codegen(context, builder, signature, args):
            t = _Tile(builder, signature.args[0])
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
            t = _Tile(builder, signature.args[0])
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
    def add_lanes(_, tile, d, d_step, x, offsets):
        def codegen(context, builder, signature, args):
            tile, d, d_step, x, offsets = args
            t = _Tile(builder, signature.args[0])
            starts = [builder.gep(x, [builder.extract_value(offsets, n)]) for n in range(cols)]
            for part in range(t.parts):
                deltas = [t.load(d, d_step, row, part) for row in range(rows)]
                for col in range(cols):
                    column = t.load(starts[col], None, 0, part)
                    for row in range(rows):
                        at = t.at(row, col, part)
                        value = t.multiply_add(deltas[row], column, builder.extract_value(tile, at))
                        tile = builder.insert_value(tile, value, at)
            return tile

        return tile(tile, d, types.int64, x, types.UniTuple(types.int64, cols)), codegen

    @intrinsic
    def store_sums(_, tile, p, row_step):
        def codegen(context, builder, signature, args):
            t = _Tile(builder, signature.args[0])
            for row in range(rows):
                for col in range(cols):
                    start = t.address(args[1], args[2], row)
                    builder.store(t.lane_sum(args[0], row, col), builder.gep(start, [INT64(col)]))
            return context.get_dummy_value()

        return types.void(tile, p, types.int64), codegen

    return splat_tile, zero_tile, load_tile, store_tile, add_rank1, add_lanes, store_sums
