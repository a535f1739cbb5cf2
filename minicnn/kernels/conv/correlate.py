"""The one kernel behind convolutions, their input gradients, and dense layers' outputs.

Each of these is, for every output element, a sum of products over *terms*

    y[g, o, i, j] = b[o] + sum over r of  w[o; r] * x[g, i, j; r]

where a term r of a convolution is a triple (c, u, v) of input channel and kernel position,
and of a dense layer an input feature. What differs is only where the terms stand in
memory, and that is told by two tables of offsets and a :class:`LoopNest`; they are made in
:mod:`minicnn.kernels.conv.geometry`. Sixteen samples are computed at once (``x`` and ``y`` are
vectors of lanes), and some five output channels: a weight is loaded once for 16 samples,
an input vector once for 5 channels, and the sums stay in registers until they are done.

Every output element is one chain of multiply-adds in the order of the terms, whatever the
tile and whatever the number of threads: the bits depend on neither. Terms that meet only
zeros, in the padding, are left out: each row and each column of outputs has its own range.
"""

from typing import NamedTuple

import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.arithmetic import where_above
from minicnn.kernels.simd.tile import tile_operations
from minicnn.kernels.simd.vector import REGISTER_BYTES, pointer, zero_tile

# The tile: 20 registers of sums beside 4 of inputs where a vector is one of 32 registers, and
# 12 beside 2 where it is two of 16, which leave room for one column of vectors only.
MAX_ROWS, COLUMNS = (5, 4) if REGISTER_BYTES == 64 else (6, 1)
# Where a walk has one or two columns, 5 sums would wait for themselves: a tile of twice as many.
TALL_ROWS = 2 * MAX_ROWS if COLUMNS > 1 else MAX_ROWS


class LoopNest(NamedTuple):
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
    height: int  # channels of a block but the last; 0 if they are as equal as can be
    chunks: int  # into which the blocks are cut, each a task of its own
    pieces: int  # into which the columns are cut, each a task of its own
    terms_of_row: int  # of one kernel row u
    terms_of_column: int  # of one u and one kernel column v

    def numbers(self):
        """All of them as an array of int64: a kernel is given that in a tenth of the time."""
        return np.array(self, np.int64)


WALK_LENGTH = len(LoopNest._fields)


class Terms(NamedTuple):
    """Where the terms stand; sorted by kernel row u, then by kernel column v.

    All arrays are of int64; see :mod:`minicnn.kernels.conv.geometry`.
    """

    x: np.ndarray  # shape (terms,): in x, from the output's own place
    w: np.ndarray  # shape (terms,): in w, from the output channel's first weight
    rows: np.ndarray  # shape (rows, 2): first u that a row of outputs needs, and one after the last
    columns: np.ndarray  # shape (columns, 2): the same of v for a column of outputs


class Steps(NamedTuple):
    """What a tile needs of a walk, as there."""

    w_channel: int
    x_column: int
    y_channel: int
    y_column: int
    terms_of_row: int
    terms_of_column: int


def _strip(rows, cols):
    """A function that computes one tile: `rows` output channels of `cols` outputs from j on.

    Its terms are those of the kernel rows ``u .. end_u`` and of the columns that an output needs.
    """
    splat, _, store, add_rank1, _, _ = tile_operations(rows, cols)

    @kernel
    def strip(j, x, w, bias, bias_step, y, steps, x_terms, w_terms, columns, u, end_u, relu):
        v = min(columns[j, 0], columns[j + cols - 1, 0])
        end_v = max(columns[j, 1], columns[j + cols - 1, 1])
        start, length = (
            u * steps.terms_of_row + v * steps.terms_of_column,
            (end_v - v) * steps.terms_of_column,
        )
        if length == steps.terms_of_row:  # nothing to leave out: all rows are one run of terms
            length, end_u = length * (end_u - u), u + 1
        tile = splat(bias, bias_step)
        for _ in range(u, end_u):
            # Unsigned, as a number that may be negative has to be looked at before it is an index.
            for r in range(np.uint64(start), np.uint64(start + length)):
                at = x + (j * steps.x_column + x_terms[r])
                tile = add_rank1(tile, w + w_terms[r], steps.w_channel, at, steps.x_column)
            start += steps.terms_of_row
        if relu:
            tile = where_above(tile, zero_tile(tile), tile, zero_tile(tile))
        store(tile, y + j * steps.y_column, steps.y_channel, steps.y_column)

    return strip


