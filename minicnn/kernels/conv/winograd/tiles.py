"""The tiles of Winograd's F(4×4, 3×3): where they are, their transforms, and asking for them early.

A transform takes an image apart into 36 *points*, or puts points together to an image, one
row of the tile at a time and then one column; what is between the two stays in registers,
wherever 32 of them are at hand. The mathematics is told in
:mod:`minicnn.kernels.conv.winograd.convolution`.

A tile lies in memory as short pieces of many rows and channels, which a processor does not
foresee. So, while one block of tiles is multiplied, the lines of the next are asked for, a
few at a time (:func:`prefetch_tiles`).
"""

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.simd.arithmetic import where_above
from minicnn.kernels.simd.tile import tile_operations
from minicnn.kernels.simd.vector import (
    choose,
    load,
    narrow,
    prefetch_to_read,
    prefetch_to_write,
    register_lanes,
    store,
    zero,
)

POINTS = 36
TILES = 4  # tiles of 4×4 outputs that are worked on together, a block
# Between the planes of the points: not a multiple of 4096 bytes, which would all fall into
# the same lines of the cache.
GAP = LANES

_splat, _, _, _, _, _ = tile_operations(1, 1)


@kernel
def find_tiles(first, count, rows, columns, places):
    """Write lane group, row and column of the tiles ``first .. first + count`` to `places`."""
    across = (columns + 3) // 4
    per_image = (rows + 3) // 4 * across
    for t in range(count):
        place = (first + t) % per_image
        places[t, 0] = (first + t) // per_image
        places[t, 1], places[t, 2] = place // across * 4, place % across * 4


@kernel
def prefetch_tiles(start, stop, places, x, c_in, height, width, y, c_out, rows, columns, write):
    """Ask for the 4×4 pixels of some tiles: the units ``start .. stop`` of the next block.

    Unit u is tile ``u % TILES`` of channel ``u // TILES``, first those of `x`, then those of
    `y`, which are going to be written if `write`. What lies beyond the image's edge costs
    nothing but the time to ask.
    """
    for unit in range(start, stop):
        channel, t = unit // TILES, unit % TILES
        g, i, j = places[t, 0], places[t, 1], places[t, 2]
        if channel < c_in:
            at = x + (((g * c_in + channel) * height + i) * width + j) * LANES
            step, changes = width * LANES, False
        else:
            at = y + (((g * c_out + channel - c_in) * rows + i) * columns + j) * LANES
            step, changes = columns * LANES, write
        for row in range(4):
            pixel = at + row * step
            for v in range(4):
                if changes:
                    prefetch_to_write(pixel + v * LANES)
                else:
                    prefetch_to_read(pixel + v * LANES)


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
def _row(image, i, left, height, width, nothing):
    """Pointer to the pixel (i, left), or to `nothing` where there is no row i."""
    return choose((0 <= i) and (i < height), image + (i * width + left) * LANES, nothing)


@kernel
def _outer_input(d0, d2, d4):
    """Point 0 of ``Bᵀ d``; of the next three pixels, point 5."""
    return 4.0 * d0 - 5.0 * d2 + d4


@kernel
def _middle_input(d1, d2, d3, d4):
    """Points 1 to 4 of ``Bᵀ d``."""
    even, odd = d4 - 4.0 * d2, d3 - 4.0 * d1
    far, near = d4 - d2, 2.0 * (d3 - d1)
    return even + odd, even - odd, far + near, far - near


@kernel
def _outer_of_column(rows, j, inside):
    """Points 0 and 5 of column j, or zeros if it is not `inside` the image."""
    at = j * LANES
    if inside:
        d2, d3 = load(rows[2] + at), load(rows[3] + at)
        return (
            _outer_input(load(rows[0] + at), d2, load(rows[4] + at)),
            _outer_input(load(rows[1] + at), d3, load(rows[5] + at)),
        )
    none = zero(rows[0])
    return none, none


