"""How every kernel is compiled: one decorator, so that the settings stand in one place."""

import numba


def kernel(function=None, *, parallel=False, flags=()):
    """Compile `function` with Numba under the project's settings.

    Parameters
    ----------
    parallel : bool
        Whether ``prange`` loops run on all threads.
    flags : iterable of str
        LLVM floating-point flags that the loop needs, such as ``{"contract"}``;
        never the whole of ``fastmath``, which removes NaN and infinity checks.
    """
    if function is None:
        return lambda f: kernel(f, parallel=parallel, flags=flags)
    return numba.njit(
        cache=True, nogil=True, error_model="numpy", parallel=parallel, fastmath=set(flags)
    )(function)
