"""How every kernel is compiled: one decorator, so that the settings stand in one place."""

import numba

from minicnn.kernels.cache import KernelCompiler, cache_of


def kernel(function=None, *, flags=()):
    """Compile `function` with Numba under the project's settings.

    Loops run on one thread; :func:`minicnn.kernels.team.share` spreads tasks over all.

    Parameters
    ----------
    flags : iterable of str
        LLVM floating-point flags that the loop needs, such as ``{"contract"}``;
        never the whole of ``fastmath``, which removes NaN and infinity checks.
    """
    if function is None:
        return lambda f: kernel(f, flags=flags)
    compiled = numba.njit(
        nogil=True, error_model="numpy", fastmath=set(flags), pipeline_class=KernelCompiler
    )(function)
    compiled._cache = cache_of(compiled)
    return compiled
