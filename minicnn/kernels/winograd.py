"""3×3 convolutions with a quarter of the multiplications: Winograd's F(4×4, 3×3).

Four outputs of a row need six pixels d and three weights g. Done directly that is twelve
products; Winograd's scheme takes six, of six linear combinations each::

    y = Aᵀ [(G g) * (Bᵀ d)]                         one row
    Y = Aᵀ [ sum over c of (G g Gᵀ) * (Bᵀ d B) ] A  a tile of 4×4 outputs, 36 products, not 144

The 36 numbers of a transformed tile are called its *points*. Where samples are lanes, the
transforms Aᵀ and Bᵀ are additions of whole vectors, and for each point the sum over the
channels is a matrix product in register tiles. The input gradient is the same operation
on delta with the weights rotated and transposed; the weight gradient is in
:mod:`minicnn.kernels.winograd_gradient`. Lavin & Gray, *Fast algorithms for convolutional
neural networks*, CVPR 2016 (arXiv 1509.09308).
"""

import numpy as np
from numba import prange

from minicnn.kernels.arithmetic import where_above
from minicnn.kernels.launch import kernel
from minicnn.kernels.tile import tile_operations
from minicnn.kernels.vector import REGISTER_BYTES, choose, load, pointer, store, zero, zero_tile
from minicnn.lanes import LANES

POINTS = 36
TILES = 4  # tiles of 4×4 outputs that are worked on together
# The register tile: output channels times tiles of outputs.
ROWS = 4
COLUMNS = 4 if REGISTER_BYTES == 64 else 1
# Between the planes of the points: not a multiple of 4096 bytes, which would all fall into
# the same lines of the cache.
GAP = LANES

_splat, _, _store_tile, _add_rank1, _, _ = tile_operations(ROWS, COLUMNS)

_splat_vector, _, _, _, _, _ = tile_operations(1, 1)


@kernel
def _input_row(d0, d1, d2, d3, d4, d5):
    """``Bᵀ d``: six pixels to six points."""
    even, odd = d4 - 4.0 * d2, d3 - 4.0 * d1
    far, near = d4 - d2, 2.0 * (d3 - d1)
    return (
        4.0 * d0 - 5.0 * d2 + d4, even + odd, even - odd, far + near, far - near,
        4.0 * d1 - 5.0 * d3 + d5,
    )  # fmt: skip


@kernel
def _output_row(m0, m1, m2, m3, m4, m5):
    """``Aᵀ m``: six points to four outputs."""
    a, b, c, d = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return m0 + a + c, b + 2.0 * d, a + 4.0 * c, b + 8.0 * d + m5


@kernel
def pixel(image, i, j, height, width, nothing):
    """Pointer to a pixel of an image, or to `nothing` outside of it."""
    inside = (0 <= i) and (i < height) and (0 <= j) and (j < width)
    return choose(inside, image + (i * width + j) * LANES, nothing)


@kernel
def input_points(image, top, left, height, width, nothing, points, step, scratch):
    """``Bᵀ d B`` of the 6×6 pixels at (top, left), zero outside the image.

    The 36 vectors go to ``points + k * step``; `scratch` has room for as many.
    """
    for j in range(6):
        d = _input_row(
            load(pixel(image, top, left + j, height, width, nothing)),
            load(pixel(image, top + 1, left + j, height, width, nothing)),
            load(pixel(image, top + 2, left + j, height, width, nothing)),
            load(pixel(image, top + 3, left + j, height, width, nothing)),
            load(pixel(image, top + 4, left + j, height, width, nothing)),
            load(pixel(image, top + 5, left + j, height, width, nothing)),
        )
        put_six(d, scratch + j * LANES, 6 * LANES)
    for i in range(6):
        row = scratch + i * 6 * LANES
        put_six(_input_row(*six(row, LANES)), points + 6 * i * step, step)


