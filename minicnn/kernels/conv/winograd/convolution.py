"""3×3 convolutions with a quarter of the multiplications: Winograd's F(4×4, 3×3).

Four outputs of a row need six pixels d and three weights g. Done directly that is twelve
products; Winograd's scheme takes six, of six linear combinations each::

    y = Aᵀ [(G g) * (Bᵀ d)]                         one row
    Y = Aᵀ [ sum over c of (G g Gᵀ) * (Bᵀ d B) ] A  a tile of 4×4 outputs, 36 products, not 144

The 36 numbers of a transformed tile are called its *points*. Where samples are lanes, the
transforms Aᵀ and Bᵀ are additions of whole vectors, and for each point the sum over the
channels is a matrix product in register tiles. The input gradient is the same operation
on delta with the weights rotated and transposed; the weight gradient is in
:mod:`minicnn.kernels.conv.winograd.filter_gradient`. Lavin & Gray, *Fast algorithms for
convolutional neural networks*, CVPR 2016 (arXiv 1509.09308).
"""

import numpy as np

from minicnn.kernels import LANES
from minicnn.kernels.conv.winograd.tiles import (
    GAP,
    POINTS,
    TILES,
    find_tiles,
    input_points,
    output_tile,
    prefetch_tiles,
    put_six,
)
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.arithmetic import rounded
from minicnn.kernels.simd.tile import tile_operations
from minicnn.kernels.simd.vector import (
    REGISTER_BYTES,
    load,
    pointer,
    prefetch_to_read,
    tile_rows,
    zero,
    zero_tile,
)

# The register tile: output channels times tiles of outputs.
ROWS, COLUMNS = (4, 4) if REGISTER_BYTES == 64 else (tile_rows(4, 1), 1)
PANELS = 8  # of ROWS output channels, whose points are computed before any is put together
# Input channels whose points the nearest cache holds while all panels are multiplied by them. A
# tile of four columns reads them so seldom that it need not.
CHUNK = 96 if COLUMNS == 1 else 1 << 30
FAR = 1 << 18  # transformed weights, from which on they are asked for early

_splat, _load_tile, _store_tile, _add_rank1, _, _ = tile_operations(ROWS, COLUMNS)


