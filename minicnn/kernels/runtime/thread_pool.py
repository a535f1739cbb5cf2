"""Threads that share the work of a kernel.

A parallel kernel has *tasks*, such as the planes of an image, and a function that does some of
them::

    @kernel
    def double(x):
        parallel_for(_double_rows, len(x), (x,))

    @kernel
    def _double_rows(rows, x):
        for i in rows:
            for j in range(x.shape[1]):
                x[i, j] *= 2

:func:`parallel_for` has all tasks done before it returns. The threads of a pool have numbers, and
each has a share: neighbouring tasks, the same ones in every call, so that a thread finds in its own
cache what it wrote there. The caller is number 0; the others wait in a loop for some hundred
microseconds, as long as it takes to get from one kernel to the next, and then sleep. The first job
that is shared out starts them, in a forked process again.

A share is *claimed* before it is begun, and the caller claims what nobody has when its own is
done. So it waits for those only that are at work: not for a thread that is still asleep, that
the operating system has stopped for another program, or that does not exist in a forked process.
There is one job at a time. Who comes meanwhile, a second thread of Python's or a task that calls a
kernel, does all tasks alone. What is computed does not depend on any of that.

Numba's `prange` would do it, too, but takes six times as long to begin, waits for threads that do
not run, and depends on a threading layer that may not survive a fork or two callers at once.
"""

import atexit
import ctypes
import os
import threading

import numba
import numpy as np
from numba import types
from numba.extending import register_jitable

from minicnn import processors
from minicnn.errors import ArgumentError
from minicnn.kernels.runtime.atomics import (
    LINE,
    call,
    exchange,
    make_words,
    nap,
    new_lock,
    pause,
    peek,
    read,
    replace,
    sleep,
    wake,
    write,
)
from minicnn.kernels.runtime.closures import CAPTURING, keep, note, packed, run_tasks
from minicnn.kernels.runtime.jit import kernel

MOST = max(1, numba.config.NUMBA_NUM_THREADS)
SPIN = 4000  # pauses before a worker sleeps: some hundred microseconds
FAILURE = "a task of a kernel could not get its memory, or raised another error"
PATIENCE = 50 * SPIN  # pauses before the caller takes naps between two looks at the others

# Words of the whole pool. How many workers there are is one, as compiled code is kept for other
# processes. The job is in a line of its own, which workers look at while they wait.
_BUSY, _WORKERS, _THREADS, _NAP, _STARTER = 0, 1, 2, 3, 4
_JOB, _FUNCTION, _PLACE, _COUNT, _SHARES = (LINE + n for n in range(5))
# Words of each worker, in one line: how far its share of the last job is, twice the job's number
# when it is claimed and one more when it is done; whether it sleeps; and on which lock.
_SHARE, _ASLEEP, _LOCK = 0, 1, 2

_words = make_words(2 + MOST)
_worker_threads = []


@register_jitable
def _words_of(worker):
    return (2 + worker) * LINE


@kernel
def _run_share(worker, function, place):
    """The tasks of one worker; none if there are more workers than shares."""
    count, shares = read(_COUNT), read(_SHARES)
    first, last = min(worker, shares) * count // shares, min(worker + 1, shares) * count // shares
    if first < last:
        run_tasks(function, place, first, last)


@kernel
def _hand_out(function, place, count):
    """Have the tasks done by the pool, or alone if it is at work already."""
    shares = read(_THREADS)
    if shares <= 1 or count <= 1 or exchange(_BUSY, 1):
        run_tasks(function, place, 0, count)
        return
    if read(_STARTER):
        call(read(_STARTER))
    job = read(_JOB) + 1
    write(_FUNCTION, function)
    write(_PLACE, place)
    write(_COUNT, count)
    write(_SHARES, shares)
    write(_JOB, job)
    for worker in range(1, shares):
        own = _words_of(worker)
        if read(own + _ASLEEP) and exchange(own + _ASLEEP, 0):
            wake(read(own + _LOCK))
    _run_share(0, function, place)
    claimed, done = 2 * job, 2 * job + 1
    for worker in range(1, read(_WORKERS)):
        own = _words_of(worker)
        if read(own + _SHARE) < claimed and replace(own + _SHARE, claimed - 1, claimed):
            _run_share(worker, function, place)
            write(own + _SHARE, done)
    looks = 0
    for worker in range(1, read(_WORKERS)):
        while read(_words_of(worker) + _SHARE) != done:
            looks += 1
            if looks < PATIENCE:
                pause()
            else:
                nap(read(_NAP))
    write(_BUSY, 0)


