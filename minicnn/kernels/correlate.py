"""The one kernel behind convolutions and dense layers, forwards and backwards.

Each of them computes, for every output element, a sum of products over *terms*

    y[g, o, i, j] = b[o] + sum over r of  w[o; r] * x[g, i, j; r]

where a term r of a convolution is a triple (c, u, v) of input channel and kernel position,
and of a dense layer an input feature. What differs is only where the terms stand in
memory, and that is told by two tables of offsets and a :class:`Walk`; they are made in
:mod:`minicnn.kernels.terms`. Sixteen samples are computed at once (``x`` and ``y`` are
vectors of lanes), and some five output channels: a weight is loaded once for 16 samples,
an input vector once for 5 channels, and the sums stay in registers until they are done.

Every output element is one chain of multiply-adds in the order of the terms, whatever the
tile and whatever the number of threads: the bits depend on neither. Terms that meet only
zeros, in the rows of padding, are left out: each row of outputs has its own first and last.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from minicnn.kernels.launch import kernel
from minicnn.kernels.tile import tile_operations
from minicnn.kernels.vector import REGISTER_BYTES, pointer, where_above, zero_tile

MAX_ROWS = 5
# One column of vectors is all that fits beside the weights, unless a vector is one register.
COLUMNS = 1 if REGISTER_BYTES < 64 else 4


class Walk(NamedTuple):
    """How many outputs there are, and how far apart; all steps in elements.

    Outputs are walked in lane groups, channel groups, rows, output channels and columns.
    """

    lane_groups: int
    x_lane_group: int
    y_lane_group: int
    channel_groups: int
    x_channel_group: int
    w_channel_group: int
    y_channel_group: int
    rows: int
    x_row: int
    y_row: int
    columns: int
    x_column: int
    y_column: int
    channels: int  # outputs of one channel group
    w_channel: int
    y_channel: int
    blocks: int  # into which the channels are cut, each at most a tile high
    chunks: int  # into which the blocks are cut, each a task of its own
    pieces: int  # into which the columns are cut, each a task of its own


class Terms(NamedTuple):
    """Where the terms stand, all of int64; see :mod:`minicnn.kernels.terms`."""

    x: np.ndarray  # shape (terms,): in x, from the output's own place
    w: np.ndarray  # shape (terms,): in w, from the output channel's first weight
    first: np.ndarray  # shape (rows,): the first term of each row of outputs
    last: np.ndarray  # shape (rows,): one after its last


def _panel(rows):
    """A function that computes `rows` output channels of some columns of a row of outputs."""
    wide, narrow = tile_operations(rows, COLUMNS), tile_operations(rows, 1)
    splat_wide, _, store_wide, add_wide, _, _ = wide
    splat_narrow, _, store_narrow, add_narrow, _, _ = narrow

    @kernel
    def panel(x, w, bias, bias_step, y, walk, terms, span, rectify):
        start, stop, first, last = span
        whole = stop - (stop - start) % COLUMNS
        for j in range(start, whole, COLUMNS):
            tile = splat_wide(bias, bias_step)
            for r in range(first, last):
                at = x + (j * walk.x_column + terms.x[r])
                tile = add_wide(tile, w + terms.w[r], walk.w_channel, at, walk.x_column)
            if rectify:
                tile = where_above(tile, zero_tile(tile), tile, zero_tile(tile))
            store_wide(tile, y + j * walk.y_column, walk.y_channel, walk.y_column)
        if COLUMNS > 1:
            for j in range(whole, stop):
                tile = splat_narrow(bias, bias_step)
                for r in range(first, last):
                    at = x + (j * walk.x_column + terms.x[r])
                    tile = add_narrow(tile, w + terms.w[r], walk.w_channel, at, 0)
                if rectify:
                    tile = where_above(tile, zero_tile(tile), tile, zero_tile(tile))
                store_narrow(tile, y + j * walk.y_column, walk.y_channel, 0)

    return panel


def _panel_of(rows):
    """A function that computes outputs of 1 to `rows` channels, told at run time."""
    whole = _panel(rows)
    if rows == 1:

        @kernel
        def one(count, x, w, bias, bias_step, y, walk, terms, span, rectify):
            whole(x, w, bias, bias_step, y, walk, terms, span, rectify)

        return one
    fewer = _panel_of(rows - 1)

    @kernel
    def some(count, x, w, bias, bias_step, y, walk, terms, span, rectify):
        if count == rows:
            whole(x, w, bias, bias_step, y, walk, terms, span, rectify)
        else:
            fewer(count, x, w, bias, bias_step, y, walk, terms, span, rectify)

    return some


_panel_of_channels = _panel_of(MAX_ROWS)


@kernel(parallel=True)
def correlate(x, w, bias, y, walk, terms, rectify):
    """Fill `y` with the sums of products that `walk` and the terms describe.

    Parameters
    ----------
    x, w, y : ndarray, float32 or float64
        Contiguous; read and written at the offsets that the tables give, unchecked.
    bias : ndarray, shape (channel groups * channels,) or (1,)
        Added to every output; of length one, the same for all.
    walk : Walk
    terms : Terms
    rectify : bool
        Whether to write ``max(sum, 0)``: a ReLU while the sums are in registers.
    """
    bias_step = 1 if bias.size > 1 else 0
    x0, w0, bias0, y0 = pointer(x), pointer(w), pointer(bias), pointer(y)
    tasks = walk.lane_groups * walk.channel_groups * walk.rows * walk.pieces * walk.chunks
    tiles = (walk.columns + COLUMNS - 1) // COLUMNS
    for task in prange(tasks):
        chunk, rest = task % walk.chunks, task // walk.chunks
        piece, rest = rest % walk.pieces, rest // walk.pieces
        i, rest = rest % walk.rows, rest // walk.rows
        q, g = rest % walk.channel_groups, rest // walk.channel_groups
        x1 = x0 + (g * walk.x_lane_group + q * walk.x_channel_group + i * walk.x_row)
        y1 = y0 + (g * walk.y_lane_group + q * walk.y_channel_group + i * walk.y_row)
        start = piece * tiles // walk.pieces * COLUMNS
        stop = min((piece + 1) * tiles // walk.pieces * COLUMNS, walk.columns)
        span = (start, stop, terms.first[i], terms.last[i])
        first = chunk * walk.blocks // walk.chunks
        for block in range(first, (chunk + 1) * walk.blocks // walk.chunks):
            o = block * walk.channels // walk.blocks
            count = (block + 1) * walk.channels // walk.blocks - o
            _panel_of_channels(
                count, x1, w0 + (q * walk.w_channel_group + o * walk.w_channel),
                bias0 + (q * walk.channels + o) * bias_step, bias_step,
                y1 + o * walk.y_channel, walk, terms, span, rectify,
            )  # fmt: skip
