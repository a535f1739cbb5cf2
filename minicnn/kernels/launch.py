"""How every kernel is compiled: one decorator, so that the settings stand in one place.

Numba keeps compiled kernels on disk and looks at the date of a kernel's own file only: an
edit in a module that the kernel builds on would go unnoticed, and old code would run. So
every kernel here is kept under a fingerprint of the sources of all of them.

Threads that wait for each other do so in a loop before they go to sleep. GNU's OpenMP loops
for milliseconds, and where another program wants one of the processors, each of a kernel's
few microseconds then costs one of those. A short loop is as fast on an idle machine, and
many times faster on a busy one.
"""

import hashlib
import os
from pathlib import Path

import numba

from minicnn import lanes

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # some ten microseconds; read by OpenMP once


def _fingerprint():
    digest = hashlib.sha256()
    for source in (*sorted(Path(__file__).parent.glob("*.py")), Path(lanes.__file__)):
        digest.update(source.read_bytes())
    return digest.hexdigest()


FINGERPRINT = _fingerprint()


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
    compiled = numba.njit(
        cache=True, nogil=True, error_model="numpy", parallel=parallel, fastmath=set(flags)
    )(function)
    index = compiled._cache._cache_file
    index._source_stamp = (index._source_stamp, FINGERPRINT)
    return compiled