@kernel
def _middle_of_column(rows, j, inside):
    """Points 1 to 4 of column j, or zeros if it is not `inside` the image."""
    at = j * LANES
    if inside:
        return _middle_input(
            load(rows[1] + at), load(rows[2] + at), load(rows[3] + at), load(rows[4] + at)
        )
    none = zero(rows[0])
    return none, none, none, none


@kernel
def _put_input(i, d0, d1, d2, d3, d4, d5, points, step):
    """``Bᵀ d`` of a row of the half-transformed tile: the points 6 i to 6 i + 5."""
    middle = _middle_input(d1, d2, d3, d4)
    row = (_outer_input(d0, d2, d4), *middle, _outer_input(d1, d3, d5))
    put_six(row, points + 6 * i * step, step)


def _by_register(transform):
    """A transform of the pixels at (top, left) into points, done register by register of lanes."""

    @kernel
    def points_of(image, top, left, height, width, nothing, points, step):
        for lane in range(0, LANES, register_lanes(points)):
            transform(
                narrow(image) + lane, top, left, height, width, narrow(nothing),
                narrow(points) + lane, step,
            )  # fmt: skip

    return points_of


@kernel
def _input_points(image, top, left, height, width, nothing, points, step):
    """``Bᵀ d B`` of the 6×6 pixels at (top, left), zero outside the image.

    The 36 vectors go to ``points + k * step``; at `nothing` are six vectors of zeros.
    """
    rows = (
        _row(image, top, left, height, width, nothing),
        _row(image, top + 1, left, height, width, nothing),
        _row(image, top + 2, left, height, width, nothing),
        _row(image, top + 3, left, height, width, nothing),
        _row(image, top + 4, left, height, width, nothing),
        _row(image, top + 5, left, height, width, nothing),
    )
    in0, in1, in2 = 0 <= left < width, 0 <= left + 1 < width, 0 <= left + 2 < width
    in3, in4, in5 = 0 <= left + 3 < width, 0 <= left + 4 < width, 0 <= left + 5 < width
    # All 36 at once do not fit the registers: four rows of points, and then the other two.
    a0, b0, c0, d0 = _middle_of_column(rows, 0, in0)
    a1, b1, c1, d1 = _middle_of_column(rows, 1, in1)
    a2, b2, c2, d2 = _middle_of_column(rows, 2, in2)
    a3, b3, c3, d3 = _middle_of_column(rows, 3, in3)
    a4, b4, c4, d4 = _middle_of_column(rows, 4, in4)
    a5, b5, c5, d5 = _middle_of_column(rows, 5, in5)
    _put_input(1, a0, a1, a2, a3, a4, a5, points, step)
    _put_input(2, b0, b1, b2, b3, b4, b5, points, step)
    _put_input(3, c0, c1, c2, c3, c4, c5, points, step)
    _put_input(4, d0, d1, d2, d3, d4, d5, points, step)
    a0, b0 = _outer_of_column(rows, 0, in0)
    a1, b1 = _outer_of_column(rows, 1, in1)
    a2, b2 = _outer_of_column(rows, 2, in2)
    a3, b3 = _outer_of_column(rows, 3, in3)
    a4, b4 = _outer_of_column(rows, 4, in4)
    a5, b5 = _outer_of_column(rows, 5, in5)
    _put_input(0, a0, a1, a2, a3, a4, a5, points, step)
    _put_input(5, b0, b1, b2, b3, b4, b5, points, step)


input_points = _by_register(_input_points)


@kernel
def _output(m0, m1, m2, m3, m4, m5):
    """``Aᵀ m``: six points to four outputs."""
    a, b, c, d = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return m0 + a + c, b + 2.0 * d, a + 4.0 * c, b + 8.0 * d + m5


@kernel
def _put_pixel(value, bias, relu, p):
    value = value + bias
    if relu:
        nothing = zero(p)
        value = where_above(value, nothing, value, nothing)
    store(value, p)


