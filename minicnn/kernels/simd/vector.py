"""Vectors for the kernels: pointers, and tiles of vectors that LLVM keeps in registers.

A *vector* is sixteen lanes, one sample each. A *tile* is a small block of ``rows x cols``
vectors, a first-class Numba value that LLVM keeps in registers; a single vector is the
tile of one row and one column. What is done with them stands in two more files: ordinary
arithmetic in :mod:`minicnn.kernels.simd.arithmetic`, and the products that convolutions are made
of in :mod:`minicnn.kernels.simd.tile`.

The processor holds a vector of 16 lanes in several registers (two of 256 bits for
float32); the functions here emit one instruction for each of those parts, part after
part, so that few operands are alive at a time and nothing spills to the stack.

All offsets and steps are in elements. Nothing is bounds-checked: the callers, which know
the shapes, are.
"""

import operator
from functools import wraps

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic, models, overload, register_model

from minicnn.kernels import LANES

INT64 = ir.IntType(64)


def target_features():
    """The names of the instruction sets that Numba compiles for, as LLVM has them."""
    told = config.CPU_FEATURES
    words = (get_host_cpu_features() if told is None else told).split(",")
    return {word[1:] for word in words if word.startswith("+")}


def _registers():
    """Width in bytes and number of the vector registers that Numba compiles for.

    These are the processor's, or what NUMBA_CPU_FEATURES says. On ARM64 they are asked of nobody:
    every one has NEON, and macOS does not tell.
    """
    if llvm.get_process_triple().startswith(("aarch64", "arm64")):
        return 16, 32
    features = target_features()
    if "avx512f" in features:
        return 64, 32
    return (32 if features & {"avx", "avx2"} else 16), 16


REGISTER_BYTES, REGISTER_COUNT = _registers()