@kernel
def put_six(vectors, p, step):
    """Write six vectors to ``p + k * step``."""
    store(vectors[0], p)
    store(vectors[1], p + step)
    store(vectors[2], p + 2 * step)
    store(vectors[3], p + 3 * step)
    store(vectors[4], p + 4 * step)
    store(vectors[5], p + 5 * step)


@kernel
def six(p, step):
    """The six vectors at ``p + k * step``."""
    return (
        load(p), load(p + step), load(p + 2 * step),
        load(p + 3 * step), load(p + 4 * step), load(p + 5 * step),
    )  # fmt: skip


@kernel
def _output_tile(points, step, bias, rectify, y, width, rows, columns, scratch):
    """``Aᵀ m A + b`` into the part of 4×4 pixels at `y` that is inside the image."""
    for j in range(6):
        m = _output_row(*six(points + j * step, 6 * step))
        for_row = scratch + j * LANES
        store(m[0], for_row)
        store(m[1], for_row + 6 * LANES)
        store(m[2], for_row + 12 * LANES)
        store(m[3], for_row + 18 * LANES)
    for i in range(min(rows, 4)):
        m = _output_row(*six(scratch + i * 6 * LANES, LANES))
        out = y + i * width * LANES
        _put_pixel(m[0], bias, rectify, out)
        if columns > 1:
            _put_pixel(m[1], bias, rectify, out + LANES)
        if columns > 2:
            _put_pixel(m[2], bias, rectify, out + 2 * LANES)
        if columns > 3:
            _put_pixel(m[3], bias, rectify, out + 3 * LANES)


@kernel
def _put_pixel(value, bias, rectify, p):
    value = value + bias
    if rectify:
        nothing = zero(p)
        value = where_above(value, nothing, value, nothing)
    store(value, p)


