"""Batches: every sample once, in lanes, the same with and without the thread."""

import gc
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn import lanes
from minicnn.data import batches as module
from minicnn.data.batches import Batches
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError

SIZES = [1, 15, 16, 17, 32, 49, 50, 1000]


def numbered(count, channels=2, dtype=np.uint8):
    """Random images; the label of image n is n."""
    images = np.random.default_rng(0).integers(0, 256, (count, channels, 5, 3)).astype(dtype)
    mean, std = np.linspace(0.1, 0.4, channels), np.linspace(0.2, 0.3, channels)
    return Dataset(images, np.arange(count), mean=mean, std=std)


DATASET = numbered(50)


def kept(batches):
    """What an iteration yields, copied."""
    return [(batch.x.copy(), batch.labels.copy(), batch.samples) for batch in batches]


def worker_threads():
    return [t for t in threading.enumerate() if t.name.startswith(module.THREAD_NAME)]


def assert_same(first, second):
    assert len(first) == len(second)
    for (x, labels, samples), (other_x, other_labels, other_samples) in zip(first, second):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(labels, other_labels)
        assert samples == other_samples


@pytest.mark.parametrize("prefetch", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", SIZES)
def test_every_sample_once_an_epoch(batch_size, shuffle, prefetch):
    rng = np.random.default_rng(1) if shuffle else None
    batches = Batches(DATASET, batch_size, rng, prefetch=prefetch)
    for _ in range(2):
        epoch = kept(batches)
        assert len(epoch) == len(batches) == int(np.ceil(50 / batch_size))
        sizes = [samples for _, _, samples in epoch]
        assert sizes == [len(labels) for _, labels, _ in epoch]
        assert set(sizes[:-1]) <= {batch_size} and sum(sizes) == 50
        labels = np.concatenate([labels for _, labels, _ in epoch])
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(np.sort(labels), np.arange(50))
        assert np.array_equal(labels, np.arange(50)) != shuffle


@pytest.mark.parametrize("prefetch", [True, False])
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("batch_size", SIZES)
def test_x_is_the_normalized_samples_in_lanes(batch_size, kind, prefetch):
    dataset = numbered(50, dtype=kind)
    for batch in Batches(dataset, batch_size, np.random.default_rng(2), prefetch=prefetch):
        expected = lanes.pack(dataset.normalized(batch.labels))
        assert batch.x.shape == expected.shape and batch.x.dtype == np.float32
        assert batch.x.flags.c_contiguous
        np.testing.assert_array_equal(batch.x, expected)
        spare = batch.x.reshape(len(batch.x), -1, 16)[-1, :, (batch.samples - 1) % 16 + 1 :]
        assert (spare == 0).all()


def test_float64():
    _, scale, shift = (a[:, None, None, None] for a in DATASET.affine(np.float64))
    for batch in Batches(DATASET, 20, dtype=np.float64):
        assert batch.x.dtype == np.float64
        pixels = DATASET.images[batch.labels].astype(np.float64)
        mean, std = DATASET.mean[:, None, None], DATASET.std[:, None, None]
        exact = lanes.pack((pixels / 255 - mean) / std, np.float64)
        size = lanes.pack(pixels, np.float64) * scale + np.abs(shift)
        assert (np.abs(batch.x - exact) <= 4 * np.finfo(np.float64).eps * size).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(("mean", "std"), [(1e4, 1e-2), (1e6, 1e-2), (1e9, 1.0), (-3e5, 1e-3)])
def test_pixels_with_a_mean_far_from_0_keep_their_digits(mean, std, kind, dtype):
    images = (mean + std * np.random.default_rng(0).normal(size=(20, 2, 5, 5))).astype(kind)
    dataset = Dataset(images, np.zeros(20, int), mean=mean, std=std)
    exact = (images - np.float64(mean)) / std
    # A difference, 1 / std, the product, and the rounding to dtype.
    tolerance = 2 * np.finfo(np.float64).eps + np.finfo(dtype).eps / 2
    for batch in Batches(dataset, 16, dtype=dtype):
        found, wanted = lanes.unpack(batch.x, batch.samples), exact[: batch.samples]
        exact = exact[batch.samples :]
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=0)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 70), batch_size=st.integers(1, 80),
    channels=st.integers(1, 3), seed=st.integers(0, 2**32),
)  # fmt: skip
def test_the_thread_changes_nothing(count, batch_size, channels, seed):
    dataset = numbered(count, channels)
    with_thread, without = (
        Batches(dataset, batch_size, np.random.default_rng(seed), prefetch=p) for p in (True, False)
    )
    for _ in range(2):
        assert_same(kept(with_thread), kept(without))


def test_a_seed_repeats_the_shuffle_and_epochs_differ():
    first, again, other = (
        [[list(b.labels) for b in batches] for _ in range(3)]
        for batches in (Batches(DATASET, 16, np.random.default_rng(s)) for s in (5, 5, 6))
    )
    assert first == again
    assert first != other
    assert first[0] != first[1] != first[2] != first[0]


def test_without_a_generator_the_global_one_is_not_used():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    kept(Batches(DATASET, 16))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("prefetch", [True, False])
def test_an_epoch_goes_on_from_any_batch(prefetch):
    batches = Batches(DATASET, 16, np.random.default_rng(7), prefetch=prefetch)
    order = batches.order()
    whole = kept(batches.epoch(order))
    for start in range(5):
        assert_same(kept(batches.epoch(order, start)), whole[start:])
    assert_same(kept(batches.epoch(order[16:])), whole[1:])


