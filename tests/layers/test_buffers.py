"""Buffers are made once, are zero when made, and only ever grow; a workspace is shared."""

import numpy as np
import pytest

from minicnn import lanes, zoo
from minicnn.layers.buffers import Buffers, Workspace


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


def test_a_workspace_is_one_memory_for_all_who_share_it():
    workspace = Workspace()
    mine, yours = Buffers(np.float32, workspace), Buffers(np.float32, workspace)
    first = mine.scratch("v", 4, (5,))
    assert first.shape == (4, 5) and np.shares_memory(first, yours.scratch("v", 2, (3,)))
    assert not np.shares_memory(first, mine.scratch("u", 4, (5,)))
    assert mine.scratch("v", 40, (5,)).shape == (40, 5)
    other = Buffers(np.float64, workspace).scratch("v", 4, (5,))
    assert other.dtype == np.float64 and yours.scratch("v", 4, (5,)).dtype == np.float32


@pytest.mark.parametrize("name", ["vgg-small", "resnet8", "lenet5"])
def test_what_is_left_in_the_workspace_changes_nothing(name):
    def gradients(dirty):
        model = zoo.build(name)
        model.initialize((3, 16, 16), seed=1)
        rng = np.random.default_rng(0)
        for samples in (40, 20):  # the smaller batch finds what the larger one left
            x = lanes.pack(rng.standard_normal((samples, 3, 16, 16)).astype(np.float32))
            dy = rng.standard_normal((len(x), 10, lanes.LANES)).astype(np.float32)
            for _ in range(2):
                model.forward(x, True)
                model.backward(dy)
                if dirty:
                    for array in model.workspace._kept.values():
                        array.fill(np.nan)
        return [p.grad.copy() for p in model.parameters()]

    for clean, dirty in zip(gradients(False), gradients(True)):
        assert np.isfinite(clean).all() and np.array_equal(clean, dirty)


def test_all_layers_of_a_model_share_one_workspace():
    model = zoo.build("resnet8")
    model.initialize((3, 16, 16))
    assert {id(layer.workspace) for layer in model.all_layers()} == {id(model.workspace)}


def test_every_new_array_is_counted_and_nothing_else():
    """What was captured of a pass is right while none is new, here or in the workspace."""
    buffers = Buffers(np.float32)
    counts = []
    for make, length in (
        (buffers.rows, 2), (buffers.rows, 2), (buffers.rows, 1), (buffers.rows, 3),
        (buffers.scratch, 2), (buffers.scratch, 1), (buffers.scratch, 3), (buffers.scratch, 3),
    ):  # fmt: skip
        make("x", length, (4,))
        counts.append(buffers.workspace.allocations)
    assert counts == [1, 1, 1, 2, 3, 3, 4, 4]
