"""Two Python threads at once: different models, one loss, and every threading layer of Numba."""

import gc
import importlib
import pkgutil
import threading

import numba
import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

from minicnn import kernels, lanes
from minicnn.data import Batches
from minicnn.kernels import launch
from minicnn.losses import SoftmaxCrossEntropy
from tests.faults.processes import run
from tests.training.toys import At, dense_model, toy, trainer

# Two threads in the same parallel kernel, over and over, each with numbers of its own.
SCRIPT = """
import threading
import numba, numpy as np
from minicnn.kernels import update

size, steps = 100_000, 300
one = np.ones(size, np.float32)
values = [np.zeros(size, np.float32) for _ in range(2)]
def work(value):
    for _ in range(steps):
        update.sgd(value, one, None, -1.0, 0.0, 0.0, False)
threads = [threading.Thread(target=work, args=(value,)) for value in values]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert all((value == steps).all() for value in values)
print(numba.threading_layer())
"""


def at_once(*functions):
    """Call each in a thread of its own, all at the same time; what they give, in their order."""
    found, gate = [None] * len(functions), threading.Barrier(len(functions))

    def work(index):
        gate.wait()
        try:
            found[index] = functions[index]()
        except Exception as error:
            found[index] = error

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("layer", ["workqueue", "omp", "default"])
def test_no_threading_layer_ends_the_process(layer):
    settings = {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": 2}
    if layer == "omp" and not launch._can_import("numba.np.ufunc.omppool"):
        pytest.skip("needs OpenMP")
    out, err = run(SCRIPT, **settings)
    assert err == "" and out.strip() in ("workqueue", "omp", "tbb")
    assert layer in ("default", out.strip())


@pytest.mark.parametrize(
    ("layer", "priority", "openmp", "turns"),
    [
        ("default", "tbb omp workqueue", True, False),
        ("default", "tbb omp workqueue", False, True),
        ("default", "workqueue omp tbb", True, True),
        ("default", "tbb workqueue omp", True, True),
        ("omp", "workqueue omp tbb", True, False),
        ("TBB", "workqueue omp tbb", True, False),
        ("threadsafe", "workqueue omp tbb", True, False),
        ("safe", "workqueue omp tbb", True, False),
        ("workqueue", "tbb omp workqueue", True, True),
        ("forksafe", "tbb omp workqueue", True, True),
    ],
)
def test_kernels_take_turns_only_where_they_must(layer, priority, openmp, turns, monkeypatch):
    monkeypatch.setattr(numba.config, "THREADING_LAYER", layer)
    monkeypatch.setattr(numba.config, "THREADING_LAYER_PRIORITY", priority.split())
    monkeypatch.setattr(launch, "_can_import", lambda name: openmp)
    assert launch._threads_must_take_turns() == turns


def test_no_kernel_calls_a_parallel_one():
    """As it would not wait for its turn there."""
    for module in pkgutil.iter_modules(kernels.__path__):
        importlib.import_module(f"minicnn.kernels.{module.name}")
    parallel = {id(compiled) for compiled in launch._parallel}
    calls = [
        d for d in gc.get_objects()
        if isinstance(d, Dispatcher) and any(id(v) in parallel for v in looked_up(d.py_func))
    ]  # fmt: skip
    assert len(parallel) > 20 and not calls


def looked_up(function):
    """The values of a function's globals and closure that it names."""
    names = {*function.__code__.co_names}
    yield from (value for name, value in function.__globals__.items() if name in names)
    yield from (cell.cell_contents for cell in function.__closure__ or ())


def test_two_models_are_trained_at_once_as_each_would_be_alone():
    def train(seed):
        model = dense_model(16, 8, activation="relu", seed=seed)
        trainer(model, train=toy(200, seed=seed), epochs=5, seed=seed).fit()
        return {name: array.tobytes() for name, array in model.state_dict().items()}

    alone = [train(0), train(1)]
    assert alone[0] != alone[1]
    assert at_once(lambda: train(0), lambda: train(1)) == alone


def test_a_second_thread_cannot_train_a_model_and_the_first_does_not_notice():
    def train(disturbed):
        model = dense_model(8)
        second = trainer(model, seed=1)
        found = []
        meddle = At("on_loss", lambda t: t.step == 2, lambda t: found.extend(at_once(second.fit)))
        trainer(model, callbacks=[meddle] if disturbed else []).fit()
        assert second.step == 0 and len(found) == disturbed
        assert not disturbed or "cannot use this model" in str(found[0])
        return {name: array.tobytes() for name, array in model.state_dict().items()}

    assert train(True) == train(False)


def test_one_loss_for_two_threads():
    """Each finds its own gradient, though both arrays are kept for the next call."""
    loss, rng = SoftmaxCrossEntropy(), np.random.default_rng(0)
    scores = [lanes.pack(rng.standard_normal((16, 5)).astype(np.float32)) for _ in range(2)]
    labels = np.arange(16) % 5
    expected = [SoftmaxCrossEntropy()(s, labels)[1].copy() for s in scores]
    gate = threading.Barrier(2)

    def gradient(index):
        found = loss(scores[index], labels)[1]
        gate.wait()
        return found

    found = at_once(lambda: gradient(0), lambda: gradient(1))
    np.testing.assert_array_equal(found, expected)


def test_one_data_set_in_batches_for_two_threads():
    data = toy(100)
    whole = [batch.x.copy() for batch in Batches(data, 32)]

    def batches():
        return [batch.x.copy() for batch in Batches(data, 32, prefetch=True)]

    for found in at_once(batches, batches):
        assert all(np.array_equal(a, b) for a, b in zip(found, whole, strict=True))
