"""Importing the package starts no thread, compiles nothing and leaves Numba as it was."""

import sys

import pytest

from tests.faults.processes import run

IMPORTS = """
import gc, importlib, os, pkgutil
import numpy as np  # whose own library has threads
from numba.core.bytecode import FunctionIdentity
from numba.core.dispatcher import Dispatcher

def threads():
    return len(os.listdir("/proc/self/task"))

before, attributes = threads(), dict(vars(FunctionIdentity))
import minicnn
for module in pkgutil.walk_packages(minicnn.__path__, "minicnn."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
compiled = [d for d in gc.get_objects() if isinstance(d, Dispatcher) and d.signatures]
print(threads() - before, compiled, dict(vars(FunctionIdentity)) == attributes)

from minicnn.kernels.joins import add
from minicnn.kernels.runtime.thread_pool import set_num_threads

x = np.ones((4, 1024), np.float32)
for count in (1, 3, 3):
    set_num_threads(count)
    add(x, x, False, np.empty_like(x))
    print(threads() - before)
print(dict(vars(FunctionIdentity)) == attributes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads in /proc")
def test_the_first_kernel_that_shares_out_work_starts_the_threads_once():
    out, _ = run(IMPORTS, NUMBA_NUM_THREADS=3, OPENBLAS_NUM_THREADS=1)
    assert out == "0 [] True\n0\n2\n2\nTrue\n"
