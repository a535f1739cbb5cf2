"""Images moved into frames: nothing is written outside of them."""

import numpy as np
import pytest

from minicnn.kernels import pad
from tests.kernels.conv.test_correlate import with_one_and_two_threads


@pytest.mark.parametrize("place", [(0, 0), (1, 2), (-2, -1), (0, 9), (9, 0), (-9, 0), (0, -9)])
def test_only_the_frame_is_written(place):
    top, left = place
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 16))
    expected = np.zeros((2, 3, 3, 2, 16))
    for i in range(3):
        for j in range(2):
            if 0 <= i - top < 4 and 0 <= j - left < 5:
                expected[:, :, i, j] = x[:, :, i - top, j - left]

    def moved():
        room = np.full(expected.size + 2 * 400, np.nan)
        pad.move(x, room[400:-400].reshape(expected.shape), top, left)
        return room

    for room in with_one_and_two_threads(moved):
        np.testing.assert_array_equal(room[400:-400].reshape(expected.shape), expected)
        assert np.isnan(room[:400]).all() and np.isnan(room[-400:]).all()
