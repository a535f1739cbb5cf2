"""The packing kernel against NumPy, at the edges of its lanes and blocks."""

import itertools

import numpy as np
import pytest

from minicnn.kernels.pack import gather
from minicnn.lanes import LANES, group_count, unpack

SAMPLES = [1, 15, 16, 17, 40]
PIXELS = [1, LANES - 1, LANES, LANES + 1, 5 * LANES + 5]


def terms(count, dtype):
    """Some centre, scale and shift, in the dtype to compute in."""
    return np.random.default_rng(2).normal(size=(3, count)).astype(dtype)


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("kind", "wide"),
    [(np.uint8, None), (np.float32, None), (np.float32, np.float64), (np.float64, np.float64)],
)
def test_gather_is_its_formula(kind, wide, real):
    rng, wide = np.random.default_rng(0), wide or real
    centre, scale, shift = terms(3, wide)
    for samples, pixels in itertools.product(SAMPLES, PIXELS):
        images = rng.integers(0, 256, (30, 3, pixels)).astype(kind)
        indices = rng.integers(0, 30, samples)
        out = np.full((group_count(samples), 3, pixels, 16), np.nan, real)
        gather(images, indices, centre, scale, shift, out)
        x = images[indices].astype(wide)
        expected = (x - centre[:, None]) * scale[:, None] + shift[:, None]
        np.testing.assert_array_equal(unpack(out, samples), expected.astype(real))
        spare = unpack(out, 16 * len(out))[samples:]
        assert (spare == 0).all()


@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize("size", [1e4, 1e9, 1e12])
def test_a_mean_far_from_0_costs_no_digits(size, pixels):
    """What is left of a pixel is exact before it is rounded to float32."""
    images = size + np.random.default_rng(0).normal(size=(5, 1, pixels))
    out = np.empty((1, 1, pixels, 16), np.float32)
    centre, scale, shift = np.array([[size], [1.0], [0.0]])
    gather(images, np.arange(5), centre, scale, shift, out)
    np.testing.assert_array_equal(unpack(out, 5), (images - size).astype(np.float32))


def test_the_same_image_has_the_same_bits_in_every_lane():
    images = np.random.default_rng(1).normal(size=(2, 1, 100)).astype(np.float32)
    scale, shift = np.array([1 / 3], np.float32), np.array([-0.7], np.float32)
    out = np.empty((2, 1, 100, 16), np.float32)
    gather(images, np.ones(19, np.int64), 0 * scale, scale, shift, out)
    rows = unpack(out, 19)
    np.testing.assert_array_equal(rows, np.broadcast_to(rows[:1], rows.shape))
    np.testing.assert_array_equal(rows[0], images[1] * scale + shift)


def test_images_may_be_read_only():
    images, one = np.arange(40, dtype=np.uint8).reshape(2, 1, 20), np.ones(1, np.float32)
    images.flags.writeable = False
    out = np.empty((1, 1, 20, 16), np.float32)
    gather(images, np.array([1]), 0 * one, one, one, out)
    np.testing.assert_array_equal(out[0, 0, :, 0], images[1, 0] + 1)


def test_nan_and_infinity_pass_through():
    images = np.array([[[np.nan, np.inf, -np.inf, 0]]], np.float32)
    out = np.empty((1, 1, 4, 16), np.float32)
    one = np.ones(1, np.float32)
    gather(images, np.zeros(1, np.int64), 0 * one, one, one, out)
    np.testing.assert_array_equal(out[0, 0, :, 0], [np.nan, np.inf, -np.inf, 1])
