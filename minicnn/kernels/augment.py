"""Images changed at random on their way from a data set to a batch.

Every random number is a hash of a key, the number of the sample and the number of the draw, see
:mod:`minicnn.kernels.random`: a sample looks the same in any batch, order and thread.

A kernel for each kind of change, so that only what is used is compiled. Not shared out: they run
beside the training step, which has the pool. Indices that cannot be negative are unsigned here, as
Numba then leaves out what lets -1 mean the last.
"""

import numpy as np

from minicnn.kernels.random import STEP, mixed, uniform
from minicnn.kernels.runtime.jit import kernel

# Draws of a sample; those of mixing come in pairs, and those of the noise with each pixel.
_FLIP, _ROW, _COLUMN, _ANGLE, _ZOOM, _DOWN, _RIGHT, _HOLE_ROW, _HOLE_COLUMN = range(9)
_WHICH, _PARTNER, _BOX_ROW, _BOX_COLUMN, _BETA = 16, 17, 18, 19, 32
_NOISE = 1 << 20


@kernel
def _symmetric(key, sample, draw, most):
    """A number in [-most, most)."""
    return most * (2 * uniform(key, sample, draw) - 1)


@kernel
def beta(key, sample, alpha):
    """A number of the distribution Beta(alpha, alpha), alpha in (0, 1].

    Jöhnk, *Erzeugung von betaverteilten und gammaverteilten Zufallszahlen*, Metrika 8 (1964). A
    try fails with a probability of at most one half.
    """
    for attempt in range(64):
        x = uniform(key, sample, _BETA + 2 * attempt) ** (1 / alpha)
        y = uniform(key, sample, _BETA + 2 * attempt + 1) ** (1 / alpha)
        if 0 < x + y <= 1:
            return x / (x + y)
    return 0.5


@kernel
def take(images, rows, indices, key, padding, reflect, flip, out):
    """Copy samples out of a data set, moved by whole pixels and mirrored at random.

    Parameters
    ----------
    images : ndarray, shape (M, C, H, W)
        uint8, float32 or float64.
    rows : ndarray of int64, shape (N,) or (0,)
        Where in `images` each sample of the data set is; of no length: sample n is row n.
    indices : ndarray of int64, shape (n,)
        Samples of the data set, not checked.
    key : uint64
    padding : int
        The most that an image is moved, either way and along both axes; smaller than H and W.
    reflect : bool
        Whether there is the image's reflection outside of it, without the border itself; else 0.
    flip : float
        The probability of being mirrored.
    out : ndarray, shape (n, C, H, W)
        Of the dtype of `images`.
    """
    _, channels, height, width = images.shape
    flat, to, area = images.reshape(-1), out.reshape(-1), height * width
    for n in range(indices.size):
        sample = indices[n]
        row = rows[sample] if rows.size else sample
        mirrored = uniform(key, sample, _FLIP) < flip
        down = int(uniform(key, sample, _ROW) * (2 * padding + 1)) - padding
        right = int(uniform(key, sample, _COLUMN) * (2 * padding + 1)) - padding
        for c in range(channels):
            source, begin = (row * channels + c) * area, (n * channels + c) * area
            for i in range(height):
                line, y = begin + i * width, i + down
                if reflect:
                    y = _reflected(y, height)
                if y < 0 or y >= height:
                    for j in range(width):
                        to[np.uint64(line + j)] = 0
                else:
                    _line(flat, source + y * width, right, mirrored, reflect, width, to, line)


@kernel
def _line(source, at, right, mirrored, reflect, width, out, line):
    """One line of an image, moved by `right` pixels and mirrored if it should be."""
    first, last = max(0, -right), min(width, width - right)
    begin, step = (at + width - 1 - right, -1) if mirrored else (at + right, 1)
    for j in range(first, last):
        out[np.uint64(line + j)] = source[np.uint64(begin + step * j)]
    for j in range(width - (last - first)):
        place = j if j < first else last + j - first
        inside = _reflected(place + right, width) - right
        out[np.uint64(line + place)] = source[np.uint64(begin + step * inside)] if reflect else 0


@kernel
def _reflected(place, size):
    """Where a place outside of an image is mirrored to, at its first or last pixel."""
    return -place if place < 0 else (2 * (size - 1) - place if place >= size else place)


@kernel
def warp(images, indices, key, angle, scale, pixels, out):
    """Turn, magnify and move images around their middle, at random; 0 outside.

    Each pixel is interpolated between the four nearest of the input, bilinearly.

    Parameters
    ----------
    images, out : ndarray, shape (n, C, H, W)
    indices : ndarray of int64, shape (n,)
        Numbers of the samples, which decide about the random numbers.
    key : uint64
    angle, scale, pixels : float
        The most: radians either way, the share around 1 of the magnification, and pixels along
        both axes.
    """
    _, channels, height, width = images.shape
    flat, to, area = images.reshape(-1), out.reshape(-1), height * width
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    for n in range(indices.size):
        sample = indices[n]
        turn = _symmetric(key, sample, _ANGLE, angle)
        zoom = 1 + _symmetric(key, sample, _ZOOM, scale)
        y = middle_y + _symmetric(key, sample, _DOWN, pixels)
        x = middle_x + _symmetric(key, sample, _RIGHT, pixels)
        cos, sin = np.cos(turn) / zoom, np.sin(turn) / zoom
        begin = n * channels * area
        for i in range(height):
            for j in range(width):
                at_y = cos * (i - y) - sin * (j - x) + middle_y
                at_x = sin * (i - y) + cos * (j - x) + middle_x
                top, left = int(np.floor(at_y)), int(np.floor(at_x))
                lower, righter = at_y - top, at_x - left
                # What is outside counts nothing, and is read from the nearest pixel inside.
                up = (1 - lower) * (0 <= top < height)
                down = lower * (-1 <= top < height - 1)
                west = (1 - righter) * (0 <= left < width)
                east = righter * (-1 <= left < width - 1)
                i0, i1 = _within(top, height) * width, _within(top + 1, height) * width
                j0, j1 = _within(left, width), _within(left + 1, width)
                for c in range(channels):
                    at = begin + c * area
                    a, b = flat[np.uint64(at + i0 + j0)], flat[np.uint64(at + i0 + j1)]
                    c0, d = flat[np.uint64(at + i1 + j0)], flat[np.uint64(at + i1 + j1)]
                    value = up * (west * a + east * b) + down * (west * c0 + east * d)
                    to[np.uint64(at + i * width + j)] = _as_pixel(value, to)


