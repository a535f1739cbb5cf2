"""Buffers are made once, are zero when made, and only ever grow."""

import numpy as np

from minicnn.layers.buffers import Buffers


def test_a_buffer_is_made_once_and_grows():
    buffers = Buffers(np.float32)
    first = buffers.lanes("y", 3, (2, 4))
    assert first.shape == (3, 2, 4, 16) and first.dtype == np.float32 and not first.any()
    first[...] = 1
    again, smaller = buffers.lanes("y", 3, (2, 4)), buffers.lanes("y", 1, (2, 4))
    assert np.shares_memory(first, again) and np.shares_memory(first, smaller)
    assert smaller.shape == (1, 2, 4, 16)
    assert np.shares_memory(buffers.lanes("y", 3, (2, 4)), first)  # not made smaller meanwhile
    larger = buffers.lanes("y", 4, (2, 4))
    assert larger.shape == (4, 2, 4, 16) and not larger.any()


def test_another_name_or_shape_is_another_buffer():
    buffers = Buffers(np.float64)
    first = buffers.rows("y", 3, (5,))
    assert not np.shares_memory(first, buffers.rows("x", 3, (5,)))
    first[...] = 1
    other = buffers.rows("y", 3, (6,))
    assert other.shape == (3, 6) and not other.any()
