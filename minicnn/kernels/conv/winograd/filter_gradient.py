"""The weight gradient of 3×3 convolutions by Winograd's scheme.

What takes weights to outputs in :mod:`minicnn.kernels.conv.winograd.convolution`, ``Aᵀ [(G g) * (Bᵀ
d)]``, is linear in g, and the gradient of g is what its transpose makes of delta::

    dg = Gᵀ [(A delta) * (Bᵀ d)]
    dG = Gᵀ [ sum over tiles and samples of (A delta Aᵀ) * (Bᵀ d B) ] G

The sum, over everything but channels, is for each of the 36 points a matrix product: of
output channels times samples and samples times input channels. In it the samples are the
terms, so the points of the input are transposed in blocks of 16 × 16 until input channels
are the lanes.

Each slice of the tiles has a sum of its own, and the slices are added in order: how many
there are depends on the shapes alone, so the bits do not depend on the threads.
"""

import numpy as np

from minicnn.kernels import LANES
from minicnn.kernels.conv.weight_gradient import channel_sum
from minicnn.kernels.conv.winograd.convolution import COLUMNS, ROWS, weight_points
from minicnn.kernels.conv.winograd.tiles import (
    GAP,
    POINTS,
    TILES,
    delta_points,
    find_tiles,
    input_points,
    prefetch_tiles,
    put_six,
    six,
)
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.arithmetic import rounded, transpose
from minicnn.kernels.simd.tile import tile_operations
from minicnn.kernels.simd.vector import load, pointer, store, zero, zero_tile

TERMS = TILES * LANES  # of a product: the samples of a block of tiles
PANEL = 2 * ROWS  # output channels that are multiplied together
SUMS = 1 << 20  # elements of all slices' sums together, about


def _product(rows, cols):
    """A function that adds the terms of a tile of `rows` channels and `cols` vectors of others."""
    _, load_tile, store_tile, add_rank1, _, _ = tile_operations(rows, cols)

    @kernel
    def product(d, v, v_step, total, total_step, terms, fresh):
        tile = load_tile(total, total_step, LANES)
        if fresh:
            tile = zero_tile(tile)
        for n in range(terms):
            tile = add_rank1(tile, d + n, TERMS, v + n * v_step, LANES)
        store_tile(tile, total, total_step, LANES)

    return product


def _narrow_product(cols):
    """The same for ROWS or PANEL channels: the less is side by side, the more it takes of them."""
    low, tall = _product(ROWS, cols), _product(PANEL, cols)

    @kernel
    def product(rows, d, v, v_step, total, total_step, terms, fresh):
        if rows == PANEL:
            tall(d, v, v_step, total, total_step, terms, fresh)
        else:
            low(d, v, v_step, total, total_step, terms, fresh)

    return product


_wide, _two, _one = _product(ROWS, COLUMNS), _narrow_product(2), _narrow_product(1)


@kernel
def _gradient_row(m0, m1, m2, m3, m4, m5):
    """``Gᵀ m``: six points to three weights."""
    a, b = m1 + m2, m3 + m4
    return (
        0.25 * m0 - rounded(1 / 6, a) + (1 / 24) * b,
        (1 / 6) * (m2 - m1) + rounded(1 / 12, m3 - m4),
        (1 / 6) * (b - a) + m5,
    )


@kernel
def _multiply(d, v, v_step, total, total_step, rows, vectors, terms, fresh):
    """``total[o, c] += sum over terms n of d[o, n] v[n, c]`` for channels o, ROWS or PANEL.

    What is `fresh` begins at 0, whatever stands there.
    """
    whole = vectors - vectors % COLUMNS
    for c in range(0, whole * LANES, COLUMNS * LANES):
        for o in range(0, rows, ROWS):
            at = total + (o * total_step + c)
            _wide(d + o * TERMS, v + c, v_step, at, total_step, terms, fresh)
    if COLUMNS > 1:
        left, c = vectors - whole, whole * LANES
        if left >= 2:
            _two(rows, d, v + c, v_step, total + c, total_step, terms, fresh)
            c += 2 * LANES
        if left % 2:
            _one(rows, d, v + c, v_step, total + c, total_step, terms, fresh)


@kernel
def point_sums(x, delta, padding, sums, scratch):
    """Fill `sums` with the sums over tiles and samples, a slice of the tiles each.

    Parameters
    ----------
    x : ndarray of float32, shape (G, C, H, W, 16)
    delta : ndarray, shape (G, O, H', W', 16)
    padding : pair of int
    sums : ndarray, shape (slices, *`weight_points`)
    scratch : ndarray, shape (parts, `scratch_size`)
        Room to work in, a row for each part of the work that may run by itself.
    """
    parallel_for(_sums_parts, scratch.shape[0], (x, delta, padding, sums, scratch))


