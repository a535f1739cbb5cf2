"""Capture and replay: what kernels did is done again, all of it and nothing else."""

import threading

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.kernels.runtime import replay, thread_pool
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.replay import Captured
from minicnn.kernels.runtime.thread_pool import get_num_threads, parallel_for, set_num_threads
from tests.kernels.runtime.test_thread_pool import ask, hit, hit_within


@kernel
def scale(x, factor, y):
    """``y = factor * x``, for vectors."""
    parallel_for(_scale, len(x), (x, factor, y))


@kernel
def _scale(tasks, x, factor, y):
    for i in tasks:
        y[i] = factor * x[i]


def captured(function, *arguments):
    found = Captured()
    with found.capture():
        function(*arguments)
    return found


def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


@pytest.mark.parametrize("threads", range(1, thread_pool.MOST + 1))
def test_the_same_again_with_the_numbers_of_now(threads):
    before = get_num_threads()
    set_num_threads(threads)
    x, y, z = np.arange(5.0), np.empty(5), np.empty(5)
    both = Captured()
    with both.capture():
        scale(x, 2.0, y)
        scale(y, 10.0, z)
    for _ in range(3):
        x += 1
        y[:] = z[:] = np.nan
        both.replay()
        np.testing.assert_array_equal(y, 2 * x)
        np.testing.assert_array_equal(z, 20 * x)
    set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_every_task_is_done_once(count):
    hits = np.zeros(count, int)
    again = captured(hit, hits)
    for times in range(2, 50):
        again.replay()
        assert (hits == times).all()


def test_what_tasks_share_out_themselves_is_not_done_twice():
    hits = np.zeros((4, 30), int)
    captured(hit_within, hits).replay()
    assert (hits == 2).all()


def test_other_threads_are_not_captured():
    own, other = np.zeros(3, int), np.zeros(3, int)
    found = Captured()
    with found.capture():
        in_thread(lambda: hit(other))
        hit(own)
    found.replay()
    assert (own == 2).all()
    assert (other == 1).all()


def test_one_thread_captures_at_a_time():
    hits, others = np.zeros(3, int), []
    found = Captured()
    with found.capture():
        in_thread(lambda: others.append(captured(hit, hits)))
        hit(hits)
    assert not others[0]
    found.replay()
    assert (hits == 3).all()


def test_nothing_is_captured_outside_of_the_block():
    hits = np.zeros(3, int)
    found = captured(lambda: None)
    hit(hits)
    assert found
    found.replay()
    assert (hits == 1).all()


def test_an_exception_leaves_nothing_captured_and_the_next_capture_works():
    hits, found = np.zeros(3, int), Captured()
    with pytest.raises(ZeroDivisionError), found.capture():
        hit(hits)
        1 / 0  # noqa: B018
    assert not found
    assert captured(hit, hits)


def test_too_many_calls_are_not_captured():
    hits, found = np.zeros(3, int), Captured()
    with found.capture():
        for _ in range(replay.MOST_WORDS // 10):
            hit(hits)
    assert not found
    assert (hits == replay.MOST_WORDS // 10).all()
    with pytest.raises(ArgumentError, match="nothing is captured"):
        found.replay()


@pytest.mark.parametrize("where", [0, -1])
def test_a_task_without_memory_is_an_error_and_the_next_replay_works(where):
    sizes = np.full(64, 3)
    again = captured(ask, sizes)
    sizes[where] = 1 << 58
    with pytest.raises(MemoryError):
        again.replay()
    sizes[where] = 5
    again.replay()
    assert sizes[where] == 5
