"""Nearest-neighbour upsampling: a pixel becomes a block of its copies."""

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.vector import load, pointer, store, zero


@kernel
def upsample(x, y, scale):
    """``y[i, j] = x[i // sh, j // sw]`` for x (G, C, H, W, 16) and y (G, C, sh H, sw W, 16)."""
    parallel_for(_upsample_planes, x.shape[0] * x.shape[1], (x, y, scale))


@kernel
def _upsample_planes(planes, x, y, scale):
    height, width = x.shape[2:4]
    x0, y0, row = pointer(x), pointer(y), width * scale[1] * LANES
    for plane in planes:
        image = x0 + plane * height * width * LANES
        output = y0 + plane * height * scale[0] * row
        for i in range(height):
            for j in range(width):
                pixel = load(image + (i * width + j) * LANES)
                for u in range(scale[0]):
                    for v in range(scale[1]):
                        at = (i * scale[0] + u) * row + (j * scale[1] + v) * LANES
                        store(pixel, output + at)


@kernel
def upsample_gradient(dy, dx, scale):
    """``dx[i, j] = sum of dy over the block of (i, j)``, row by row; shapes as in `upsample`."""
    parallel_for(_upsample_gradient_planes, dx.shape[0] * dx.shape[1], (dy, dx, scale))


@kernel
def _upsample_gradient_planes(planes, dy, dx, scale):
    height, width = dx.shape[2:4]
    dy0, dx0, row = pointer(dy), pointer(dx), width * scale[1] * LANES
    for plane in planes:
        gradient = dx0 + plane * height * width * LANES
        delta = dy0 + plane * height * scale[0] * row
        for i in range(height):
            for j in range(width):
                total = zero(dx0)
                for u in range(scale[0]):
                    for v in range(scale[1]):
                        at = (i * scale[0] + u) * row + (j * scale[1] + v) * LANES
                        total = total + load(delta + at)
                store(total, gradient + (i * width + j) * LANES)