@kernel
def hand_out(function, place, words, count):
    """Have ``0 .. count`` tasks done, as they were packed, and write it down if that is wanted."""
    if read(CAPTURING) and note(function, place, words, count):
        thread = exchange(CAPTURING, 0)  # what the tasks hand out themselves comes with them
        _hand_out(function, place, count)
        write(CAPTURING, thread)
    else:
        _hand_out(function, place, count)


@kernel
def _work(worker):
    """What a worker does: its share of every job. Returns after the job with no function."""
    own = _words_of(worker)
    seen = read(own + _SHARE) // 2
    while True:
        looks = 0
        while read(_JOB) == seen and looks < SPIN:
            pause()
            looks += 1
        job = read(_JOB)
        if job == seen:
            exchange(own + _ASLEEP, 1)
            # Who handed out a job just before this may have found nobody to wake. If it is seen
            # only later, its share is done by the caller, who wakes this worker with the next.
            if read(_JOB) == seen or not exchange(own + _ASLEEP, 0):
                sleep(read(own + _LOCK))
            continue
        seen = job
        if replace(own + _SHARE, 2 * job - 1, 2 * job):  # else the caller has claimed it
            function = read(_FUNCTION)
            if function == 0:
                return
            _run_share(worker, function, read(_PLACE))
            write(own + _SHARE, 2 * job + 1)


@numba.njit(nogil=True, error_model="numpy", inline="always")
def parallel_for(work, count, arguments):
    """Have ``work(tasks, *arguments)`` called on all threads, each with a range of the tasks.

    Called in kernels only.

    Parameters
    ----------
    work : kernel
        Does some tasks. They are done in any order and at the same time, so none may write what
        another one reads or writes.
    count : int
        The tasks are 0 to ``count - 1``.
    arguments : tuple

    Raises
    ------
    MemoryError
        If a task failed: kernels raise nothing else.
    """
    function, place, words, failed = packed(work, arguments)
    hand_out(function, place, words, count)
    keep(arguments)
    if peek(failed):
        raise MemoryError(FAILURE)


@kernel
def _dismiss():
    """Have every worker return, and tell whether they do: not if the pool is at work."""
    if exchange(_BUSY, 1):
        return False
    write(_FUNCTION, 0)
    exchange(_JOB, read(_JOB) + 1)
    for worker in range(1, read(_WORKERS)):
        own = _words_of(worker)
        if exchange(own + _ASLEEP, 0):
            wake(read(own + _LOCK))
    return True


@ctypes.CFUNCTYPE(None)
def _start():
    """Start the workers, before the first job."""
    _words[_STARTER] = 0
    try:
        _work.compile((types.int64,))
        _dismiss.compile(())
        _words[_NAP] = new_lock()
        for worker in range(1, MOST):
            _words[_words_of(worker) + _LOCK] = new_lock()
            thread = threading.Thread(target=_work, args=(worker,), name="minicnn", daemon=True)
            thread.start()
            _worker_threads.append(thread)
    except (RuntimeError, MemoryError):
        pass  # there may be no more threads: those that there are do the work


def _end():
    """Let no thread be left when Python takes itself apart."""
    _words[_STARTER] = 0
    if _worker_threads and _dismiss():
        for thread in _worker_threads:
            thread.join(1)


def get_num_threads():
    """How many threads kernels run on.

    Returns
    -------
    int
    """
    return int(_words[_THREADS])


def set_num_threads(count):
    """Have kernels run on so many threads, in the whole process; what they compute stays the same.

    Parameters
    ----------
    count : int
        From 1 to the number of processors, or ``NUMBA_NUM_THREADS`` where that is set.

    Raises
    ------
    ArgumentError
        If there are not so many.
    """
    if not isinstance(count, (int, np.integer)) or not 1 <= count <= MOST:
        raise ArgumentError(
            f"threads must be from 1 to {MOST}, as many as there are processors or as"
            f" NUMBA_NUM_THREADS says, got {count!r}."
        )
    _words[_THREADS] = count


def pool_words():
    """The words that the pool's threads share, ndarray of int64."""
    return _words


def _reset():
    """Begin with no workers, as a forked process does: the first job starts them."""
    _worker_threads.clear()
    for worker in range(1, MOST):
        own = _words_of(worker)
        _words[own + _SHARE], _words[own + _ASLEEP] = 2 * _words[_JOB] + 1, 0
    _words[_BUSY], _words[_STARTER] = 0, ctypes.cast(_start, ctypes.c_void_p).value


_words[_WORKERS], _words[_THREADS] = MOST, processors.default_threads(MOST)
_reset()
atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset)
