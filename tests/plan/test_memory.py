"""Memory: slots never overlap while they are read, and are given again; the rest lasts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import lanes
from minicnn.models import zoo
from minicnn.plan import ONCE, Context, Memory


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 3), st.integers(0, 9)), max_size=40))
def test_slots_that_are_read_never_overlap(orders):
    """Each is filled with its own number, which it holds until its last reader has gone."""
    memory, alive = Memory(np.float32), {}
    for _ in range(2):
        memory.reset()
        alive.clear()
        for number, (size, readers, done) in enumerate(orders):
            slot = memory.take((size, 16), readers)
            slot.array[...] = number
            alive[number] = slot
            for key in [*alive][:done]:
                memory.release(alive[key])
                if not alive[key].readers:
                    del alive[key]
            for key, own in alive.items():
                assert (own.array == key).all()


def test_what_nobody_reads_is_given_again_and_joined_with_what_is_beside_it():
    memory = Memory(np.float64)
    memory.reserve(6 * 16)
    memory.reset()
    first, second, third = (memory.take((2, 16)) for _ in range(3))
    for slot in (first, third, second):
        memory.release(slot)
    whole = memory.take((6, 16))
    assert np.shares_memory(whole.array, first.array) and np.shares_memory(whole.array, third.array)
    assert memory.allocations == 1
    memory.take((1, 16))
    assert memory.allocations == 2
    memory.release(None)  # an array of who called


def test_scratch_is_given_back_after_the_call():
    memory = Memory(np.float32)
    ctx = Context(memory, 1, None, True, 16, False)
    first, second = ctx.scratch((4, 5)), ctx.scratch((4, 5))
    assert not np.shares_memory(first, second)
    ctx.end_call()
    assert np.shares_memory(first, ctx.scratch((2, 3))) and memory.allocations == 2


def test_each_slot_begins_a_vector():
    memory = Memory(np.float32)
    memory.reserve(100)
    memory.reset()
    for size in (1, 15, 17):
        address = memory.take((size,)).array.__array_interface__["data"][0]
        assert address % 64 == 0
    assert memory.allocations == 1


def test_what_is_kept_is_its_owners_alone():
    memory = Memory(np.float32)
    kept = memory.keep("a", (3, 5))
    assert not kept.any() and kept.dtype == np.float32
    kept[...] = 1
    assert memory.keep("a", (2, 5)).all() and np.shares_memory(kept, memory.keep("a", (2, 5)))
    assert memory.keep("a", (3, 5)).all()
    assert not memory.keep("a", (4, 5)).any() and not memory.keep("b", (3, 5), float).any()
    assert memory.table("t", lambda: [1]) is memory.table("t", lambda: [2])


@pytest.mark.parametrize("name", ["vgg-small", "resnet8", "lenet5", "densenet7"])
def test_what_is_left_in_memory_changes_nothing(name):
    def gradients(dirty):
        model = zoo.build(name)
        model.initialize((3, 16, 16), seed=1)
        rng = np.random.default_rng(0)
        for samples in (40, 20):  # the smaller batch finds what the larger one left
            x = lanes.pack(rng.standard_normal((samples, 3, 16, 16)).astype(np.float32))
            dy = rng.standard_normal((len(x), 10, lanes.LANES)).astype(np.float32)
            for _ in range(2):
                model.run(x, True, backward=ONCE)
                model.backward(dy)
                memory = model.plan().memory
                for array in memory._blocks if dirty else []:
                    array.fill(np.nan)
        return [p.grad.copy() for p in model.parameters()]

    for clean, dirty in zip(gradients(False), gradients(True)):
        assert np.isfinite(clean).all() and np.array_equal(clean, dirty)


def test_training_keeps_what_the_way_back_reads_and_inference_next_to_nothing(monkeypatch):
    model, sizes, scratch = zoo.build("plain10"), {}, []

    def noted(ctx, shape, original=Context.scratch):
        scratch.append(4 * int(np.prod(shape)))
        return original(ctx, shape)

    monkeypatch.setattr(Context, "scratch", noted)
    model.initialize((3, 16, 16))
    x = lanes.zeros((2, 3, 16, 16, 16), np.float32)
    y = model.run(x, True, backward=ONCE)
    model.backward(np.zeros_like(y))
    own = [layer for layer in model.all_layers() if not layer.is_view(True)]
    signals = sum(4 * len(x) * 16 * int(np.prod(layer.output_shape)) for layer in own)
    largest = 4 * len(x) * 16 * max(int(np.prod(layer.output_shape)) for layer in own)
    for name, mode in (("training", ONCE), ("inference", 0)):
        model.plan().memory.__init__(np.float32)
        model.run(x, mode == ONCE, backward=mode)
        sizes[name] = sum(block.nbytes for block in model.plan().memory._blocks)
    assert sizes["training"] <= signals + 3 * largest
    # A call borrows three arrays at most; where a larger one does not fit, room is made for it.
    assert sizes["inference"] <= 2 * largest + 2 * sum(sorted(scratch)[-3:])