def _panel(rows, cols=COLUMNS):
    """A function that computes `rows` output channels of the columns ``start .. stop``.

    Its tiles have `cols` columns: as many as there is room for, or 1.
    """
    wide, less, narrow = _strip(rows, cols), _strip(rows, 3), _strip(rows, 1)

    @kernel
    def panel(start, stop, *arguments):
        # Fours and at most three threes; 1, 2 and 5 columns are none of these.
        threes = -(stop - start) % cols
        last = stop - 3 * threes if 3 * threes <= stop - start else stop
        whole = last - (last - start) % cols
        for j in range(start, whole, cols):
            wide(j, *arguments)
        if cols > 1:
            for j in range(whole, last):
                narrow(j, *arguments)
            for j in range(last, stop, 3):
                less(j, *arguments)

    return panel


_panels = [_panel(rows) for rows in range(1, MAX_ROWS + 1)]
_one, _two, _three, _four, _five, _six = (*_panels, _panels[-1])[:6]
_tall = _panel(TALL_ROWS, 1) if TALL_ROWS > MAX_ROWS else _panels[-1]


@kernel
def _panel_of_channels(channels, *arguments):
    """Compute outputs of 1 to MAX_ROWS channels, or of TALL_ROWS, told at run time."""
    if channels == TALL_ROWS:
        _tall(*arguments)
    elif channels == 6:
        _six(*arguments)
    elif channels == 5:
        _five(*arguments)
    elif channels == 4:
        _four(*arguments)
    elif channels == 3:
        _three(*arguments)
    elif channels == 2:
        _two(*arguments)
    else:
        _one(*arguments)


@kernel
def _first_channel(block, walk):
    """Where a block of channels begins."""
    if walk.height:
        return min(block * walk.height, walk.channels)
    return block * walk.channels // walk.blocks


@kernel
def correlate(x, w, bias, y, numbers, x_terms, w_terms, rows, columns, relu):
    """Fill `y` with the sums of products that a walk and its terms describe.

    Parameters
    ----------
    x, w, y : ndarray, float32 or float64
        Contiguous; read and written at the offsets that the tables give, unchecked.
    bias : ndarray, shape (channel groups * channels,) or (1,)
        Added to every output; of length one, the same for all.
    numbers : ndarray of int64
        Of a LoopNest, see :meth:`LoopNest.numbers`.
    x_terms, w_terms, rows, columns : ndarray of int64
        Of its Terms.
    relu : bool
        Whether to write ``max(sum, 0)``: a ReLU while the sums are in registers.
    """
    walk = LoopNest(*to_fixed_tuple(numbers, WALK_LENGTH))
    tasks = walk.lane_groups * walk.channel_groups * walk.rows * walk.pieces * walk.chunks
    arguments = (x, w, bias, y, numbers, x_terms, w_terms, rows, columns, relu)
    parallel_for(_correlate_pieces, tasks, arguments)


@kernel
def _correlate_pieces(tasks, x, w, bias, y, numbers, x_terms, w_terms, rows, columns, relu):
    """Each a piece of one row of outputs, in a chunk of its channels."""
    walk = LoopNest(*to_fixed_tuple(numbers, WALK_LENGTH))
    x0, w0, bias0, y0 = pointer(x), pointer(w), pointer(bias), pointer(y)
    bias_step = 1 if bias.size > 1 else 0
    steps = Steps(
        walk.w_channel, walk.x_column, walk.y_channel, walk.y_column,
        walk.terms_of_row, walk.terms_of_column,
    )  # fmt: skip
    tiles = (walk.columns + COLUMNS - 1) // COLUMNS
    for task in tasks:
        chunk, rest = task % walk.chunks, task // walk.chunks
        piece, rest = rest % walk.pieces, rest // walk.pieces
        i, rest = rest % walk.rows, rest // walk.rows
        q, g = rest % walk.channel_groups, rest // walk.channel_groups
        x1 = x0 + (g * walk.x_lane_group + q * walk.x_channel_group + i * walk.x_row)
        y1 = y0 + (g * walk.y_lane_group + q * walk.y_channel_group + i * walk.y_row)
        start = piece * tiles // walk.pieces * COLUMNS
        stop = min((piece + 1) * tiles // walk.pieces * COLUMNS, walk.columns)
        first = chunk * walk.blocks // walk.chunks
        for block in range(first, (chunk + 1) * walk.blocks // walk.chunks):
            o, end = _first_channel(block, walk), _first_channel(block + 1, walk)
            while o < end:
                count = end - o if end - o == TALL_ROWS else min(end - o, MAX_ROWS)
                _panel_of_channels(
                    count, start, stop, x1, w0 + (q * walk.w_channel_group + o * walk.w_channel),
                    bias0 + (q * walk.channels + o) * bias_step, bias_step,
                    y1 + o * walk.y_channel, steps, x_terms, w_terms, columns,
                    rows[i, 0], rows[i, 1], relu,
                )  # fmt: skip
                o += count
