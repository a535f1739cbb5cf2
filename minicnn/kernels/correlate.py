"""The one kernel behind convolutions and dense layers, forwards and backwards.

Each of them computes, for every output element, a sum of products over *terms*

    y[g, o, i, j] = b[o] + sum over r of  w[o; r] * x[g, i, j; r]

where a term r of a convolution is a triple (c, u, v) of input channel and kernel position,
and of a dense layer an input feature. What differs is only where the terms stand in
memory, and that is told by two tables of offsets and a :class:`Walk`; they are made in
:mod:`minicnn.kernels.terms`. Sixteen samples are computed at once (``x`` and ``y`` are
vectors of lanes), and some six output channels: a weight is loaded once for 16 samples,
an input vector once for 6 channels, and the sums stay in registers until they are done.

Every output element is one chain of multiply-adds in the order of the terms, whatever the
tile and whatever the number of threads: the bits depend on neither.
"""

from typing import NamedTuple

from numba import prange

from minicnn.kernels.launch import kernel
from minicnn.kernels.tile import tile_operations
from minicnn.kernels.vector import REGISTER_BYTES, pointer

MAX_ROWS = 6
# One column of vectors is all that fits beside six weights, unless a vector is one register.
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


def _panel(rows):
    """A function that computes `rows` output channels of a row of outputs."""
    wide, narrow = tile_operations(rows, COLUMNS), tile_operations(rows, 1)
    splat_wide, _, _, store_wide, add_wide, _, _ = wide
    splat_narrow, _, _, store_narrow, add_narrow, _, _ = narrow

    @kernel
    def panel(x, x_terms, w, w_terms, bias, bias_step, y, walk):
        whole = walk.columns - walk.columns % COLUMNS
        for j in range(0, whole, COLUMNS):
            tile = splat_wide(bias, bias_step)
            for r in range(x_terms.size):
                at = x + (j * walk.x_column + x_terms[r])
                tile = add_wide(tile, w + w_terms[r], walk.w_channel, at, walk.x_column)
            store_wide(tile, y + j * walk.y_column, walk.y_channel, walk.y_column)
        if COLUMNS > 1:
            for j in range(whole, walk.columns):
                tile = splat_narrow(bias, bias_step)
                for r in range(x_terms.size):
                    at = x + (j * walk.x_column + x_terms[r])
                    tile = add_narrow(tile, w + w_terms[r], walk.w_channel, at, 0)
                store_narrow(tile, y + j * walk.y_column, walk.y_channel, 0)

    return panel


def _panel_of(rows):
    """A function that computes a row of outputs of 1 to `rows` channels, told at run time."""
    whole = _panel(rows)
    if rows == 1:

        @kernel
        def one(count, x, x_terms, w, w_terms, bias, bias_step, y, walk):
            whole(x, x_terms, w, w_terms, bias, bias_step, y, walk)

        return one
    fewer = _panel_of(rows - 1)

    @kernel
    def some(count, x, x_terms, w, w_terms, bias, bias_step, y, walk):
        if count == rows:
            whole(x, x_terms, w, w_terms, bias, bias_step, y, walk)
        else:
            fewer(count, x, x_terms, w, w_terms, bias, bias_step, y, walk)

    return some


_panel_of_channels = _panel_of(MAX_ROWS)


@kernel(parallel=True)
def correlate(x, x_terms, w, w_terms, bias, y, walk):
    """Fill `y` with the sums of products that `walk` and the terms describe.

    Parameters
    ----------
    x, w, y : ndarray, float32 or float64
        Contiguous; read and written at the offsets that the tables give, unchecked.
    x_terms, w_terms : ndarray of int64, shape (terms,)
        Where term r stands in `x`, from the output's own place, and in `w`, from the
        output channel's first weight.
    bias : ndarray, shape (channel groups * channels,) or (1,)
        Added to every output; of length one, the same for all.
    walk : Walk
    """
    bias_step = 1 if bias.size > 1 else 0
    x0, w0, bias0, y0 = pointer(x), pointer(w), pointer(bias), pointer(y)
    tasks = walk.lane_groups * walk.channel_groups * walk.rows * walk.chunks
    for task in prange(tasks):
        chunk, rest = task % walk.chunks, task // walk.chunks
        i, rest = rest % walk.rows, rest // walk.rows
        q, g = rest % walk.channel_groups, rest // walk.channel_groups
        x1 = x0 + (g * walk.x_lane_group + q * walk.x_channel_group + i * walk.x_row)
        y1 = y0 + (g * walk.y_lane_group + q * walk.y_channel_group + i * walk.y_row)
        first = chunk * walk.blocks // walk.chunks
        for block in range(first, (chunk + 1) * walk.blocks // walk.chunks):
            o = block * walk.channels // walk.blocks
            count = (block + 1) * walk.channels // walk.blocks - o
            _panel_of_channels(
                count, x1, x_terms, w0 + (q * walk.w_channel_group + o * walk.w_channel), w_terms,
                bias0 + (q * walk.channels + o) * bias_step, bias_step,
                y1 + o * walk.y_channel, walk,
            )  # fmt: skip