def test_iteration_is_the_epoch_of_the_next_order():
    by_iteration = kept(Batches(DATASET, 16, np.random.default_rng(8)))
    batches = Batches(DATASET, 16, np.random.default_rng(8))
    assert_same(kept(batches.epoch(batches.order())), by_iteration)


@pytest.mark.parametrize("prefetch", [True, False])
def test_two_iterations_at_once_do_not_disturb_each_other(prefetch):
    batches = Batches(DATASET, 16, prefetch=prefetch)
    alone = kept(batches)
    pairs = 0
    for (x, _, _), first, second in zip(alone, batches, batches):
        np.testing.assert_array_equal(first.x, x)
        np.testing.assert_array_equal(second.x, x)
        pairs += 1
    assert pairs == 4


def test_a_batch_stays_valid_while_the_next_is_packed(monkeypatch):
    """Wait in every step until the thread is done with the next batch; then look."""
    packed, gather = threading.Semaphore(0), module.gather

    def watched(*arguments):
        assert threading.current_thread() in worker_threads()
        gather(*arguments)
        packed.release()

    expected = kept(Batches(DATASET, 10, prefetch=False))
    monkeypatch.setattr(module, "gather", watched)
    assert packed.acquire(timeout=0) is False
    for number, batch in enumerate(Batches(DATASET, 10, prefetch=True)):
        for _ in range(2 if number == 0 else number < 4):
            assert packed.acquire(timeout=10), "the next batch was not packed ahead"
        np.testing.assert_array_equal(batch.x, expected[number][0])


@pytest.mark.parametrize("prefetch", [True, False])
def test_no_more_than_two_buffers(prefetch):
    places = {batch.x.ctypes.data for batch in Batches(DATASET, 5, prefetch=prefetch)}
    assert len(places) == (2 if prefetch else 1)


def test_the_thread_ends_with_the_epoch():
    assert not worker_threads()
    iterator = iter(Batches(DATASET, 10, prefetch=True))
    next(iterator)
    assert len(worker_threads()) == 1
    assert len(list(iterator)) == 4
    assert not worker_threads()


def test_the_thread_ends_when_the_iteration_is_left():
    for _ in Batches(DATASET, 10, prefetch=True):
        break
    assert not worker_threads()
    iterator = iter(Batches(DATASET, 10, prefetch=True))
    next(iterator)
    iterator.close()
    assert not worker_threads()
    iter(Batches(DATASET, 10, prefetch=True))
    assert not worker_threads()


def test_the_thread_ends_when_the_training_step_fails():
    batches = Batches(DATASET, 10, prefetch=True)
    for _ in range(3):
        try:
            for _ in batches:
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
    gc.collect()
    assert not worker_threads()
    assert len(kept(batches)) == 5


@pytest.mark.parametrize("prefetch", [True, False])
def test_a_failure_in_the_thread_reaches_the_caller(monkeypatch, prefetch):
    calls, gather = [], module.gather

    def fails_third(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise MemoryError("no room for the third")
        gather(*arguments)

    monkeypatch.setattr(module, "gather", fails_third)
    batches, seen = Batches(DATASET, 10, prefetch=prefetch), []
    with pytest.raises(MemoryError, match="no room for the third"):
        for batch in batches:
            seen.append(batch.samples)
    assert seen == [10, 10]
    assert not worker_threads()
    assert len(kept(batches)) == 5


@pytest.mark.parametrize("batch_size", [0, -1, True, 2.0, "16", None, np.float64(4)])
def test_batch_sizes_that_cannot_work(batch_size):
    with pytest.raises(ArgumentError, match="batch size must be an integer of at least 1"):
        Batches(DATASET, batch_size)


def test_a_batch_size_of_numpy():
    assert len(Batches(DATASET, np.int64(16))) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Batches(DATASET, 4, rng=0), r"default_rng\(seed\)"),
        (lambda: Batches(DATASET, 4, dtype=np.float16), "float32 or float64"),
        (lambda: Batches(DATASET, 4, dtype=int), "float32 or float64"),
        (lambda: Batches(DATASET, 4).epoch([0, 50]), "from 0 to 49, got 0 to 50"),
        (lambda: Batches(DATASET, 4).epoch([-1, 3]), "got -1 to 3"),
        (lambda: Batches(DATASET, 4).epoch([1.0]), "whole numbers"),
        (lambda: Batches(DATASET, 4).epoch([[1]]), "whole numbers"),
        (lambda: Batches(DATASET, 4).epoch([1], start=2), "from 0 to the 1 batches, got 2"),
        (lambda: Batches(DATASET, 4).epoch([1], start=-1), "got -1"),
        (lambda: Batches(DATASET, 4).epoch([1], start=1.0), "got 1.0"),
    ],
)
def test_settings_that_cannot_work(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


@pytest.mark.parametrize("left", [True, False])
def test_a_thread_only_where_a_processor_is_left(monkeypatch, left):
    monkeypatch.setattr(module, "_processor_left", lambda: left)
    iterator = iter(Batches(Dataset(np.zeros((40, 2, 2), np.uint8), np.zeros(40, int)), 8))
    next(iterator)
    assert len(worker_threads()) == left
    iterator.close()


@pytest.mark.parametrize(
    ("processors", "threads", "ahead"), [(1, 1, False), (2, 2, False), (2, 1, True)]
)
def test_batches_are_packed_ahead_where_a_processor_is_left(
    processors, threads, ahead, monkeypatch
):
    monkeypatch.setattr(module.processors, "usable", lambda: processors)
    monkeypatch.setattr(module, "get_num_threads", lambda: threads)
    iterator = iter(Batches(DATASET, 10))
    next(iterator)
    assert len(worker_threads()) == ahead
    iterator.close()
