"""Put chosen images into lanes and normalize them, in one pass.

Not a parallel kernel: it runs in a thread of its own beside the training step, and some
of Numba's threading layers may be entered from one thread only.
"""

from minicnn.kernels.launch import kernel
from minicnn.lanes import LANES

# Sixteen images' worth of so many pixels stays in the innermost cache in either precision.
BLOCK = 64


@kernel
def gather(images, indices, scale, shift, out):
    """``out[g, c, p, lane] = images[indices[16 g + lane], c, p] * scale[c] + shift[c]``.

    A block of pixels is read image by image, each as one run of memory, and the writes that
    skip from pixel to pixel meet a block that the cache holds.

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
    for g in range(groups):
        start = g * LANES
        here = min(LANES, indices.size - start)
        for c in range(channels):
            for first in range(0, pixels, BLOCK):
                end = min(first + BLOCK, pixels)
                for lane in range(here):
                    image = indices[start + lane]
                    for p in range(first, end):
                        out[g, c, p, lane] = real(images[image, c, p]) * scale[c] + shift[c]
                for p in range(first, end):
                    for lane in range(here, LANES):
                        out[g, c, p, lane] = 0
