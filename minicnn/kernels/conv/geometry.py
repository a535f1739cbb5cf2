"""Where the terms of a convolution stand in memory: the tables that `correlate` follows.

Every case of convolution is told here, in offsets, so that the kernel has none:

- a **dilation** d puts the terms d pixels apart;
- a **stride** s walks the input s pixels a step;
- **groups** are an outer loop with steps of its own;
- the **input gradient** is the same sum of products over the padded delta with W rotated by
  180 degrees and its channels transposed, rot180(trans(W)): only the order in which the
  weights are read differs. With stride s the equation puts s - 1 zeros between delta's
  elements; the terms that would meet a zero are left out instead. Which ones those are
  depends on the input pixel's place modulo s, so there are s x s tables, the *phases*;
- **padding** surrounds the images by zeros. The terms are sorted by kernel row first, so
  that those which meet only rows of zeros stand at either end, and are left out.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minicnn.kernels import LANES
from minicnn.kernels.conv.correlate import COLUMNS as TILE_COLUMNS
from minicnn.kernels.conv.correlate import MAX_ROWS, TALL_ROWS, LoopNest, Terms
from minicnn.kernels.conv.weight_gradient import (
    COLUMNS,
    ReductionNest,
    offset_table,
    pass_count,
    slice_count,
    tile_height,
)
from minicnn.kernels.simd.vector import tile_rows


class Sum(NamedTuple):
    """One call of `correlate`: its tables, its walk, and where in `y` it begins."""

    terms: Terms
    walk: LoopNest
    y_start: int = 0


def blocks_of(channels, itemsize):
    """Into how many blocks the output channels are cut, each at most a tile high."""
    return -(-channels // min(MAX_ROWS, tile_rows(itemsize, TILE_COLUMNS)))


@dataclass(frozen=True)
class Convolution:
    """The shapes of a convolution, and the tables of its forward and backward sums."""

    input_shape: tuple  # (C, H, W) of one sample, without the padding
    output_shape: tuple
    kernel_size: tuple  # height and width, as of the next three
    stride: tuple
    padding: tuple  # above and left
    dilation: tuple
    groups: int  # of channels
    itemsize: int  # bytes of an element
    after: tuple | None = None  # the padding below and right, if it is another

    @property
    def borders(self):
        """Rows and columns of the padding above, left, below and right."""
        return *self.padding, *(self.padding if self.after is None else self.after)

    @property
    def channels_in(self):
        """Input channels of one group."""
        return self.input_shape[0] // self.groups

    @property
    def channels_out(self):
        """Output channels of one group."""
        return self.output_shape[0] // self.groups

    @property
    def padded_shape(self):
        """``(C, H + 2 p, W + 2 p)``, with the padding on both sides."""
        (c, h, w), (top, left, bottom, right) = self.input_shape, self.borders
        return c, top + h + bottom, left + w + right

    def input_terms(self):
        """Offset in the padded input of every term (c, u, v), as one array of int64."""
        _, height, width = self.padded_shape
        (kh, kw), (dh, dw) = self.kernel_size, self.dilation
        c, u, v = np.indices((self.channels_in, kh, kw)).reshape(3, -1)
        return ((c * height + dh * u) * width + dw * v) * LANES

    def _forward_steps(self):
        """Steps of the padded input and of the output, by name of the walk's axis."""
        (sh, sw), (_, height, width) = self.stride, self.padded_shape
        _, rows, columns = self.output_shape
        image, output = height * width * LANES, rows * columns * LANES
        x = dict(
            lane_group=self.input_shape[0] * image, channel_group=self.channels_in * image,
            row=sh * width * LANES, column=sw * LANES,
        )  # fmt: skip
        y = dict(
            lane_group=self.output_shape[0] * output, channel_group=self.channels_out * output,
            channel=output, row=columns * LANES, column=LANES,
        )  # fmt: skip
        return x, y

    def forward(self):
        """The sum ``z = x * w + b``: terms (u, v, c), kernel rows first."""
        x, y = self._forward_steps()
        kh, kw = self.kernel_size
        count = self.channels_in * kh * kw
        order = np.arange(count).reshape(self.channels_in, kh, kw).transpose(1, 2, 0).reshape(-1)
        _, height, width = self.input_shape
        _, rows, columns = self.output_shape
        met = [
            [d * k - p for k in range(size)]
            for d, p, size in zip(self.dilation, self.padding, self.kernel_size)
        ]
        terms = Terms(
            self.input_terms()[order], order,
            _ranges(rows, self.stride[0], met[0], height),
            _ranges(columns, self.stride[1], met[1], width),
        )  # fmt: skip
        walk = _walk(
            self.groups, self.output_shape[1:], self.channels_out, x, y,
            dict(channel=count, channel_group=self.channels_out * count), self.itemsize,
            kw * self.channels_in, self.channels_in,
        )  # fmt: skip
        return Sum(terms, walk)

    def gradient_tables(self, border):
        """Where terms and output channels stand, for `parameter_gradients`; see `sweep`."""
        channels = np.arange(self.channels_out) * self._delta_steps(border)["channel"]
        return offset_table(self.input_terms(), COLUMNS), offset_table(
            channels, tile_height(self.channels_out)
        )

    def sweep(self, lane_groups, border):
        """The walk of the weight gradient, and where in delta it begins.

        The `border` are rows and columns above, left, below and right of delta in its array.
        """
        x, _ = self._forward_steps()
        d = self._delta_steps(border)
        terms = self.channels_in * self.kernel_size[0] * self.kernel_size[1]
        _, rows, columns = self.output_shape
        passes = lane_groups * pass_count(rows, columns)
        slices = slice_count(passes, self.groups, self.channels_out, terms)
        walk = ReductionNest(
            slices, lane_groups, x["lane_group"], d["lane_group"],
            self.groups, x["channel_group"], d["channel_group"],
            rows, x["row"], d["row"], columns, x["column"], LANES, self.channels_out, terms,
        )  # fmt: skip
        return walk, border[0] * d["row"] + border[1] * LANES

    def _delta_steps(self, border):
        """Steps of delta with a border, by name of the walk's axis."""
        _, rows, columns = self.output_shape
        width = border[1] + columns + border[3]
        plane = (border[0] + rows + border[2]) * width * LANES
        return dict(
            lane_group=self.output_shape[0] * plane, channel_group=self.channels_out * plane,
            channel=plane, row=width * LANES,
        )  # fmt: skip

    def delta_border(self):
        """How many zeros stand above, left, below and right of delta for the input gradient."""
        (top, bottom), (left, right) = (self._axis_border(axis) for axis in (0, 1))
        return top, left, bottom, right

    def _axis_terms(self, axis, phase):
        """Kernel positions that reach the input's pixels of a phase, and delta's offset there.

        The pixel y = s t + phase meets delta[q] through the kernel position u if
        ``s q + d u - p = y``, so ``q = t + (phase + p - d u) / s`` where that is whole.
        """
        s, p, d = self.stride[axis], self.padding[axis], self.dilation[axis]
        reach = [(u, phase + p - d * u) for u in range(self.kernel_size[axis])]
        return [(u, shift // s) for u, shift in reach if shift % s == 0]

    def _axis_pixels(self, axis, phase):
        """How many input pixels a phase has."""
        return -(-(self.input_shape[1 + axis] - phase) // self.stride[axis])

    def _axis_border(self, axis):
        before = after = 0
        for phase in range(self.stride[axis]):
            pixels = self._axis_pixels(axis, phase)
            for _, shift in self._axis_terms(axis, phase):
                before = max(before, -shift)
                after = max(after, pixels - 1 + shift - (self.output_shape[1 + axis] - 1))
        return before, after

    def backward(self):
        """The sums of the input gradient, one a phase: terms (o, u, v), weights transposed."""
        border = self.delta_border()
        (kh, kw), (sh, sw) = self.kernel_size, self.stride
        x, taps = {**self._delta_steps(border), "column": LANES}, kh * kw
        start = border[0] * x["row"] + border[1] * LANES
        _, rows, columns = self.input_shape
        plane = rows * columns * LANES
        y = dict(
            lane_group=self.input_shape[0] * plane, channel_group=self.channels_in * plane,
            channel=plane, row=sh * columns * LANES, column=sw * LANES,
        )  # fmt: skip
        w = dict(channel=taps, channel_group=self.channels_out * self.channels_in * taps)
        sums = []
        for a in range(min(sh, rows)):
            for b in range(min(sw, columns)):
                u_terms, v_terms = self._axis_terms(0, a), self._axis_terms(1, b)
                table = [
                    (start + o * x["channel"] + i * x["row"] + j * LANES,
                     o * self.channels_in * taps + u * kw + v)
                    for u, i in u_terms for v, j in v_terms for o in range(self.channels_out)
                ]  # fmt: skip
                table = np.array(table, np.int64).reshape(-1, 2)
                pixels = self._axis_pixels(0, a), self._axis_pixels(1, b)
                terms = Terms(
                    np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1]),
                    _ranges(pixels[0], 1, [i for _, i in u_terms], self.output_shape[1]),
                    _ranges(pixels[1], 1, [j for _, j in v_terms], self.output_shape[2]),
                )  # fmt: skip
                walk = _walk(
                    self.groups, pixels, self.channels_in, x, y, w, self.itemsize,
                    len(v_terms) * self.channels_out, self.channels_out,
                )  # fmt: skip
                sums.append(Sum(terms, walk, (a * columns + b) * LANES))
        return sums


def _ranges(outputs, stride, shifts, size):
    """Which kernel positions meet the image, for each place of the output along one axis.

    Output i meets pixel ``stride * i + shift`` through the position that has this shift. The
    shifts rise or fall, so the positions that meet one of the `size` pixels are a range, and
    from one output to the next its ends move in one direction. Each row, (outputs, 2), holds the
    first position and one after the last; equal if there is none.
    """
    met = stride * np.arange(outputs)[:, None] + np.array(shifts, np.int64)
    before, until = (met < 0).sum(1), (met < size).sum(1)
    if len(shifts) > 1 and shifts[0] > shifts[-1]:
        before, until = len(shifts) - until, len(shifts) - before
    return np.stack([before, until], 1).astype(np.int64)


def _walk(groups, pixels, channels, x, y, w, itemsize, terms_of_row, terms_of_column):
    return LoopNest(
        1, x["lane_group"], y["lane_group"],
        groups, x["channel_group"], w["channel_group"], y["channel_group"],
        pixels[0], x["row"], y["row"], pixels[1], x["column"], y["column"],
        channels, w["channel"], y["channel"], blocks_of(channels, itemsize), 0, 1, 1,
        terms_of_row, terms_of_column,
    )  # fmt: skip


def dense_sum(features, outputs, groups, itemsize):
    """The sum ``z[o] = sum over i of W[o, i] x[i]`` of a dense layer, for groups of samples.

    The groups are columns, cut into tasks where there are enough of them, else the outputs:
    a task that owns columns reads its own part of `x` and no other.
    """
    blocks, height, pieces = blocks_of(outputs, itemsize), 0, -(-groups // TILE_COLUMNS)
    if groups < 3 and MAX_ROWS < TALL_ROWS <= outputs // 4:  # enough for several threads
        blocks, height = -(-outputs // TALL_ROWS), TALL_ROWS
    walk = LoopNest(
        1, 0, 0, 1, 0, 0, 0, 1, 0, 0, groups, features * LANES, outputs * LANES, outputs, features,
        LANES, blocks, height, *((1, pieces) if pieces > 3 else (blocks, 1)), features, features,
    )  # fmt: skip
    r, everything = np.arange(features, dtype=np.int64), np.array([[0, 1]], np.int64)
    return Sum(Terms(r * LANES, r, everything, np.repeat(everything, groups, 0)), walk)


def dense_tables(outputs, features, x):
    """What `correlate` takes of `dense_sum` for samples `x`, shape (G, features, 16)."""
    found = dense_sum(features, outputs, len(x), x.dtype.itemsize)
    return found.walk.numbers(), *found.terms
