"""Processes made by fork: kernels work there, or say that they cannot; none hangs or is killed."""

import os
import sys

import numba
import pytest

from tests.faults.processes import finish, run, start

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# What a process, its child and its grandchild find: a result, or the error's first words.
SCRIPT = """
import os, sys
import numpy as np
from minicnn.errors import ArgumentError
from minicnn.kernels import update

first, generations = sys.argv[1] == "first", int(sys.argv[2])
value = np.zeros(10, np.float32)
def step(who):
    try:
        update.sgd(value, np.ones(10, np.float32), None, -1.0, 0.0, 0.0, False)
        print(who, value.sum(), flush=True)
    except ArgumentError as error:
        print(who, str(error), flush=True)
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
if first:
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
with multiprocessing.get_context("fork").Pool(1) as pool:
    print(pool.map(work, [0]))
"""


def layer_here():
    numba.get_num_threads()
    return numba.threading_layer()


@pytest.mark.parametrize(
    ("layer", "first", "generations"),
    [("omp", "first", 1), ("omp", "first", 2), ("omp", "later", 1), ("workqueue", "first", 1)],
)
def test_a_forked_process_computes_or_says_why_not(layer, first, generations):
    if layer == "omp" and layer_here() != "omp":
        pytest.skip("needs OpenMP")
    settings = {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": 2}
    lines = run(SCRIPT, first, generations, **settings)[0].splitlines()
    child = "child 20.0" if first == "first" else "child 10.0"
    if (layer, first) == ("omp", "first"):
        assert lines[1].startswith("child kernels cannot run here: this process was forked")
        assert "get_context('spawn')" in lines[1]
    else:
        assert child in lines
    if first == "first":
        assert lines[0] == "parent 10.0" and lines[-1] == "parent 20.0"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of GNU's OpenMP")
def test_a_pool_of_forked_processes_passes_the_error_on():
    code, out, err = finish(start(POOL))
    assert code == 1 and out == "(4, 2)\n"
    assert "ArgumentError: kernels cannot run here: this process was forked" in err
