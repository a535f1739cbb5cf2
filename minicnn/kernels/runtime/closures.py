"""Calls that any thread can make: a compiled function and its arguments as two addresses.

While a thread *captures*, every call of :func:`minicnn.kernels.runtime.thread_pool.parallel_for`
that it makes is written to a list, to be replayed: see :mod:`minicnn.kernels.runtime.replay`.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from minicnn.kernels.runtime.atomics import BYTES, peek, poke, read, thread_ident, write
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.simd.vector import INT64, emits

# Words of the pool's first line: the thread that captures, or 0; the address of the list; how many
# words it has room for; and how many are written, or -1 if they were too many.
CAPTURING, LIST, ROOM, WRITTEN = 8, 9, 10, 11
HEAD = 3  # words of a call before its arguments: its function, how many words they are, its tasks

TASKS = types.range_state64_type
_RANGE = ir.FunctionType(ir.VoidType(), [BYTES, INT64, INT64])


@intrinsic
def packed(typing, work, arguments):
    """The address of a function that does some tasks, and of what it needs, for :func:`run_tasks`.

    The kernel `work` is called as ``work(range(first, last), *arguments)`` and returns nothing. The
    arguments are copied to the stack of the function that this is called in, so they are valid
    until it returns, if :func:`keep` is called after the last use. Returned are the function's
    address; the arguments'; how many words of 64 bits they are; and the address of the last of
    these, which is 0 until a task fails.
    """
    for kind in arguments.types:
        if isinstance(kind, types.BaseTuple) and any(isinstance(k, types.Array) for k in kind):
            raise TypingError("tasks are lent arrays one by one, and not in a tuple")
    call = work.get_call_type(typing, (TASKS, *arguments.types), {})
    if call.return_type != types.none:
        raise TypingError(f"{work.dispatcher.py_func.__qualname__} does tasks: it returns nothing")

    def codegen(context, builder, signature, args):
        compiled = work.dispatcher.overloads[call.args]
        context.active_code_library.add_linking_library(compiled.library)
        kind = ir.LiteralStructType([args[1].type, INT64])
        place = cgutils.alloca_once(builder, kind)
        builder.store(args[1], cgutils.gep_inbounds(builder, place, 0, 0))
        failed = cgutils.gep_inbounds(builder, place, 0, 1)
        builder.store(INT64(0), failed)
        name = builder.module.get_unique_name("tasks")
        function = ir.Function(builder.module, _RANGE, name)
        function.linkage = "internal"
        _fill(function, kind, context, compiled.fndesc, call)
        words = INT64(context.get_abi_sizeof(kind) // 8)
        values = [builder.ptrtoint(p, INT64) for p in (function, place, failed)]
        values.insert(2, words)
        return context.make_tuple(builder, signature.return_type, values)

    return types.UniTuple(types.int64, 4)(work, arguments), codegen


def _fill(function, kind, context, work, call):
    """The body: call `work` on a range of tasks with what stands at the first argument."""
    b = ir.IRBuilder(function.append_basic_block())
    place, first, last = function.args
    place = b.bitcast(place, kind.as_pointer())
    arguments = b.load(cgutils.gep_inbounds(b, place, 0, 0))
    arguments = [
        _borrowed(context, b, kind, b.extract_value(arguments, n))
        for n, kind in enumerate(call.args[1:])
    ]
    tasks = cgutils.create_struct_proxy(TASKS)(context, b)
    tasks.start, tasks.stop, tasks.step = first, last, INT64(1)
    arguments = [tasks._getvalue(), *arguments]
    status, _ = context.call_internal_no_propagate(b, work, call, arguments)
    with cgutils.if_unlikely(b, status.is_error):
        b.store(INT64(1), cgutils.gep_inbounds(b, place, 0, 1))
    b.ret_void()


def _borrowed(context, b, kind, value):
    """An array that does not count who uses it: threads that do would all write to one place."""
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, b, value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        array.parent = cgutils.get_null_value(array.parent.type)
        return array._getvalue()
    return value


@emits(types.void(*[types.int64] * 4))
def run_tasks(builder, function, place, first, last):
    """Run the tasks ``first .. last`` of what was packed."""
    function = builder.inttoptr(function, _RANGE.as_pointer())
    builder.call(function, [builder.inttoptr(place, BYTES), first, last])


@emits(types.void)
def keep(builder, arguments):
    """Hold on to what was packed until here."""


@kernel
def note(function, place, words, count):
    """Write a call to the list, if this thread captures, and tell whether it does."""
    if read(CAPTURING) != thread_ident():
        return False
    written = read(WRITTEN)
    if written < 0 or written + HEAD + words > read(ROOM):
        write(WRITTEN, -1)
        return True
    at = read(LIST) + 8 * written
    poke(at, function)
    poke(at + 8, words)
    poke(at + 16, count)
    for word in range(words):
        poke(at + 8 * (HEAD + word), peek(place + 8 * word))
    write(WRITTEN, written + HEAD + words)
    return True