def tile_rows(itemsize, columns):
    """Most rows, up to six, of a tile that fits the registers beside its operands.

    A tile of m x n vectors, each of p registers, needs ``m n p`` accumulators, ``n p``
    registers for the column operand and one for the row operand.
    """
    width = columns * -(-LANES * itemsize // REGISTER_BYTES)
    return max(1, min(6, (REGISTER_COUNT - 1 - width) // width))


class PointerType(types.Type):
    """The address of an element; ``p + n`` is the address of the n-th after it.

    A vector that is read there has so many `lanes`, see :func:`narrow`.
    """

    def __init__(self, dtype, lanes=LANES):
        self.dtype, self.lanes = dtype, lanes
        super().__init__(f"Pointer({dtype},{lanes})")


class TileType(types.Type):
    """A block of `rows` x `cols` vectors of so many lanes that LLVM keeps in registers."""

    def __init__(self, dtype, rows, cols, lanes=LANES):
        self.dtype, self.rows, self.cols, self.lanes = dtype, rows, cols, lanes
        super().__init__(f"Tile({dtype},{rows},{cols},{lanes})")


def element(dtype):
    """The LLVM type of a number."""
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def lanes_of_register(dtype):
    """How many lanes of a vector one register holds."""
    return min(LANES, REGISTER_BYTES * 8 // dtype.bitwidth)


@register_model(PointerType)
class _PointerModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, element(kind.dtype).as_pointer())


@register_model(TileType)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, TileBuilder(None, kind).type)


def emits(signature):
    """Make an intrinsic of a function ``emit(builder, *values)`` that emits its instructions.

    `signature` is Numba's, or makes it of the arguments' types: so an intrinsic that kernels are
    made with must, as a type differs from process to process. Where the result or the first
    argument is a tile, the builder is a :class:`TileBuilder` for it, and where it is a pointer, one
    for the vector there; else it is LLVM's.
    """

    def decorate(emit):
        @wraps(emit)
        def typing(_, *kinds):
            def codegen(context, builder, signature, args):
                result = emit(_builder_for(signature, builder), *args)
                return context.get_dummy_value() if result is None else result

            return signature(*kinds) if callable(signature) else signature, codegen

        return intrinsic(typing)

    return decorate


def _builder_for(signature, builder):
    for kind in (signature.return_type, *signature.args[:1]):
        if isinstance(kind, (PointerType, TileType)):
            return TileBuilder(builder, kind if isinstance(kind, TileType) else vector_type(kind))
    return builder


@intrinsic
def pointer(_, array):
    """The address of the first element of a float32 or float64 array.

    It does not keep the array alive: of an array made in the kernel itself, take the
    pointer again in the loop that uses it, rather than once before.
    """

    def codegen(context, builder, signature, args):
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return PointerType(array.dtype)(array), codegen


@emits(lambda p: PointerType(p.dtype, lanes_of_register(p.dtype))(p))
def narrow(_, p):
    """The same address, but what is read there is one register instead of sixteen lanes.

    Where a vector is several registers, a loop that holds many of them at once does better to do
    its work register by register, ``for lane in range(0, LANES, register_lanes(p))``.
    """
    return p


@emits(types.int64)
def register_lanes(t, _):
    """How many lanes of a vector one register holds, of what a pointer points at."""
    return INT64(t.part.count)


@emits(lambda p, _: p(p, types.int64))
def _advance(t, p, n):
    return t.builder.gep(p, [n])


@overload(operator.add)
def _pointer_plus(p, n):
    if isinstance(p, PointerType) and isinstance(n, types.Integer):
        return lambda p, n: _advance(p, n)


class TileBuilder:
    """Emits the instructions of a tile: loops over its parts, rows and columns."""

    def __init__(self, builder, kind):
        self.builder, self.kind = builder, kind
        self.rows, self.cols = kind.rows, kind.cols
        lanes = min(kind.lanes, lanes_of_register(kind.dtype))
        self.part, self.parts = ir.VectorType(element(kind.dtype), lanes), kind.lanes // lanes
        self.type = ir.ArrayType(self.part, kind.rows * kind.cols * self.parts)

    def at(self, row, col, part):
        """Where a register of the tile stands in its LLVM value."""
        return (row * self.cols + col) * self.parts + part

    def positions(self):
        """Row, column and part of every register, part after part."""
        for part in range(self.parts):
            for row in range(self.rows):
                for col in range(self.cols):
                    yield row, col, part

    def filled(self, register):
        """The tile of which each register is ``register(row, col, part)``."""
        tile = ir.Constant(self.type, ir.Undefined)
        for place in self.positions():
            tile = self.builder.insert_value(tile, register(*place), self.at(*place))
        return tile

    def address(self, base, step, index, part=0):
        """The pointer ``base + index * step``, moved on to a part of the vector there."""
        b = self.builder
        if index:
            base = b.gep(base, [b.mul(step, INT64(index))])
        if part:
            base = b.gep(base, [INT64(part * self.part.count)])
        return base

    def load(self, base, step, index, part):
        """One register, read from :meth:`address`."""
        b = self.builder
        p = b.bitcast(self.address(base, step, index, part), self.part.as_pointer())
        return b.load(p, align=self.kind.dtype.bitwidth // 8)

    def store(self, value, address):
        """Write one register."""
        b = self.builder
        b.store(value, b.bitcast(address, self.part.as_pointer()), self.kind.dtype.bitwidth // 8)

    def splat(self, scalar):
        """One register that holds a number in every lane."""
        b, lane = self.builder, ir.IntType(32)
        one = b.insert_element(ir.Constant(self.part, ir.Undefined), scalar, lane(0))
        zeros = ir.Constant(ir.VectorType(lane, self.part.count), [0] * self.part.count)
        return b.shuffle_vector(one, ir.Constant(self.part, ir.Undefined), zeros)

    def add_product(self, tile, x, y, place):
        """The tile with ``x * y`` added to one of its registers, rounded once."""
        name = f"llvm.fma.v{self.part.count}f{self.kind.dtype.bitwidth}"
        kind = ir.FunctionType(self.part, [self.part] * 3)
        fma = cgutils.get_or_insert_function(self.builder.module, kind, name)
        at = self.at(*place)
        total = self.builder.call(fma, [x, y, self.builder.extract_value(tile, at)])
        return self.builder.insert_value(tile, total, at)

    def keep_rolled(self):
        """Keep LLVM from unrolling the loop around: two turns at once do not fit the registers.

        An empty piece of assembly that may not be copied into other control flow.
        """
        nothing = ir.FunctionType(ir.VoidType(), [])
        empty = ir.InlineAsm(nothing, "", "", side_effect=True)
        self.builder.call(empty, [], attrs=("convergent", "nounwind"))

    def lane_sums(self, tile):
        """The sum of each vector's lanes: one number after the other, row by row, in registers.

        By halving, a fixed tree whatever the registers. Two vectors that have been halved fill
        one again, so that there is half as much to do every time.
        """
        b, lane = self.builder, ir.IntType(32)
        partial = []
        for first in range(0, self.rows * self.cols * self.parts, self.parts):
            vector = [b.extract_value(tile, first + part) for part in range(self.parts)]
            while len(vector) > 1:
                half = len(vector) // 2
                vector = [b.fadd(x, y) for x, y in zip(vector[:half], vector[half:])]
            partial += vector
        size = self.part.count  # of what is left of one vector
        while size > 1:
            size //= 2
            halves = [
                [start + i for start in range(0, 2 * self.part.count, 2 * size) for i in side]
                for side in (range(size), range(size, 2 * size))
            ]
            low, high = (ir.Constant(ir.VectorType(lane, self.part.count), h) for h in halves)
            nothing = ir.Constant(self.part, ir.Undefined)
            pairs = zip(partial[::2], [*partial[1::2], nothing])
            partial = [
                b.fadd(b.shuffle_vector(x, y, low), b.shuffle_vector(x, y, high)) for x, y in pairs
            ]
        return partial


def vector_type(p):
    """The type of a single vector of what the pointer type `p` points at."""
    return TileType(p.dtype, 1, 1, p.lanes)


@emits(lambda p: vector_type(p)(p))
def zero(t, _):
    """A vector of zeros, of the type that a pointer points at."""
    return ir.Constant(t.type, None)


@emits(lambda tile: tile(tile))
def zero_tile(t, _):
    """A tile of zeros of the type of another one."""
    return ir.Constant(t.type, None)


@emits(lambda p: vector_type(p)(p))
def load(t, p):
    """The vector whose first lane is at `p`."""
    return t.filled(lambda row, col, part: t.load(p, None, 0, part))


@emits(types.void)
def store(t, vector, p):
    """Write a vector to `p` and the 15 elements after it."""
    for part in range(t.parts):
        t.store(t.builder.extract_value(vector, part), t.address(p, None, 0, part))


@emits(lambda condition, p, q: p(types.boolean, p, p))
def choose(t, condition, p, q):
    """The pointer `p` if the condition holds, else `q`; without a branch."""
    return t.builder.select(condition, p, q)


def _prefetch(write):
    @emits(types.void)
    def prefetch(t, p):
        i8, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [i8, i32, i32, i32])
        function = t.builder.module.declare_intrinsic("llvm.prefetch", [i8], kind)
        near, data = i32(2), i32(1)
        t.builder.call(function, [t.builder.bitcast(p, i8), i32(int(write)), near, data])

    return prefetch


#: Ask for the cache line at a pointer, and do not wait; any address will do.
prefetch_to_read, prefetch_to_write = _prefetch(False), _prefetch(True)
