"""Put chosen images into lanes and normalize them, in one pass.

Not a parallel kernel: it runs in a thread of its own beside the training step, and some
of Numba's threading layers may be entered from one thread only.
"""

import numpy as np

from minicnn.kernels.arithmetic import transpose
from minicnn.kernels.launch import kernel
from minicnn.kernels.vector import load, pointer, store
from minicnn.lanes import LANES


@kernel
def gather(images, indices, scale, shift, out):
    """``out[g, c, p, lane] = images[indices[16 g + lane], c, p] * scale[c] + shift[c]``.

    Sixteen pixels of each of sixteen images are read and normalized, and turned as a block:
    both sides are runs of memory.

    Parameters
    ----------
    images : ndarray, shape (N, C, P)
        The P pixels of each channel; uint8, float32 or float64.
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
    out0 = pointer(out)
    for g in range(groups):
        here = min(LANES, indices.size - g * LANES)
        for c in range(channels):
            factor, term = scale[c], shift[c]
            for first in range(0, pixels, LANES):
                count = min(LANES, pixels - first)
                at = out0 + ((g * channels + c) * pixels + first) * LANES
                for lane in range(here):
                    source = images[indices[g * LANES + lane], c, first : first + count]
                    if count == LANES:  # a length that is known makes vectors
                        for p in range(LANES):
                            block[lane, p] = real(source[p]) * factor + term
                    else:
                        for p in range(count):
                            block[lane, p] = real(source[p]) * factor + term
                for lane in range(here, LANES):
                    block[lane] = 0
                if count == LANES:
                    transpose(pointer(block), LANES, at, LANES)
                else:
                    transpose(pointer(block), LANES, pointer(turned), LANES)
                    for p in range(count):
                        store(load(pointer(turned) + p * LANES), at + p * LANES)
