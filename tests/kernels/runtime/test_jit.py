"""How kernels are compiled and kept: what is kept is found again, an edit anywhere is noticed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minicnn import kernels

PACKAGE = Path(kernels.__file__).parents[1]

# Runs one kernel; prints its result, whether it was compiled or loaded, and for every kernel
# of the package what it is kept by, a digest of its code and its closure, its flags, and whether it
# shares work out.
SCRIPT = """
import gc, importlib, json, pkgutil
import numpy as np
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher
from minicnn import kernels
from minicnn.kernels import pool

x = np.arange(32, dtype=np.float32).reshape(1, 1, 1, 2, 16)
y = np.zeros((1, 1, 1, 1, 16), np.float32)
pool.max_pool(x, y, (1, 2), (1, 2), (0, 0), False)
stats = pool.max_pool.stats
hits, misses = (sum(c.values()) for c in (stats.cache_hits, stats.cache_misses))

for module in pkgutil.walk_packages(kernels.__path__, "minicnn.kernels."):
    importlib.import_module(module.name)
found = []
for d in gc.get_objects():
    if isinstance(d, Dispatcher) and isinstance(d._cache, FunctionCache):
        name = f"{d.py_func.__module__}.{d.py_func.__qualname__}"
        key = d._cache._index_key((), d.targetctx.codegen())[-1]
        flags = d.targetoptions.get("fastmath") or ()
        flags = sorted(flags) if flags is not True else ["fast"]
        found.append([name, key, flags, "parallel_for" in d.py_func.__code__.co_names])
print(json.dumps({"max": [float(y[0, 0, 0, 0, 0]), hits, misses], "kernels": sorted(found)}))
"""


def run(folder):
    """What the script prints with the package in `folder`, and a cache there."""
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(folder),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The first run; the second; and a third after `larger` was made to mean smaller."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, folder / "minicnn", ignore=shutil.ignore_patterns("__pycache__"))
    first, second = run(folder), run(folder)
    arithmetic = folder / "minicnn" / "kernels" / "simd" / "arithmetic.py"
    source = arithmetic.read_text()
    assert source.count('b.fcmp_ordered(">", y, x)') == 1, "`larger` is written differently now"
    arithmetic.write_text(source.replace('b.fcmp_ordered(">", y, x)', 'b.fcmp_ordered("<", y, x)'))
    return first, second, run(folder)


def test_a_kernel_is_compiled_once_and_anew_after_an_edit_of_what_it_imports(runs):
    """The maximum of 0 and 16, then the minimum; with the numbers of loads and compilations."""
    assert [r["max"] for r in runs] == [[16, 0, 1], [16, 1, 0], [0, 0, 1]]


def test_every_kernel_is_found_again_by_the_next_process(runs):
    """The keys of closures must not hold what differs from run to run, such as other kernels."""
    first, second, _ = ({(name, key) for name, key, _, _ in r["kernels"]} for r in runs)
    assert len(first) > 50
    assert {name for name, _ in first ^ second} == set()


def test_what_is_done_on_all_threads(runs):
    shared = {name for name, _, _, shares in runs[0]["kernels"] if shares}
    assert len(shared) > 20


def test_no_kernel_may_assume_that_there_are_no_nans(runs):
    flags = {name: set(flags) for name, _, flags, _ in runs[0]["kernels"]}
    assert len(flags) > 30
    assert not {name for name in flags if not flags[name] <= {"contract", "reassoc"}}
