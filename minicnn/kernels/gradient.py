"""Weight and bias gradients: sums over samples and positions.

The gradient of a convolution's weight is, for output channel o and term r = (c, u, v),

    dW[o; r] = sum over g, i, j and the 16 lanes of  delta[g, o, i, j] * x[g, i, j; r]

Products are added up lane by lane in a tile of 2 x 3 vectors (output channels x terms);
only at the very end are the 16 lanes of each sum added together. The loops are cut so
that what they touch stays in the first-level cache: a task owns 8 output channels and 24
terms, and passes over a few rows of the images at a time, for all its tiles.

The batch is cut into slices, each with a sum of its own; the slices are added in order.
How many there are depends on the shapes alone, so the bits do not depend on the threads.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from minicnn.kernels.launch import kernel
from minicnn.kernels.tile import tile_operations
from minicnn.kernels.vector import pointer
from minicnn.lanes import LANES

ROWS, COLUMNS = 2, 3
CHANNELS = 8  # of a task, a multiple of ROWS
TERMS = 24  # of a task, a multiple of COLUMNS
TILE = ROWS * COLUMNS * LANES
# Enough vectors of a pass over some rows that loading and storing the tile costs little.
PASS = 24


class Sweep(NamedTuple):
    """What there is to sum, and how far apart it stands; all steps in elements."""

    slices: int
    lane_groups: int
    x_lane_group: int
    d_lane_group: int
    channel_groups: int
    x_channel_group: int
    d_channel_group: int
    rows: int
    x_row: int
    d_row: int
    columns: int
    x_column: int
    d_column: int
    channels: int  # outputs of one channel group
    d_channel: int


_, zero_tile, load_tile, store_tile, _, add_lanes, store_sums = tile_operations(ROWS, COLUMNS)


@kernel
def _add_rows(tile, delta, d_channel, x, offsets, first, last, sweep):
    """Add the products of some rows of one lane group to a tile."""
    for i in range(first, last):
        for j in range(sweep.columns):
            d = delta + (i * sweep.d_row + j * sweep.d_column)
            at = x + (i * sweep.x_row + j * sweep.x_column)
            tile = add_lanes(tile, d, d_channel, at, offsets)
    return tile


@kernel(parallel=True)
def weight_gradient(x, x_terms, delta, partial, sweep):
    """Fill `partial` with the weight gradient of each slice of the batch.

    Parameters
    ----------
    x, delta : ndarray, float32 or float64
        Contiguous; read at the offsets that `sweep` and the terms give, unchecked.
    x_terms : ndarray of int64, shape (terms,)
        Where term r stands in `x`, from an output's own place.
    partial : ndarray, shape (slices, channel groups, channels, terms)
    sweep : Sweep
    """
    terms = x_terms.size
    channel_tasks = (sweep.channels + CHANNELS - 1) // CHANNELS
    term_tasks = (terms + TERMS - 1) // TERMS
    rows_of_pass = (PASS + sweep.columns - 1) // sweep.columns
    x0, d0 = pointer(x), pointer(delta)
    for task in prange(sweep.slices * sweep.channel_groups * channel_tasks * term_tasks):
        term_task, rest = task % term_tasks, task // term_tasks
        channel_task, rest = rest % channel_tasks, rest // channel_tasks
        q, s = rest % sweep.channel_groups, rest // sweep.channel_groups
        first_channel, first_term = channel_task * CHANNELS, term_task * TERMS
        channels = min(CHANNELS, sweep.channels - first_channel)
        wide = min(TERMS, terms - first_term)
        across = (wide + COLUMNS - 1) // COLUMNS
        down = (channels + ROWS - 1) // ROWS
        tiles = np.zeros(down * across * TILE, x.dtype)
        first_group = s * sweep.lane_groups // sweep.slices
        for g in range(first_group, (s + 1) * sweep.lane_groups // sweep.slices):
            x1 = x0 + (g * sweep.x_lane_group + q * sweep.x_channel_group)
            d1 = d0 + (g * sweep.d_lane_group + q * sweep.d_channel_group)
            for first in range(0, sweep.rows, rows_of_pass):
                last = min(first + rows_of_pass, sweep.rows)
                for t in range(down * across):
                    o, r = first_channel + t // across * ROWS, first_term + t % across * COLUMNS
                    # At the edges the last channel and term stand in for missing ones.
                    d_channel = sweep.d_channel if o + 1 < sweep.channels else 0
                    offsets = (
                        x_terms[r], x_terms[min(r + 1, terms - 1)], x_terms[min(r + 2, terms - 1)]
                    )  # fmt: skip
                    at = pointer(tiles) + t * TILE
                    tile = load_tile(at, COLUMNS * LANES, LANES)
                    tile = _add_rows(
                        tile, d1 + o * sweep.d_channel, d_channel, x1, offsets, first, last, sweep
                    )
                    store_tile(tile, at, COLUMNS * LANES, LANES)
        sums = np.empty((ROWS, COLUMNS), x.dtype)
        for t in range(down * across):
            tile = load_tile(pointer(tiles) + t * TILE, COLUMNS * LANES, LANES)
            store_sums(tile, pointer(sums), COLUMNS)
            for m in range(ROWS):
                for n in range(COLUMNS):
                    o, r = t // across * ROWS + m, t % across * COLUMNS + n
                    if o < channels and r < wide:
                        partial[s, q, first_channel + o, first_term + r] = sums[m, n]


def slice_count(lane_groups, channel_groups, channels, terms):
    """Into how many slices the batch is cut: enough for some 32 tasks in all."""
    tasks = channel_groups * -(-channels // CHANNELS) * -(-terms // TERMS)
    return min(lane_groups, -(-32 // tasks))


@kernel(parallel=True)
def bias_gradient(delta, out):
    """Sum `delta` over samples and positions.

    Parameters
    ----------
    delta : ndarray, shape (G, C, positions, 16)
    out : ndarray, shape (C,)
    """
    groups, channels, positions, _ = delta.shape
    for c in prange(channels):
        lanes = np.zeros(LANES, delta.dtype)
        for g in range(groups):
            for p in range(positions):
                for lane in range(LANES):
                    lanes[lane] += delta[g, c, p, lane]
        out[c] = lanes.sum()
