"""Weight and bias gradients: sums over samples and positions.

The gradient of a convolution's weight is, for output channel o and term r = (c, u, v),

    dW[o; r] = sum over g, i, j and the 16 lanes of  delta[g, o, i, j] * x[g, i, j; r]

Products are added up lane by lane in a tile of vectors (output channels x terms); only at
the very end are the 16 lanes of each sum added together. The loops are cut so that what
they touch stays in the nearest caches: a task owns some output channels and terms, and
passes over a few rows of the images at a time, for all its tiles. The bias has a sum of
delta alone, which comes along: each task owns some channels of that as well.

The passes over the batch are cut into slices, each with a sum of its own; the slices are
added in order. How many there are depends on the shapes alone, so the bits do not depend
on the threads.
"""

import math
from typing import NamedTuple

import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.arithmetic import lane_sum
from minicnn.kernels.simd.tile import tile_operations
from minicnn.kernels.simd.vector import REGISTER_COUNT, load, pointer, store, zero, zero_tile

# A tile and the operands of its products fill the registers: 20 + 9 of 32; 12 + 4 of 16,
# each of which holds half a vector. The lower tile is for channels that the other would waste.
ROWS, LOW_ROWS, COLUMNS = (4, 3, 5) if REGISTER_COUNT == 32 else (2, 1, 3)
TERMS = 5 * COLUMNS  # of a task
# Enough vectors of a pass over some rows that loading and storing the tile costs little.
PASS = 48
PART = 256  # numbers of the gradient that a thread adds up at least


class ReductionNest(NamedTuple):
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
    terms: int

    def numbers(self):
        """All of them as an array of int64, as kernels are given them."""
        return np.array(self, np.int64)


SWEEP_LENGTH = len(ReductionNest._fields)


@kernel
def pass_rows(columns):
    """How many rows of outputs a pass goes over."""
    return (PASS + columns - 1) // columns


@kernel
def pass_count(rows, columns):
    """How many passes an image takes."""
    return (rows + pass_rows(columns) - 1) // pass_rows(columns)


def _task_by(rows):
    """A function that computes one task, some channels and terms of a slice, by tiles of `rows`."""
    _, load_tile, store_tile, _, add_lanes, store_sums = tile_operations(rows, COLUMNS)
    task_channels, tile_size = 2 * rows, rows * COLUMNS * LANES

    @kernel
    def add_rows(tile, delta, d_offsets, x, x_offsets, first, last, sweep):
        for i in range(first, last):
            for j in range(sweep.columns):
                d = delta + (i * sweep.d_row + j * sweep.d_column)
                at = x + (i * sweep.x_row + j * sweep.x_column)
                tile = add_lanes(tile, d, d_offsets, at, x_offsets)
        return tile

    @kernel
    def compute(task, x, x_terms, delta, d_channels, partial, tiles, sums, sweep):
        channel_tasks = (sweep.channels + task_channels - 1) // task_channels
        term_tasks = (sweep.terms + TERMS - 1) // TERMS
        rows_of_pass, passes = pass_rows(sweep.columns), pass_count(sweep.rows, sweep.columns)
        term_task, rest = task % term_tasks, task // term_tasks
        channel_task, rest = rest % channel_tasks, rest // channel_tasks
        q, s = rest % sweep.channel_groups, rest // sweep.channel_groups
        channel, term = channel_task * task_channels, term_task * TERMS
        channels, terms = (
            min(task_channels, sweep.channels - channel),
            min(TERMS, sweep.terms - term),
        )
        across, down = (terms + COLUMNS - 1) // COLUMNS, (channels + rows - 1) // rows
        out = ((s * sweep.channel_groups + q) * sweep.channels + channel) * sweep.terms + term
        units = sweep.lane_groups * passes
        begin, end = s * units // sweep.slices, (s + 1) * units // sweep.slices
        for unit in range(begin, end):
            g, first = unit // passes, unit % passes * rows_of_pass
            last = min(first + rows_of_pass, sweep.rows)
            x1 = pointer(x) + (g * sweep.x_lane_group + q * sweep.x_channel_group)
            d1 = pointer(delta) + (g * sweep.d_lane_group + q * sweep.d_channel_group)
            for t in range(down * across):
                m, n = t // across * rows, t % across * COLUMNS
                o, r = channel + m, term + n
                tile = load_tile(pointer(tiles) + t * tile_size, COLUMNS * LANES, LANES)
                if unit == begin:
                    tile = zero_tile(tile)
                tile = add_rows(
                    tile, d1, to_fixed_tuple(d_channels[o : o + rows], rows),
                    x1, to_fixed_tuple(x_terms[r : r + COLUMNS], COLUMNS), first, last, sweep,
                )  # fmt: skip
                if unit < end - 1:
                    store_tile(tile, pointer(tiles) + t * tile_size, COLUMNS * LANES, LANES)
                elif m + rows <= channels and n + COLUMNS <= terms:
                    store_sums(tile, pointer(partial) + (out + m * sweep.terms + n), sweep.terms)
                else:
                    store_sums(tile, pointer(sums), COLUMNS)
                    for i in range(min(rows, channels - m)):
                        for j in range(min(COLUMNS, terms - n)):
                            partial[s, q, o + i, r + j] = sums[i * COLUMNS + j]

    return compute


_high_task, _low_task = _task_by(ROWS), _task_by(LOW_ROWS)


