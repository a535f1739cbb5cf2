"""Processes made by fork, which have none of the threads of the first: kernels work there."""

import os

import pytest

from tests.faults.processes import run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# What a process, its child and its grandchild find, on how many threads.
SCRIPT = """
import os, sys
import numpy as np
from minicnn.kernels import update
from tests.kernels.runtime.test_thread_pool import signatures

first, generations = sys.argv[1] == "first", int(sys.argv[2])
value = np.zeros(100_000, np.float32)
def step(who):
    for _ in range(100):
        update.sgd(value, np.ones(100_000, np.float32), None, np.array([-1.0, 0.0, 0.0, 0.0]))
    print(who, value.min(), value.max(), signatures(3), flush=True)
if first:
    step("parent")
for generation in range(generations):
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        break
else:
    step("child")
    os._exit(0)
if generation:
    os._exit(0)
step("parent")
"""
POOL = """
import multiprocessing
import numpy as np
from minicnn import Sequential
from minicnn.layers import Dense

model = Sequential(Dense(2))
model.initialize((3,))
images = np.ones((4, 3), np.float32)
print(model.predict(images).shape)
def work(_):
    return model.predict(images).shape
with multiprocessing.get_context("fork").Pool(3) as pool:
    print(set(pool.map(work, range(30))))
"""
BUSY = """
import os, sys, threading, time

alone = sys.argv[1] == "alone"
def refuse(thread):
    raise RuntimeError("can't start new thread")
if alone:  # what is registered first is called first
    os.register_at_fork(after_in_child=lambda: setattr(threading.Thread, "start", refuse))

import numpy as np
from minicnn.kernels import update
from minicnn.kernels.runtime.thread_pool import MOST
from tests.kernels.runtime.test_thread_pool import signatures

def step(value):
    update.sgd(value, np.ones(100_000, np.float32), None, np.array([-1.0, 0.0, 0.0, 0.0]))
def forever(value=np.zeros(100_000, np.float32)):
    while True:
        step(value)
signatures(MOST)
threading.Thread(target=forever, daemon=True).start()
time.sleep(0.2)
for _ in range(20):
    child = os.fork()
    if not child:
        value = np.zeros(100_000, np.float32)
        step(value)
        os._exit(int(value.min() != 1 or signatures(1 if alone else MOST) < 1 + 6 * (not alone)))
    assert os.waitpid(child, 0)[1] == 0
print("done", flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(("first", "generations"), [("first", 1), ("first", 2), ("later", 1)])
def test_a_forked_process_computes_on_as_many_threads(first, generations):
    lines = run(SCRIPT, first, generations, NUMBA_NUM_THREADS=3)[0].splitlines()
    before = 100 * (first == "first")
    expected = [f"child {before + 100}.0 {before + 100}.0 3"]
    expected += [f"parent {before + 100}.0 {before + 100}.0 3"]
    assert lines == (["parent 100.0 100.0 3"] if before else []) + expected


def test_a_pool_of_forked_processes():
    assert run(POOL, NUMBA_NUM_THREADS=3)[0] == "(4, 2)\n{(4, 2)}\n"


@pytest.mark.parametrize("how", ["together", "alone"])
def test_a_process_that_was_forked_while_another_thread_computed(how):
    """With all its threads, and with none, as they cannot be started."""
    assert run(BUSY, how, NUMBA_NUM_THREADS=7)[0] == "done\n"