@kernel
def _sums_parts(own_parts, x, delta, padding, sums, scratch):
    groups, c_in, height, width, _ = x.shape
    _, c_out, rows, columns, _ = delta.shape
    slices, _, o_rows, c_columns = sums.shape
    tiles = groups * ((rows + 3) // 4) * ((columns + 3) // 4)
    v_step, d_step = c_columns * TERMS + GAP, o_rows * TERMS + GAP
    x0, delta0, sums0 = pointer(x), pointer(delta), pointer(sums)
    parts, none = scratch.shape[0], zero(x0)
    for part in own_parts:
        v0 = pointer(scratch) + part * scratch.shape[1]
        d0 = v0 + POINTS * v_step
        block0 = d0 + POINTS * d_step  # the points of one tile and 16 channels
        block_step = LANES * LANES + GAP
        nothing = block0 + POINTS * block_step
        put_six((none, none, none, none, none, none), nothing, LANES)
        places, next_places = np.empty((TILES, 3), np.int64), np.empty((TILES, 3), np.int64)
        for s in range(part * slices // parts, (part + 1) * slices // parts):
            own = sums0 + s * POINTS * o_rows * c_columns
            begin, end = s * tiles // slices, (s + 1) * tiles // slices
            for first in range(begin, end, TILES):
                count, after = min(TILES, end - first), min(TILES, end - first - TILES)
                find_tiles(first, count, rows, columns, places)
                find_tiles(first + TILES, after, rows, columns, next_places)
                for t in range(count):
                    g, i, j = places[t, 0], places[t, 1], places[t, 2]
                    top, left = i - padding[0], j - padding[1]
                    for c in range(0, c_columns, LANES):
                        for lane in range(LANES):
                            # Channels beyond the last see nothing.
                            h = height if c + lane < c_in else 0
                            image = x0 + (g * c_in + c + lane) * height * width * LANES
                            points = block0 + lane * LANES
                            input_points(image, top, left, h, width, nothing, points, block_step)
                        for k in range(POINTS):
                            transpose(
                                block0 + k * block_step, LANES,
                                v0 + (k * v_step + t * LANES * c_columns + c), c_columns,
                            )  # fmt: skip
                for o in range(c_out):
                    for t in range(count):
                        g, i, j = places[t, 0], places[t, 1], places[t, 2]
                        image = delta0 + (g * c_out + o) * rows * columns * LANES
                        points = d0 + (o * TERMS + t * LANES)
                        delta_points(image, i, j, rows, columns, nothing, points, d_step)
                units = (c_in + c_out) * TILES if after == TILES else 0
                asked, at_once = 0, 1 + units // (POINTS * ((o_rows + PANEL - 1) // PANEL))
                for k in range(POINTS):
                    for o in range(0, o_rows, PANEL):
                        prefetch_tiles(
                            asked, min(asked + at_once, units), next_places,
                            x0, c_in, height, width, delta0, c_out, rows, columns, False,
                        )  # fmt: skip
                        asked += at_once
                        _multiply(
                            d0 + (k * d_step + o * TERMS), v0 + k * v_step, c_columns,
                            own + (k * o_rows + o) * c_columns, c_columns, min(PANEL, o_rows - o),
                            c_columns // LANES, count * LANES, first == begin,
                        )  # fmt: skip


@kernel
def parameters_of_points(sums, delta, grad, bias_grad):
    """``grad[o, c] = Gᵀ (sum over the slices) G``, shape (O, C, 3, 3); and the bias gradient.

    `sums` and `delta` are as in :func:`point_sums`; `bias_grad` is of shape (O,), or empty if there
    is no bias.
    """
    parallel_for(_parameters_of_channels, len(grad), (sums, delta, grad, bias_grad))


@kernel
def _parameters_of_channels(own_channels, sums, delta, grad, bias_grad):
    slices, _, o_rows, c_columns = sums.shape
    c_in = grad.shape[1]
    sums0, step = pointer(sums), o_rows * c_columns
    for o in own_channels:
        scratch, weights = np.empty(18 * LANES, sums.dtype), np.empty((9, LANES), sums.dtype)
        totals = np.empty(POINTS * LANES, sums.dtype)
        for first in range(0, c_in, LANES):
            for k in range(POINTS):
                at = sums0 + (k * step + o * c_columns + first)
                total = load(at)
                for s in range(1, slices):
                    total = total + load(at + s * POINTS * step)
                store(total, pointer(totals) + k * LANES)
            for j in range(6):
                at = pointer(totals) + j * LANES
                row = _gradient_row(*six(at, 6 * LANES))
                for_column = pointer(scratch) + j * LANES
                store(row[0], for_column)
                store(row[1], for_column + 6 * LANES)
                store(row[2], for_column + 12 * LANES)
            for i in range(3):
                row = _gradient_row(*six(pointer(scratch) + 6 * i * LANES, LANES))
                out = pointer(weights) + 3 * i * LANES
                store(row[0], out)
                store(row[1], out + LANES)
                store(row[2], out + 2 * LANES)
            for c in range(first, min(first + LANES, c_in)):
                for k in range(9):
                    grad[o, c, k // 3, k % 3] = weights[k, c - first]
        if bias_grad.size:
            groups, _, rows, columns, _ = delta.shape
            plane = rows * columns * LANES
            own = pointer(delta) + o * plane
            bias_grad[o] = channel_sum(own, groups, len(grad) * plane, 1, 0, rows * columns)


def slice_count(lane_groups, output_shape, c_in):
    """Into how many slices the tiles are cut: 8, 4 or 2, the more the smaller their sums are."""
    c_out, rows, columns = output_shape
    tiles = lane_groups * -(-rows // 4) * -(-columns // 4)
    size = POINTS * -(-c_out // 4) * 4 * -(-c_in // LANES) * LANES  # whatever the registers
    room = min(SUMS // size, tiles // TILES)
    return min(tiles, 8 if room >= 8 else 4 if room >= 4 else 2)


def scratch_size(c_out, c_in):
    """Elements that a part of `point_sums` needs."""
    _, rows, columns = weight_points(c_out, c_in)
    points = columns * TERMS + GAP + rows * TERMS + GAP + LANES * LANES + GAP
    return POINTS * points + 6 * LANES
