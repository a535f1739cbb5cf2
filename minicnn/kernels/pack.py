"""Put chosen images into lanes and normalize them, in one pass.

Not shared out: it runs in a thread of its own beside the training step, which has the team.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minicnn.kernels import LANES
from minicnn.kernels.arithmetic import transpose
from minicnn.kernels.launch import kernel
from minicnn.kernels.vector import TileBuilder, TileType, load, pointer, store


@intrinsic
def _normalized(_, images, at, factor, term):
    """The vector of 16 elements of a flat array from `at` on, times `factor`, plus `term`.

    Both operations are rounded, as they are for single numbers.
    """
    kind = TileType(factor, 1, 1)

    def codegen(context, builder, signature, args):
        array, number = context.make_array(images)(context, builder, args[0]), images.dtype
        start = builder.gep(array.data, [args[1]])
        wide = ir.VectorType(context.get_data_type(number), LANES)
        found = builder.load(builder.bitcast(start, wide.as_pointer()), align=number.bitwidth // 8)
        real = ir.VectorType(context.get_data_type(factor), LANES)
        if isinstance(number, types.Integer):
            found = builder.uitofp(found, real)
        elif number.bitwidth < factor.bitwidth:
            found = builder.fpext(found, real)
        elif number.bitwidth > factor.bitwidth:
            found = builder.fptrunc(found, real)
        t, vector = TileBuilder(builder, kind), context.get_constant_undef(kind)
        scale, shift = t.splat(args[2]), t.splat(args[3])
        for part in range(t.parts):
            begin, lane = part * t.part.count, ir.VectorType(ir.IntType(32), t.part.count)
            places = ir.Constant(lane, list(range(begin, begin + t.part.count)))
            own = builder.shuffle_vector(found, found, places)
            own = builder.fadd(builder.fmul(own, scale), shift)
            vector = builder.insert_value(vector, own, part)
        return vector

    return kind(images, types.int64, factor, factor), codegen


@kernel
def gather(images, indices, scale, shift, out):
    """``out[g, c, p, lane] = images[indices[16 g + lane], c, p] * scale[c] + shift[c]``.

    Sixteen pixels of each of sixteen images are read and normalized, and turned as a block:
    both sides are runs of memory.

    Parameters
    ----------
    images : ndarray, shape (N, C, P)
        The P pixels of each channel, contiguous; uint8, float32 or float64.
    indices : ndarray of int64, shape (n,)
        Which images to take; in [0, N), which is not checked.
    scale, shift : ndarray, shape (C,)
        Of the dtype of `out`.
    out : ndarray, shape (G, C, P, 16)
        float32 or float64, ``G = ceil(n / 16)``; spare lanes become 0.
    """
    real = out.dtype.type
    groups, channels, pixels, _ = out.shape
    block, turned = np.zeros((LANES, LANES), out.dtype), np.empty((LANES, LANES), out.dtype)
    out0, numbers = pointer(out), images.reshape(-1)
    for g in range(groups):
        here = min(LANES, indices.size - g * LANES)
        for c in range(channels):
            factor, term = scale[c], shift[c]
            for first in range(0, pixels, LANES):
                count = min(LANES, pixels - first)
                at = out0 + ((g * channels + c) * pixels + first) * LANES
                for lane in range(here):
                    start = (indices[g * LANES + lane] * channels + c) * pixels + first
                    if count == LANES:
                        own = _normalized(numbers, start, factor, term)
                        store(own, pointer(block) + lane * LANES)
                    else:
                        for p in range(count):
                            block[lane, p] = real(numbers[start + p]) * factor + term
                for lane in range(here, LANES):
                    block[lane] = 0
                if count == LANES:
                    transpose(pointer(block), LANES, at, LANES)
                else:
                    transpose(pointer(block), LANES, pointer(turned), LANES)
                    for p in range(count):
                        store(load(pointer(turned) + p * LANES), at + p * LANES)
