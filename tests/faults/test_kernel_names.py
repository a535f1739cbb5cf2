"""Kernels that only what they were made with tells apart: none is taken for another."""

import json

from tests.faults.processes import CLONE, finish, run, start

LOOPS = """
import json, sys
import numpy as np
from minicnn.kernels.activation import LOOPS

z, found = np.array([[[0.5] * 16]], np.float32), {}
for name in sys.argv[1:]:
    (forward, backward), alpha = LOOPS[name], np.array([0.1], np.float32)
    a, dx = np.zeros_like(z), np.zeros_like(z)
    forward(z, a, alpha)
    backward(z, a, np.ones_like(z), dx, alpha)
    hits = [sum(loop.stats.cache_hits.values()) for loop in (forward, backward)]
    found[name] = [float(a[0, 0, 0]), float(dx[0, 0, 0])], hits
print(json.dumps(found))
"""


def test_loops_of_two_activations_that_two_processes_compiled(tmp_path):
    """Numba numbers functions from 1 in each process, and the first of a name wins in a third."""
    names = ("tanh", "sigmoid", "softsign")
    apart = {}
    for name in names:
        apart |= json.loads(run(LOOPS, name, NUMBA_CACHE_DIR=tmp_path)[0])
    assert all(len(set(values)) == 3 for values in zip(*(value for value, _ in apart.values())))
    together = json.loads(run(LOOPS, *names, NUMBA_CACHE_DIR=tmp_path)[0])
    assert together == {name: [value, [1, 1]] for name, (value, _) in apart.items()}


BITS = """
import hashlib
import numpy as np
from minicnn import Sequential, lanes
from minicnn.layers import Conv2d
from minicnn.optimizers import create

model = Sequential(Conv2d(12, 3, padding=1, algorithm="winograd"))
model.initialize((20, 9, 10), seed=0, input_gradient=True)
rng = np.random.default_rng(0)
x = lanes.pack(rng.standard_normal((40, 20, 9, 10)).astype(np.float32))
delta = lanes.pack(rng.standard_normal((40, *model.output_shape)).astype(np.float32))
found = hashlib.sha256()
for rule in ("sgd", "adam", "rmsprop"):
    found.update(model.forward(x, True).tobytes() + model.backward(delta).tobytes())
    create(rule, model.parameters(), lr=0.01).step()
for array in model.state_dict().values():
    found.update(array.tobytes())
print(found.hexdigest())
"""


def test_compiled_anew_the_bits_are_the_same(tmp_path):
    """Functions have other names then, and LLVM meets them in another order."""
    both = [start(BITS, NUMBA_CACHE_DIR=tmp_path / name) for name in ("one", "other")]
    (code, one, _), (_, other, _) = (finish(process) for process in both)
    assert code == 0 and one == other


MODULE = """
import ctypes
from minicnn.kernels.runtime.jit import kernel
from helper import scaled

def apply(f):
    f = kernel(f)

    @kernel
    def call(x):
        return f(x)

    return call

def with_default(k):
    @kernel
    def inner(x, n=k):
        return n * x

    @kernel
    def call(x):
        return inner(x)

    return call

def with_flags(flags):
    @kernel(flags=flags)
    def inner(x):
        return (x + 1e20) - 1e20

    @kernel
    def call(x):
        return inner(x)

    return call

def countdown():
    @kernel
    def call(x):
        return x if x < 1 else call(x - 1.0) + 1.0

    return call

def by_pointer():
    function = ctypes.pythonapi.Py_IsInitialized
    function.restype, function.argtypes = ctypes.c_int, []

    @kernel
    def call(x):
        return x + function()

    return call

@kernel
def call_helper(x):
    return scaled(x)

KERNELS = {
    "two": apply(lambda x: 2 * x), "three": apply(lambda x: 3 * x),
    "default 2": with_default(2), "default 3": with_default(3),
    "plain": with_flags(()), "reassociated": with_flags({"reassoc", "nsz"}),
    "itself": countdown(), "pointer": by_pointer(), "helper": call_helper,
}
"""
HELPER = """
from numba.extending import register_jitable

@register_jitable
def scaled(x):
    return FACTOR * x
"""
CALL = """
import json, sys
from module import KERNELS

found = {}
for name, call in KERNELS.items():
    found[name] = call(1.0), sum(call.stats.cache_hits.values())
print(json.dumps(found))
"""


def test_kernels_of_other_packages(tmp_path):
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "helper.py").write_text(HELPER.replace("FACTOR", "2"))

    def call():
        settings = {"NUMBA_CACHE_DIR": tmp_path / "kernels", "folder": tmp_path}
        return json.loads(
            run(f"import sys; sys.path.insert(1, {str(CLONE)!r})\n{CALL}", **settings)[0]
        )

    expected = {
        "two": 2, "three": 3, "default 2": 2, "default 3": 3, "plain": 0, "reassociated": 1,
        "itself": 1, "pointer": 2, "helper": 2,
    }  # fmt: skip
    assert call() == {name: [value, 0] for name, value in expected.items()}
    # What only an address tells from others is compiled anew.
    kept = {name: [value, int(name != "pointer")] for name, value in expected.items()}
    assert call() == kept
    (tmp_path / "helper.py").write_text(HELPER.replace("FACTOR", "5"))
    assert call()["helper"] == [5, 0]
