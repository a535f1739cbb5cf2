"""Lanes: samples go in and come out again, and arrays begin where vectors can be loaded whole."""

import numpy as np
import pytest

from minicnn import lanes


@pytest.mark.parametrize("samples", [0, 1, 15, 16, 17, 40])
def test_unpack_undoes_pack_and_spare_lanes_are_zero(samples):
    batch = np.random.default_rng(0).normal(size=(samples, 2, 3)).astype(np.float32)
    packed = lanes.pack(batch)
    assert packed.shape == (lanes.group_count(samples), 2, 3, lanes.LANES)
    assert np.array_equal(lanes.unpack(packed, samples), batch)
    assert not lanes.unpack(packed, 16 * len(packed))[samples:].any()


def test_unpack_gives_an_array_of_its_own():
    packed = lanes.pack(np.ones((16, 1), np.float32))
    lanes.unpack(packed, 16)[...] = 2
    assert (packed == 1).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 7, lanes.LANES), (0, 4)])
def test_zeros_begin_with_a_cache_line(shape, dtype):
    made = [lanes.zeros(shape, dtype) for _ in range(8)]
    for array in made:
        assert array.shape == shape and array.dtype == dtype and array.flags.c_contiguous
        assert not array.any()
        assert not array.size or array.ctypes.data % lanes.CACHE_LINE == 0
        array[...] = 1  # and no two of them are the same memory
    assert all(not np.shares_memory(a, b) for a, b in zip(made, made[1:]))


def test_samples_without_a_number_are_unpacked():
    assert lanes.unpack(np.zeros((2, 0, 6, lanes.LANES), np.float32), 20).shape == (20, 0, 6)
