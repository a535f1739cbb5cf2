"""Words of memory that threads share, and ways to wait: what a pool of threads is made of.

A *word* is an integer of 64 bits with a number. It is read and written whole, and who reads one
sees all that its writer had written before, to other words or elsewhere. Of `exchange` and
`replace` all threads see one order, and no later `read` is done before them.

The words have a name that every compiled kernel knows, and that stands for their address in the
process at hand. Locks are those that Python itself is built on, which need no Python around them.
"""

import ctypes

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from minicnn.kernels.simd.vector import INT64, emits

LINE = 16  # words of a pair of cache lines, which processors fetch together
NAP = 50  # microseconds; where the system counts in milliseconds, one of those
INT32, BYTES = ir.IntType(32), ir.IntType(8).as_pointer()
_NAME = "minicnn_words"


def make_words(lines):
    """The words, as an array of int64; made once in a process, and never let go of."""
    memory = (ctypes.c_int64 * ((lines + 1) * LINE))()
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(memory))  # threads may outlive Python
    words = np.frombuffer(memory, np.int64)
    start = -words.ctypes.data % (8 * LINE) // 8
    words = words[start : start + lines * LINE]
    llvm.add_symbol(_NAME, words.ctypes.data)
    return words


def _python(name, result, *arguments):
    """A function of Python's C interface that needs no lock of the interpreter."""
    function = getattr(ctypes.pythonapi, name)
    llvm.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
    kind = ir.FunctionType(result, arguments)
    return lambda builder: cgutils.get_or_insert_function(builder.module, kind, name)


_acquire = _python("PyThread_acquire_lock", INT32, BYTES, INT32)
_acquire_timed = _python("PyThread_acquire_lock_timed", INT32, BYTES, INT64, INT32)
_release = _python("PyThread_release_lock", ir.VoidType(), BYTES)
_ident = _python("PyThread_get_thread_ident", INT64)


def new_lock():
    """The address of a lock that is held, so that whoever acquires it sleeps."""
    ctypes.pythonapi.PyThread_allocate_lock.restype = ctypes.c_void_p
    lock = ctypes.pythonapi.PyThread_allocate_lock()
    if not lock:
        raise MemoryError("no memory left for a lock")
    ctypes.pythonapi.PyThread_acquire_lock(ctypes.c_void_p(lock), 1)
    return lock


def _word(builder, number):
    try:
        first = builder.module.get_global(_NAME)
    except KeyError:
        first = ir.GlobalVariable(builder.module, INT64, _NAME)
        first.linkage = "external"
    return builder.gep(first, [number])


@emits(types.int64(types.int64))
def read(builder, number):
    """The word of that number."""
    return builder.load_atomic(_word(builder, number), "seq_cst", 8)


@emits(types.void(types.int64, types.int64))
def write(builder, number, value):
    """Set a word."""
    builder.store_atomic(value, _word(builder, number), "release", 8)


@emits(types.int64(types.int64, types.int64))
def exchange(builder, number, value):
    """Set a word, and return what it was."""
    return builder.atomic_rmw("xchg", _word(builder, number), value, "seq_cst")


@emits(types.boolean(types.int64, types.int64, types.int64))
def replace(builder, number, old, new):
    """Set a word that is `old` to `new`, and tell whether it was."""
    pair = builder.cmpxchg(_word(builder, number), old, new, "seq_cst", "seq_cst")
    return builder.extract_value(pair, 1)


@emits(types.void())
def pause(builder):
    """Do nothing for a moment, as a loop that waits should."""
    machine = llvm.get_process_triple().partition("-")[0]
    if machine in ("x86_64", "i686"):
        name, hint = "llvm.x86.sse2.pause", []
    elif machine in ("aarch64", "arm64"):
        name, hint = "llvm.aarch64.hint", [INT32(1)]
    else:
        return
    kind = ir.FunctionType(ir.VoidType(), [INT32] * len(hint))
    builder.call(cgutils.get_or_insert_function(builder.module, kind, name), hint)


@emits(types.void(types.int64))
def sleep(builder, lock):
    """Sleep until somebody wakes whoever sleeps on this lock; not at all if that was before."""
    builder.call(_acquire(builder), [builder.inttoptr(lock, BYTES), INT32(1)])


@emits(types.void(types.int64))
def nap(builder, lock):
    """Sleep for NAP microseconds on a lock that nobody wakes."""
    lock = builder.inttoptr(lock, BYTES)
    builder.call(_acquire_timed(builder), [lock, INT64(NAP), INT32(0)])


@emits(types.void(types.int64))
def wake(builder, lock):
    """Wake whoever sleeps on this lock, or is going to."""
    builder.call(_release(builder), [builder.inttoptr(lock, BYTES)])


@emits(types.int64())
def thread_ident(builder):
    """The number of the thread that asks, as :func:`threading.get_ident` has it."""
    return builder.call(_ident(builder), [])


@emits(types.void(types.int64))
def call(builder, address):
    """Call the function at an address, which takes and returns nothing."""
    kind = ir.FunctionType(ir.VoidType(), [])
    builder.call(builder.inttoptr(address, kind.as_pointer()), [])


@emits(types.int64(types.int64))
def peek(builder, address):
    """The integer of 64 bits at an address."""
    return builder.load(builder.inttoptr(address, INT64.as_pointer()))


@emits(types.void(types.int64, types.int64))
def poke(builder, address, value):
    """Set the integer of 64 bits at an address."""
    builder.store(value, builder.inttoptr(address, INT64.as_pointer()))
