"""Put chosen images into lanes and normalize them, in one pass.

Not shared out: it runs in a thread of its own beside the training step, which has the pool.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.simd.arithmetic import transpose
from minicnn.kernels.simd.vector import TileBuilder, TileType, element, load, pointer, store


@intrinsic
def _normalized(_, images, at, centre, scale, shift, like):
    """``(x - centre) * scale + shift`` of the 16 elements of a flat array from `at` on.

    A vector of numbers of the type of `like`, computed in the type of `scale`. Every operation is
    rounded, as it is for single numbers.
    """
    kind = TileType(like, 1, 1)

    def codegen(context, builder, signature, args):
        array, number = context.make_array(images)(context, builder, args[0]), images.dtype
        start = builder.gep(array.data, [args[1]])
        wide = ir.VectorType(context.get_data_type(number), LANES)
        found = builder.load(builder.bitcast(start, wide.as_pointer()), align=number.bitwidth // 8)
        real = ir.VectorType(element(scale), LANES)
        whole = TileBuilder(builder, TileType(scale, 1, 1))
        whole.part = real  # all lanes at once
        c, s, t = (whole.splat(term) for term in args[2:5])
        if isinstance(number, types.Integer):
            found = builder.uitofp(found, real)
        elif number.bitwidth < scale.bitwidth:
            found = builder.fpext(found, real)
        found = builder.fadd(builder.fmul(builder.fsub(found, c), s), t)
        if like.bitwidth < scale.bitwidth:
            found = builder.fptrunc(found, ir.VectorType(element(like), LANES))
        tile = TileBuilder(builder, kind)

        def register(row, col, part):
            begin, lane = part * tile.part.count, ir.VectorType(ir.IntType(32), tile.part.count)
            places = ir.Constant(lane, list(range(begin, begin + tile.part.count)))
            return builder.shuffle_vector(found, found, places)

        return tile.filled(register)

    return kind(images, types.int64, centre, scale, shift, like), codegen


@kernel
def gather(images, indices, centre, scale, shift, out):
    """``out[g, c, p, lane] = (x - centre[c]) * scale[c] + shift[c]``, x = images[n, c, p].

    The sample in a lane is ``n = indices[16 g + lane]``.
    Sixteen pixels of each of sixteen images are read and normalized, and turned as a block:
    both sides are runs of memory.

    Parameters
    ----------
    images : ndarray, shape (N, C, P)
        The P pixels of each channel, contiguous; uint8, float32 or float64.
    indices : ndarray of int64, shape (n,)
        Which images to take; in [0, N), which is not checked.
    centre, scale, shift : ndarray, shape (C,)
        Of the dtype to compute in: as wide as that of `out`, and of images that are no uint8.
    out : ndarray, shape (G, C, P, 16)
        float32 or float64, ``G = ceil(n / 16)``; spare lanes become 0.
    """
    real, wide = out.dtype.type, scale.dtype.type
    groups, channels, pixels, _ = out.shape
    block, turned = np.zeros((LANES, LANES), out.dtype), np.empty((LANES, LANES), out.dtype)
    out0, numbers = pointer(out), images.reshape(-1)
    for g in range(groups):
        here = min(LANES, indices.size - g * LANES)
        for c in range(channels):
            less, factor, term = centre[c], scale[c], shift[c]
            for first in range(0, pixels, LANES):
                count = min(LANES, pixels - first)
                at = out0 + ((g * channels + c) * pixels + first) * LANES
                for lane in range(here):
                    start = (indices[g * LANES + lane] * channels + c) * pixels + first
                    if count == LANES:
                        own = _normalized(numbers, start, less, factor, term, real(0))
                        store(own, pointer(block) + lane * LANES)
                    else:
                        for p in range(count):
                            pixel = wide(numbers[start + p])
                            block[lane, p] = real((pixel - less) * factor + term)
                for lane in range(here, LANES):
                    block[lane] = 0
                if count == LANES:
                    transpose(pointer(block), LANES, at, LANES)
                else:
                    transpose(pointer(block), LANES, pointer(turned), LANES)
                    for p in range(count):
                        store(load(pointer(turned) + p * LANES), at + p * LANES)
