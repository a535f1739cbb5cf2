"""How every kernel is compiled: one decorator, so that the settings stand in one place.

Threads that wait for each other do so in a loop before they go to sleep. GNU's OpenMP loops
for milliseconds, and where another program wants one of the processors, each of a kernel's
few microseconds then costs one of those. A short loop is as fast on an idle machine, and
many times faster on a busy one.

Two ways of starting a parallel kernel end the whole process, with no error that Python could
see: from two threads at once in the `workqueue` threading layer of Numba, and in a process
that was forked after GNU's OpenMP had started its threads. In the first, kernels take turns;
in the second, they raise an error. Neither costs anything in layers that do not need it.
"""

import functools
import importlib
import os
import sys
import threading

import numba

from minicnn.errors import ArgumentError
from minicnn.kernels.cache import cache_of

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # some ten microseconds; read by OpenMP once

FORKED = (
    "kernels cannot run here: this process was forked from one in which kernels had run, and"
    " GNU's OpenMP does not survive that. Start processes by"
    " multiprocessing.get_context('spawn') or 'forkserver', or fork before the first kernel, or"
    " set NUMBA_THREADING_LAYER=workqueue."
)


def kernel(function=None, *, parallel=False, flags=()):
    """Compile `function` with Numba under the project's settings.

    Parameters
    ----------
    parallel : bool
        Whether ``prange`` loops run on all threads. Such a kernel is called from Python, not
        from another kernel.
    flags : iterable of str
        LLVM floating-point flags that the loop needs, such as ``{"contract"}``;
        never the whole of ``fastmath``, which removes NaN and infinity checks.
    """
    if function is None:
        return lambda f: kernel(f, parallel=parallel, flags=flags)
    compiled = numba.njit(nogil=True, error_model="numpy", parallel=parallel, fastmath=set(flags))(
        function
    )
    compiled._cache = cache_of(function)
    if not parallel:
        return compiled
    _parallel.append(compiled)
    return _in_turn(compiled) if TAKE_TURNS else compiled


def _threads_must_take_turns():
    """Whether Numba may choose its `workqueue` layer, as it does where it finds no other.

    Not asked of Numba itself, which would start its threads to answer.
    """
    layer = numba.config.THREADING_LAYER.lower()
    if layer != "default":
        return layer in ("workqueue", "forksafe")
    order = list(numba.config.THREADING_LAYER_PRIORITY)
    before = order[: order.index("workqueue")] if "workqueue" in order else order
    return "omp" not in before or not _can_import("numba.np.ufunc.omppool")


def _can_import(name):
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


TAKE_TURNS = _threads_must_take_turns()
_turn = threading.Lock()
_parallel = []


def _in_turn(compiled):
    @functools.wraps(compiled.py_func)
    def launch(*arguments):
        with _turn:
            return compiled(*arguments)

    return launch


def _after_fork():
    """In the new process: a lock that nobody holds, and no more kernels where they would end it."""
    global _turn
    _turn = threading.Lock()
    try:
        layer = numba.threading_layer()
    except ValueError:  # no thread has been started
        return
    if layer == "omp" and sys.platform.startswith("linux"):
        for compiled in _parallel:
            compiled._clear()  # of what was compiled, so that a call comes to the next line
            compiled._compile_for_args = _refuse


def _refuse(*arguments):
    raise ArgumentError(FORKED)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