@kernel
def _put_output(m0, m1, m2, m3, m4, m5, bias, relu, out, columns):
    """``Aᵀ m + b`` of a row of the half-transformed tile, as far as there are columns."""
    row = _output(m0, m1, m2, m3, m4, m5)
    _put_pixel(row[0], bias, relu, out)
    if columns > 1:
        _put_pixel(row[1], bias, relu, out + LANES)
    if columns > 2:
        _put_pixel(row[2], bias, relu, out + 2 * LANES)
    if columns > 3:
        _put_pixel(row[3], bias, relu, out + 3 * LANES)


@kernel
def output_tile(points, step, bias, relu, y, width, rows, columns):
    """``Aᵀ m A + b`` into the part of 4×4 pixels at `y` that is inside; `bias` points at b."""
    for lane in range(0, LANES, register_lanes(points)):
        _output_tile(
            narrow(points) + lane, step, _splat(narrow(bias), 0), relu, narrow(y) + lane, width,
            rows, columns,
        )  # fmt: skip


@kernel
def _output_tile(points, step, bias, relu, y, width, rows, columns):
    a0, b0, c0, d0 = _output(*six(points, 6 * step))
    a1, b1, c1, d1 = _output(*six(points + step, 6 * step))
    a2, b2, c2, d2 = _output(*six(points + 2 * step, 6 * step))
    a3, b3, c3, d3 = _output(*six(points + 3 * step, 6 * step))
    a4, b4, c4, d4 = _output(*six(points + 4 * step, 6 * step))
    a5, b5, c5, d5 = _output(*six(points + 5 * step, 6 * step))
    _put_output(a0, a1, a2, a3, a4, a5, bias, relu, y, columns)
    if rows > 1:
        _put_output(b0, b1, b2, b3, b4, b5, bias, relu, y + width * LANES, columns)
    if rows > 2:
        _put_output(c0, c1, c2, c3, c4, c5, bias, relu, y + 2 * width * LANES, columns)
    if rows > 3:
        _put_output(d0, d1, d2, d3, d4, d5, bias, relu, y + 3 * width * LANES, columns)


@kernel
def _delta(d0, d1, d2, d3):
    """``A delta``: four outputs to six points."""
    even, odd = d0 + d2, d1 + d3
    far, near = d0 + 4.0 * d2, 2.0 * d1 + 8.0 * d3
    return d0, even + odd, even - odd, far + near, far - near, d3


@kernel
def _delta_of_column(rows, j, inside):
    at = j * LANES
    if inside:
        return _delta(
            load(rows[0] + at), load(rows[1] + at), load(rows[2] + at), load(rows[3] + at)
        )
    none = zero(rows[0])
    return none, none, none, none, none, none


@kernel
def _delta_points(image, top, left, height, width, nothing, points, step):
    """``A delta Aᵀ`` of the 4×4 pixels at (top, left), as :func:`_input_points`."""
    rows = (
        _row(image, top, left, height, width, nothing),
        _row(image, top + 1, left, height, width, nothing),
        _row(image, top + 2, left, height, width, nothing),
        _row(image, top + 3, left, height, width, nothing),
    )
    a0, b0, c0, d0, e0, f0 = _delta_of_column(rows, 0, left < width)
    a1, b1, c1, d1, e1, f1 = _delta_of_column(rows, 1, left + 1 < width)
    a2, b2, c2, d2, e2, f2 = _delta_of_column(rows, 2, left + 2 < width)
    a3, b3, c3, d3, e3, f3 = _delta_of_column(rows, 3, left + 3 < width)
    put_six(_delta(a0, a1, a2, a3), points, step)
    put_six(_delta(b0, b1, b2, b3), points + 6 * step, step)
    put_six(_delta(c0, c1, c2, c3), points + 12 * step, step)
    put_six(_delta(d0, d1, d2, d3), points + 18 * step, step)
    put_six(_delta(e0, e1, e2, e3), points + 24 * step, step)
    put_six(_delta(f0, f1, f2, f3), points + 30 * step, step)


delta_points = _by_register(_delta_points)