@kernel
def _within(place, end):
    return min(max(place, 0), end - 1)


@kernel
def _as_pixel(value, like):
    """A pixel of the dtype of `like`: bytes are rounded, and stay from 0 to 255."""
    if like.itemsize == 1:
        return like.dtype.type(min(255.0, max(0.0, np.rint(value))))
    return like.dtype.type(value)


@kernel
def _box(at_row, at_column, height, width, size_y, size_x):
    """Rows and columns of a box around a place, as far as they are within the image."""
    top, left = int(at_row * height) - size_y // 2, int(at_column * width) - size_x // 2
    return max(0, top), min(height, top + size_y), max(0, left), min(width, left + size_x)


@kernel
def cut_out(images, indices, key, size, fill):
    """Put a square of `size` pixels a side over each of `images`, at a random place.

    `fill`, (C,), is its colour; the other parameters are those of `warp`.
    """
    _, channels, height, width = images.shape
    for n in range(indices.size):
        row = uniform(key, indices[n], _HOLE_ROW)
        column = uniform(key, indices[n], _HOLE_COLUMN)
        top, bottom, left, right = _box(row, column, height, width, size, size)
        for c in range(channels):
            for i in range(top, bottom):
                for j in range(left, right):
                    images[n, c, i, j] = _as_pixel(fill[c], images)


@kernel
def add_noise(images, indices, key, deviation):
    """Add numbers of this standard deviation, and nearly of the normal distribution.

    Each is the number of ones in 64 random bits, which is binomial, and a uniform number that fills
    the gaps: its distribution function differs from the normal one by less than 0.001.
    """
    pixels, flat = images[0].size, images.reshape(-1)
    factor = deviation / np.sqrt(16 + 1 / 12)
    for n in range(indices.size):
        own = mixed(key + np.uint64(indices[n]))
        for p in range(pixels):
            bits = mixed(own + np.uint64(_NOISE + p) * np.uint64(STEP))
            # The bits' product with an odd number is one to one: its upper half is as random.
            part = np.float64((bits * np.uint64(0xD1342543DE82EF95)) >> np.uint64(40)) * 2.0**-24
            normal = factor * (np.float64(_ones(bits)) - 32.5 + part)
            at = np.uint64(n * pixels + p)
            flat[at] = _as_pixel(flat[at] + normal, flat)


@kernel
def _ones(v):
    """How many bits are 1: sums of pairs, of fours, of eights, and of all eight bytes."""
    v -= (v >> np.uint64(1)) & np.uint64(0x5555555555555555)
    pairs = np.uint64(0x3333333333333333)
    v = (v & pairs) + ((v >> np.uint64(2)) & pairs)
    v = (v + (v >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (v * np.uint64(0x0101010101010101)) >> np.uint64(56)


@kernel
def choose_partners(indices, key, samples, partners):
    """Fill `partners` with a sample for each of `indices`, any of the data set's `samples`."""
    for n in range(indices.size):
        partners[n] = min(int(uniform(key, indices[n], _PARTNER) * samples), samples - 1)


@kernel
def mix(images, others, indices, key, mixup, cutmix, weights):
    """Mix each image with another: both as a whole, or a box of one over the other.

    Parameters
    ----------
    images, others : ndarray, shape (n, C, H, W)
        The first is changed.
    indices, key
        As those of `warp`.
    mixup, cutmix : float
        The parameter of the beta distribution of the shares, 0 for not at all; one of the two is
        tossed for if both are there.
    weights : ndarray of float64, shape (n,)
        Receives the share of the first image.
    """
    _, channels, height, width = images.shape
    for n in range(indices.size):
        sample = indices[n]
        whole = mixup > 0 and (cutmix == 0 or uniform(key, sample, _WHICH) < 0.5)
        weight = beta(key, sample, mixup if whole else cutmix)
        top, bottom, left, right = 0, height, 0, width
        if not whole:
            side = np.sqrt(1 - weight)
            row, column = uniform(key, sample, _BOX_ROW), uniform(key, sample, _BOX_COLUMN)
            rows, columns = int(height * side), int(width * side)
            top, bottom, left, right = _box(row, column, height, width, rows, columns)
        share = weight if whole else 0.0
        for c in range(channels):
            for i in range(top, bottom):
                for j in range(left, right):
                    one, two = images[n, c, i, j], others[n, c, i, j]
                    images[n, c, i, j] = _as_pixel(share * one + (1 - share) * two, images)
        covered = (bottom - top) * (right - left) / (height * width)
        weights[n] = weight if whole else 1 - covered