@kernel(parallel=True)
def convolve(x, u, bias, y, padding, rectify, v, m):
    """Fill `y` with the convolution of `x`, stride 1, by the transformed weights `u`.

    Parameters
    ----------
    x : ndarray of float32, shape (G, C, H, W, 16)
    u : ndarray, shape `weight_points`
        As :func:`transform_weights` made it.
    bias : ndarray, shape (O,) or (1,)
        Added to every output; of length one, the same for all.
    y : ndarray, shape (G, O, H', W', 16)
    padding : pair of int
    rectify : bool
        Whether to write ``max(sum, 0)``.
    v, m : ndarray, shapes (parts, `input_scratch`) and (parts, `output_scratch`)
        Room to work in, a row for each part of the work that may run by itself.
    """
    _, c_in, height, width, _ = x.shape
    _, c_out, rows, columns, _ = y.shape
    across, per_image = (columns + 3) // 4, (rows + 3) // 4 * ((columns + 3) // 4)
    tiles, parts = x.shape[0] * per_image, v.shape[0]
    blocks = (tiles + TILES - 1) // TILES
    # Where there are fewer blocks than threads, several share one, each with channels of its own.
    shares = (parts + blocks - 1) // blocks
    tasks, panels = blocks * shares, (c_out + ROWS - 1) // ROWS
    v_step, m_step = c_in * TILES * LANES + GAP, ROWS * TILES * LANES + GAP
    x0, u0, y0 = pointer(x), pointer(u), pointer(y)
    bias0, bias_step = pointer(bias), 1 if bias.size > 1 else 0
    for part in prange(parts):
        v0, m0 = pointer(v) + part * v.shape[1], pointer(m) + part * m.shape[1]
        nothing = v0 + (v.shape[1] - LANES)  # never written: zeros
        scratch = m0 + POINTS * m_step
        for task in range(part * tasks // parts, (part + 1) * tasks // parts):
            block, share = task // shares, task % shares
            first = block * TILES
            count = min(TILES, tiles - first)
            for c in range(c_in):
                for t in range(count):  # neighbours, most of whose pixels are the same
                    g, place = (first + t) // per_image, (first + t) % per_image
                    top, left = place // across * 4 - padding[0], place % across * 4 - padding[1]
                    image = x0 + (g * c_in + c) * height * width * LANES
                    points = v0 + (c * TILES + t) * LANES
                    input_points(image, top, left, height, width, nothing, points, v_step, scratch)
            for panel in range(share * panels // shares, (share + 1) * panels // shares):
                o = panel * ROWS
                for k in range(POINTS):
                    w, at = u0 + (k * u.shape[1] + o) * u.shape[2], v0 + k * v_step
                    for t in range(0, count, COLUMNS):
                        tile = zero_tile(_splat(w, 0))
                        for c in range(c_in):
                            tile = _add_rank1(
                                tile, w + c, u.shape[2], at + (c * TILES + t) * LANES, LANES
                            )
                        _store_tile(tile, m0 + (k * m_step + t * LANES), TILES * LANES, LANES)
                for row in range(min(ROWS, c_out - o)):
                    b = _splat_vector(bias0 + (o + row) * bias_step, 0)
                    for t in range(count):
                        g, place = (first + t) // per_image, (first + t) % per_image
                        i, j = place // across * 4, place % across * 4
                        out = y0 + (((g * c_out + o + row) * rows + i) * columns + j) * LANES
                        _output_tile(
                            m0 + (row * TILES + t) * LANES, m_step, b, rectify,
                            out, columns, rows - i, columns - j, scratch,
                        )  # fmt: skip


def input_scratch(c_in):
    """Elements that a part of `convolve` needs for the points of its inputs."""
    return POINTS * (c_in * TILES * LANES + GAP) + LANES


def output_scratch():
    """Elements that a part of `convolve` needs for the points of its outputs."""
    return POINTS * (ROWS * TILES * LANES + GAP) + POINTS * LANES


@kernel
def _weight_row(g0, g1, g2):
    """``G g``: three weights to six points."""
    even, odd = (-1 / 6) * (g0 + g2), (1 / 24) * g0 + (1 / 6) * g2
    middle = (1 / 6) * g1
    return 0.25 * g0, even - middle, even + middle, odd + 0.5 * middle, odd - 0.5 * middle, g2


@kernel(parallel=True)
def transform_weights(w, u, backward):
    """``u[k, o, c] = (G g Gᵀ)[k]`` for every g = w[o, c]; here 16 channels c are the lanes.

    Parameters
    ----------
    w : ndarray, shape (O, C, 3, 3)
    u : ndarray, as `weight_points` gives its shape
        Rows beyond the channels are not touched.
    backward : bool
        Whether g is rotated by 180° and its channels are transposed, for the input gradient.
    """
    rows, columns = (w.shape[1], w.shape[0]) if backward else (w.shape[0], w.shape[1])
    step = u.shape[1] * u.shape[2]
    u0 = pointer(u)
    for r in prange(rows):
        g, half = np.zeros(9 * LANES, w.dtype), np.empty(18 * LANES, w.dtype)
        for first in range(0, columns, LANES):
            for c in range(first, min(first + LANES, columns)):
                for k in range(9):
                    i, j = k // 3, k % 3
                    value = w[c, r, 2 - i, 2 - j] if backward else w[r, c, i, j]
                    g[k * LANES + c - first] = value
            for j in range(3):
                at = pointer(g) + j * LANES
                row = _weight_row(load(at), load(at + 3 * LANES), load(at + 6 * LANES))
                put_six(row, pointer(half) + j * LANES, 3 * LANES)
            for i in range(6):
                at = pointer(half) + 3 * i * LANES
                row = _weight_row(load(at), load(at + LANES), load(at + 2 * LANES))
                put_six(row, u0 + (6 * i * step + r * u.shape[2] + first), step)


def weight_points(c_out, c_in):
    """Shape of the transformed weights: rows and columns filled up to whole tiles and lanes."""
    return POINTS, -(-c_out // ROWS) * ROWS, -(-c_in // LANES) * LANES
