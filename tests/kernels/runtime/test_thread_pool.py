"""The pool of threads: every task is done once, whoever comes, sleeps, or is not there."""

import ctypes
import os
import threading
import time

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

from minicnn.errors import ArgumentError
from minicnn.kernels.runtime import thread_pool
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import get_num_threads, parallel_for, set_num_threads
from tests.faults.processes import run

#: More threads than processors, so that they stop each other at any moment.
MANY = {"NUMBA_NUM_THREADS": 7}


@kernel
def hit(hits):
    parallel_for(_hit, len(hits), (hits,))


@kernel
def _hit(tasks, hits):
    for i in tasks:
        hits[i] += 1


@kernel
def hit_within(hits):
    """A task that shares out work itself."""
    parallel_for(_hit_within, len(hits), (hits,))


@kernel
def _hit_within(tasks, hits):
    for i in tasks:
        parallel_for(_hit, hits.shape[1], (hits[i],))


@kernel
def ask(sizes):
    parallel_for(_ask, len(sizes), (sizes,))


@kernel
def _ask(tasks, sizes):
    for i in tasks:
        sizes[i] = np.ones(sizes[i]).sum()


if os.name == "posix":
    this_thread = ctypes.CDLL(None).pthread_self
    this_thread.restype, this_thread.argtypes = ctypes.c_uint64, []

    @numba.njit(nogil=True)
    def sign(names):
        parallel_for(_sign, len(names), (names,))

    @numba.njit(nogil=True)
    def _sign(tasks, names):
        for i in tasks:
            for _ in range(10_000):  # long enough to be joined
                names[i] = this_thread()


def signatures(threads):
    """How many threads do tasks if there is time for all of `threads` to come."""
    names, found, begin = np.zeros(threads, np.uint64), set(), time.perf_counter()
    while len(found) < threads and time.perf_counter() - begin < 10:
        sign(names)
        found |= set(names.tolist())
    return len(found)


needs_posix = pytest.mark.skipif(os.name != "posix", reason="needs the name of a thread")


@kernel
def add_ones(out):
    """Shares out an array of its own, whose memory is given back when nobody counts as its user."""
    parallel_for(_add_rows, len(out), (np.ones(out.shape), out))


@kernel
def _add_rows(tasks, added, out):
    for i in tasks:
        out[i] += added[i]


@kernel
def give_back(x):
    parallel_for(_give_back, len(x), (x,))


@kernel
def _give_back(tasks, x):
    return x


@pytest.fixture(autouse=True)
def all_threads():
    before = get_num_threads()
    set_num_threads(thread_pool.MOST)
    yield
    set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 16, 1000])
def test_every_task_is_done_once(count):
    for threads in range(1, thread_pool.MOST + 1):
        set_num_threads(threads)
        hits = np.zeros(count, int)
        for times in range(1, 101):
            hit(hits)
            assert (hits == times).all()


def test_work_comes_to_members_that_sleep():
    hits = np.zeros(50, int)
    for _ in range(20):
        time.sleep(0.01)
        hit(hits)
    assert (hits == 20).all()


@needs_posix
def test_all_threads_take_part_again_and_again():
    """Those that slept, too."""
    for threads in (*range(1, thread_pool.MOST + 1), thread_pool.MOST):
        set_num_threads(threads)
        time.sleep(0.02)
        assert signatures(threads) == threads


def test_a_task_may_share_out_work_itself():
    hits = np.zeros((40, 30), int)
    hit_within(hits)
    assert (hits == 1).all()


def test_several_callers_at_once():
    arrays = [np.zeros(100 + i, int) for i in range(4)]

    def work(own):
        for _ in range(2000):
            hit(own)

    callers = [threading.Thread(target=work, args=(own,)) for own in arrays]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert all((own == 2000).all() for own in arrays)


@pytest.mark.parametrize("where", [0, -1])
def test_a_task_without_memory_is_an_error_and_the_team_goes_on(where):
    sizes = np.full(64, 3)
    sizes[where] = 1 << 58  # the first or the last task, so anybody's
    with pytest.raises(MemoryError):
        ask(sizes)
    sizes[where] = 3
    ask(sizes)
    assert (sizes == 3).all()


def test_what_does_tasks_returns_nothing():
    with pytest.raises(TypingError, match="_give_back does tasks: it returns nothing"):
        give_back(np.zeros(3))


@pytest.mark.parametrize("count", [0, -1, thread_pool.MOST + 1, 1.0, "2", None])
def test_numbers_of_threads_that_there_are_not(count):
    with pytest.raises(ArgumentError, match=f"threads must be from 1 to {thread_pool.MOST}.*got"):
        set_num_threads(count)
    assert get_num_threads() == thread_pool.MOST


# What follows needs a process of its own, as there the pool is another one.

STRESS = """
import random, sys, threading, time
import numpy as np
from minicnn.kernels.runtime.thread_pool import MOST, set_num_threads
from tests.kernels.runtime.test_thread_pool import hit, signatures

def work(seed):
    rng = random.Random(seed)
    for _ in range(1500):
        if seed == 0:
            set_num_threads(rng.randint(1, MOST))
        if rng.random() < 0.01:
            time.sleep(rng.random() / 100)
        hits = np.zeros(rng.randint(0, 40), int)
        hit(hits)
        assert (hits == 1).all(), hits
failed = []
threading.excepthook = lambda about: failed.append(about)
callers = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
for caller in callers: caller.start()
for caller in callers: caller.join()
assert not failed, failed
set_num_threads(MOST)
print(MOST, signatures(MOST))
"""


@needs_posix
def test_more_threads_than_processors_and_their_number_changed_meanwhile():
    assert run(STRESS, **MANY) == ("7 7\n", "")


LENT = """
import numpy as np
from tests.kernels.runtime.test_thread_pool import add_ones

out = np.zeros((50, 20_000))
for times in range(1, 21):
    add_ones(out)
    assert (out == times).all()
"""


@pytest.mark.parametrize("prune", [0, 1])
def test_an_array_that_a_kernel_made_is_kept_for_its_tasks(prune):
    """Also if LLVM takes no count away, and counts down as early as it can."""
    run(LENT, NUMBA_LLVM_REFPRUNE_PASS=prune, NUMBA_CACHE_DIR="/proc/none", **MANY)


FEWER = """
import threading
start, started = threading.Thread.start, []
def start_two(thread):
    if len(started) == 2:
        raise RuntimeError("can't start new thread")
    started.append(thread)
    start(thread)
threading.Thread.start = start_two
import numpy as np
from tests.kernels.runtime.test_thread_pool import hit

hits = np.zeros(1000, int)
for _ in range(100):
    hit(hits)
print((hits == 100).all(), len(started))
"""


def test_threads_that_cannot_be_started_are_not_missed():
    assert run(FEWER, **MANY)[0] == "True 2\n"


ENDS = """
import sys, threading, time
import numpy as np
from tests.kernels.runtime.test_thread_pool import hit

hits = np.zeros(1000, int)
def forever():
    while True:
        hit(hits)
if sys.argv[1] == "meanwhile":
    threading.Thread(target=forever, daemon=True).start()
    time.sleep(0.2)
hit(hits)
print("done")
"""


@pytest.mark.parametrize("how", ["alone", "meanwhile"])
def test_python_can_end(how):
    """Also while a thread that it does not wait for computes."""
    begin = time.perf_counter()
    assert run(ENDS, how, **MANY) == ("done\n", "")
    assert time.perf_counter() - begin < 60