@kernel
def convolve(x, u, bias, y, padding, relu, v, m):
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
    relu : bool
        Whether to write ``max(sum, 0)``.
    v, m : ndarray, shapes (parts, `input_scratch`) and (parts, `output_scratch`)
        Room to work in, a row for each part of the work that may run by itself.
    """
    parallel_for(_convolve_parts, v.shape[0], (x, u, bias, y, padding, relu, v, m))


@kernel
def _convolve_parts(own_parts, x, u, bias, y, padding, relu, v, m):
    groups, c_in, height, width, _ = x.shape
    _, c_out, rows, columns, _ = y.shape
    parts, tiles = v.shape[0], groups * ((rows + 3) // 4) * ((columns + 3) // 4)
    blocks = (tiles + TILES - 1) // TILES
    # Where there are fewer blocks than threads, several share one, each with channels of its own.
    portions = (parts + blocks - 1) // blocks
    tasks, panels = blocks * portions, (c_out + ROWS - 1) // ROWS
    v_step, m_step = c_in * TILES * LANES + GAP, PANELS * ROWS * TILES * LANES + GAP
    x0, u0, y0 = pointer(x), pointer(u), pointer(y)
    bias0, bias_step, none = pointer(bias), 1 if bias.size > 1 else 0, zero(x0)
    for part in own_parts:
        v0, m0 = pointer(v) + part * v.shape[1], pointer(m) + part * m.shape[1]
        nothing = v0 + (v.shape[1] - 6 * LANES)
        put_six((none, none, none, none, none, none), nothing, LANES)
        places, next_places = np.empty((TILES, 3), np.int64), np.empty((TILES, 3), np.int64)
        for task in range(part * tasks // parts, (part + 1) * tasks // parts):
            block, portion = task // portions, task % portions
            first = block * TILES
            count, after = min(TILES, tiles - first), min(TILES, tiles - first - TILES)
            begin, end = portion * panels // portions, (portion + 1) * panels // portions
            find_tiles(first, count, rows, columns, places)
            find_tiles(first + TILES, after, rows, columns, next_places)
            for c in range(c_in):
                for t in range(count):  # neighbours, most of whose pixels are the same
                    g, i, j = places[t, 0], places[t, 1], places[t, 2]
                    top, left = i - padding[0], j - padding[1]
                    image = x0 + (g * c_in + c) * height * width * LANES
                    points = v0 + (c * TILES + t) * LANES
                    input_points(image, top, left, height, width, nothing, points, v_step)
            units = (c_in + c_out) * TILES if after == TILES else 0
            products = POINTS * (end - begin) * (TILES // COLUMNS) * ((c_in + CHUNK - 1) // CHUNK)
            asked, at_once = 0, 1 + units // products
            for low in range(begin, end, PANELS):
                high = min(low + PANELS, end)
                for k in range(POINTS):
                    for c in range(0, c_in, CHUNK):
                        channels = min(CHUNK, c_in - c)
                        at = v0 + (k * v_step + c * TILES * LANES)
                        for panel in range(low, high):
                            w = u0 + ((k * u.shape[1] + panel * ROWS) * u.shape[2] + c)
                            to = m0 + (k * m_step + (panel - low) * ROWS * TILES * LANES)
                            for t in range(0, count, COLUMNS):
                                prefetch_tiles(
                                    asked, min(asked + at_once, units), next_places,
                                    x0, c_in, height, width, y0, c_out, rows, columns, True,
                                )  # fmt: skip
                                asked += at_once
                                if u.size > FAR:
                                    _prefetch_panel(w + ROWS * u.shape[2], u.shape[2], t, channels)
                                _add_products(
                                    w, u.shape[2], at + t * LANES, channels, c == 0, to + t * LANES
                                )
                for o in range(low * ROWS, min(high * ROWS, c_out)):
                    for t in range(count):
                        g, i, j = places[t, 0], places[t, 1], places[t, 2]
                        out = y0 + (((g * c_out + o) * rows + i) * columns + j) * LANES
                        output_tile(
                            m0 + ((o - low * ROWS) * TILES + t) * LANES, m_step,
                            bias0 + o * bias_step, relu, out, columns, rows - i, columns - j,
                        )  # fmt: skip


@kernel
def _add_products(w, w_step, v, channels, fresh, sums):
    """``sums[o, t] += sum over c of w[o, c] v[c, t]``, a register tile, which is `fresh` at 0."""
    tile = zero_tile(_splat(w, 0))
    if not fresh:
        tile = _load_tile(sums, TILES * LANES, LANES)
    for c in range(channels):
        tile = _add_rank1(tile, w + c, w_step, v + c * TILES * LANES, LANES)
    _store_tile(tile, sums, TILES * LANES, LANES)


@kernel
def _prefetch_panel(w, w_step, t, channels):
    """Ask for a panel of weights; each t, a column of the block, asks for a share of it."""
    for row in range(t // COLUMNS, ROWS, TILES // COLUMNS):
        for c in range(0, channels, LANES):
            prefetch_to_read(w + (row * w_step + c))


def input_scratch(c_in):
    """Elements that a part of `convolve` needs for the points of its inputs."""
    return POINTS * (c_in * TILES * LANES + GAP) + 6 * LANES


def output_scratch():
    """Elements that a part of `convolve` needs for the points of its outputs."""
    return POINTS * (PANELS * ROWS * TILES * LANES + GAP)


@kernel
def _weight_row(g0, g1, g2):
    """``G g``: three weights to six points."""
    even, odd = rounded(-1 / 6, g0 + g2), (1 / 24) * g0 + rounded(1 / 6, g2)
    middle = rounded(1 / 6, g1)
    return 0.25 * g0, even - middle, even + middle, odd + 0.5 * middle, odd - 0.5 * middle, g2


@kernel
def transform_weights(w, u, backward):
    """``u[k, o, c] = (G g Gᵀ)[k]`` for every g = w[o, c]; here 16 channels c are the lanes.

    `w` is of shape (O, C, 3, 3), `u` of `weight_points`, whose rows beyond the channels are not
    touched. If `backward`, for the input gradient, g is rotated by 180° and its channels are
    transposed.
    """
    rows = w.shape[1] if backward else w.shape[0]
    parallel_for(_transform_rows, rows, (w, u, backward))


@kernel
def _transform_rows(rows, w, u, backward):
    columns, step = w.shape[0] if backward else w.shape[1], u.shape[1] * u.shape[2]
    u0 = pointer(u)
    for r in rows:
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
