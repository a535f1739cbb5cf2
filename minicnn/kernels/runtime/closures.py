"""Calls that any thread can make: a compiled function and its arguments as two addresses."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from minicnn.kernels.runtime.atomics import BYTES
from minicnn.kernels.simd.vector import INT64

TASKS = types.range_state64_type
_RANGE = ir.FunctionType(ir.VoidType(), [BYTES, INT64, INT64])


@intrinsic
def packed(typing, work, arguments):
    """The address of a function that does some tasks, and of what it needs, for :func:`run_tasks`.

    Parameters
    ----------
    work : kernel
        Called as ``work(range(first, last), *arguments)``; returns nothing.
    arguments : tuple
        Copied to the stack of the function that this is called in, so valid until it returns, if
        :func:`keep` is called after the last use.

    Returns
    -------
    tuple of int
        The function's address; the arguments'; how many words of 64 bits they are; and the address
        of the last of these, which is 0 until a task fails.
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


@intrinsic
def run_tasks(_, function, place, first, last):
    """Run the tasks ``first .. last`` of what was packed."""

    def codegen(context, builder, signature, args):
        function, place, first, last = args
        function = builder.inttoptr(function, _RANGE.as_pointer())
        builder.call(function, [builder.inttoptr(place, BYTES), first, last])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


@intrinsic
def keep(_, arguments):
    """Hold on to what was packed until here."""

    def codegen(context, builder, signature, args):
        return context.get_dummy_value()

    return types.void(arguments), codegen
