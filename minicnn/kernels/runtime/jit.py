"""How every kernel is compiled: one decorator, so that the settings stand in one place."""

import itertools
import os

import numba
from numba.core.bytecode import FunctionIdentity
from numba.core.compiler import Compiler

from minicnn.kernels.runtime.cache import cache_of


class KernelCompiler(Compiler):
    """Numba's compiler, with numbers of functions that begin anywhere.

    In compiled code Numba names functions by a number that begins at 1 in each process. Two that
    one function has made, in two processes, can then have one name, and a third process that loads
    both from disk runs the first in the place of the second, without a word.
    """

    def compile_extra(self, func):
        """Compile a function. Numba calls this with its compiler lock held."""
        before = FunctionIdentity._unique_ids
        FunctionIdentity._unique_ids = itertools.count(int.from_bytes(os.urandom(6), "big"))
        try:
            return super().compile_extra(func)
        finally:
            FunctionIdentity._unique_ids = before


def kernel(function=None, *, flags=()):
    """Compile `function` with Numba under the project's settings.

    Loops run on one thread; :func:`~minicnn.kernels.runtime.thread_pool.parallel_for` spreads
    tasks over all. `flags` are LLVM's for floating-point numbers that the loop needs, such as
    ``{"contract"}``; never the whole of ``fastmath``, which removes NaN and infinity checks.
    """
    if function is None:
        return lambda f: kernel(f, flags=flags)
    compiled = numba.njit(
        nogil=True, error_model="numpy", fastmath=set(flags), pipeline_class=KernelCompiler
    )(function)
    compiled._cache = cache_of(compiled)
    return compiled