@kernel
def tile_height(channels):
    """Which of the two tiles wastes less on so many channels."""
    high = (channels + ROWS - 1) // ROWS * ROWS
    low = (channels + LOW_ROWS - 1) // LOW_ROWS * LOW_ROWS
    return ROWS if high <= low else LOW_ROWS


@kernel
def _add_slices(parts, partial, out):
    """Some parts of the gradient, each of PART numbers: the slices' sums in their order."""
    size = out.size
    first, last = parts.start * PART, min(parts.stop * PART, size)
    whole = last - (last - first) % LANES
    for i in range(first, whole, LANES):
        total = load(pointer(partial) + i)
        for s in range(1, len(partial)):
            total = total + load(pointer(partial) + (s * size + i))
        store(total, pointer(out) + i)
    rows, flat = partial.reshape(len(partial), size), out.reshape(size)
    for i in range(whole, last):
        flat[i] = rows[0, i]
        for s in range(1, len(partial)):
            flat[i] += rows[s, i]


@kernel
def channel_sum(delta, lane_groups, group_step, rows, row_step, columns):
    """The sum of one channel over samples and positions: its share of dE/db.

    `delta` points at the channel's first position; steps are in elements.
    """
    total = zero(delta)
    for g in range(lane_groups):
        part = zero(delta)
        for i in range(rows):
            row = delta + (g * group_step + i * row_step)
            for j in range(columns):
                part = part + load(row + j * LANES)
        total = total + part
    return lane_sum(total)


@kernel
def parameter_gradients(x, x_terms, delta, d_channels, partial, numbers, weight_grad, bias_grad):
    """Fill `weight_grad` and `bias_grad`.

    Parameters
    ----------
    x, delta : ndarray, float32 or float64
        Contiguous; read at the offsets that the sweep and the tables give, unchecked.
    x_terms, d_channels : ndarray of int64, see :func:`offset_table`
        Where term r stands in `x`, from an output's own place, and where the plane of an
        output channel stands in `delta`.
    partial : ndarray, shape (slices, channel groups, channels, terms)
        Room for the gradient of each slice of the batch.
    numbers : ndarray of int64
        Of a ReductionNest, see :meth:`ReductionNest.numbers`.
    weight_grad : ndarray, shape (channel groups * channels, ...), as large as a slice
    bias_grad : ndarray, shape (channel groups * channels,), or empty if there is no bias
    """
    sweep = ReductionNest(*to_fixed_tuple(numbers, SWEEP_LENGTH))
    task_channels = 2 * tile_height(sweep.channels)
    tasks = sweep.slices * sweep.channel_groups * ((sweep.terms + TERMS - 1) // TERMS)
    tasks *= (sweep.channels + task_channels - 1) // task_channels
    arguments = (tasks, x, x_terms, delta, d_channels, partial, bias_grad, sweep)
    parallel_for(_gradient_tasks, tasks, arguments)
    parallel_for(_add_slices, (weight_grad.size + PART - 1) // PART, (partial, weight_grad))


@kernel
def _gradient_tasks(own_tasks, tasks, x, x_terms, delta, d_channels, partial, bias_grad, sweep):
    """Some channels and terms of a slice, and its part of the channels for the bias."""
    tiles, sums = np.empty(2 * ROWS * TERMS * LANES, x.dtype), np.empty(ROWS * COLUMNS, x.dtype)
    for task in own_tasks:
        if tile_height(sweep.channels) == ROWS:
            _high_task(task, x, x_terms, delta, d_channels, partial, tiles, sums, sweep)
        else:
            _low_task(task, x, x_terms, delta, d_channels, partial, tiles, sums, sweep)
        for c in range(task * bias_grad.size // tasks, (task + 1) * bias_grad.size // tasks):
            q, o = c // sweep.channels, c % sweep.channels
            bias_grad[c] = channel_sum(
                pointer(delta) + (q * sweep.d_channel_group + d_channels[o]),
                sweep.lane_groups, sweep.d_lane_group, sweep.rows, sweep.d_row, sweep.columns,
            )  # fmt: skip


@kernel
def bias_gradient(delta, bias_grad):
    """The sum of each channel of `delta`, (G, C, H, W, 16): dE/db, where nothing else is summed."""
    parallel_for(_channel_sums, len(bias_grad), (delta, bias_grad))


@kernel
def _channel_sums(channels, delta, bias_grad):
    groups, count, rows, columns, _ = delta.shape
    plane = rows * columns * LANES
    for c in channels:
        bias_grad[c] = channel_sum(
            pointer(delta) + c * plane, groups, count * plane, rows, columns * LANES, columns
        )


def offset_table(offsets, multiple):
    """`offsets` as int64, filled up to a multiple by repeating the last.

    What a tile computes beyond the edge is then a harmless copy, and thrown away.
    """
    missing = -len(offsets) % multiple
    return np.concatenate([offsets, np.repeat(offsets[-1:], missing)]).astype(np.int64)


def slice_count(passes, channel_groups, channels, terms):
    """Into how many slices all passes are cut: a power of two that makes some 32 tasks in all.

    Few passes are not cut to pieces: each slice has some 4 of them, or there are two slices. Tasks
    are counted as where there are 32 registers, so that the bits do not depend on the processor.
    """
    rows = min(4, 3, key=lambda rows: -(-channels // rows) * rows)
    tasks = channel_groups * -(-channels // (2 * rows)) * -(-terms // 25)
    wanted = 1 << max(0, math.ceil(math.log2(32 / tasks)))
    return min(passes, wanted, 1 << max(1, round(math.log2(passes / 4))))
