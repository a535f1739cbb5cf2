"""Short forms of the long tests, and that those notice what they are there for."""

import gzip

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.layers import Conv2d, Dense
from tests import long
from tests.data.idx_files import idx_bytes
from tests.long import __main__ as command
from tests.long import calls, hostile, nets, soak
from tests.long.calls import callables, mutations
from tests.long.corpus import broken, idx
from tests.long.figures import Figures


def test_every_long_test_has_what_the_command_needs():
    for name in long.MODULES:
        module = long.load(name)
        assert module.TITLE and "\n" not in module.TITLE
        assert module.COUNT >= 1 and callable(module.run)
    with pytest.raises(ArgumentError, match="unknown long test 'net'. Did you mean 'nets'"):
        long.load("net")


def test_command_prints_a_table_and_fails_with_what_failed(monkeypatch, capsys):
    calls = []

    def run(count, seed):
        calls.append((count, seed))
        return Figures(["one", "two"] if seed else [], {"figure": "7 of 7"})

    monkeypatch.setattr(nets, "run", run)
    assert command.main(["nets", "--count", "7"]) == 0
    assert "| figure | 7 of 7 |" in capsys.readouterr().out
    assert command.main(["nets", "--seed", "3"]) == 1
    assert "FAILED one\nFAILED two" in capsys.readouterr().out
    assert calls == [(7, 0), (nets.COUNT, 3)]
    for wrong in (["nest"], ["nets", "--count", "0"]):
        with pytest.raises(SystemExit) as end:
            command.main(wrong)
        assert end.value.code == 2


def test_hostile_files():
    found = hostile.run(110)
    assert found.passed, found.failures[:10]
    assert found.figures["crashes"] == "0"


def test_an_attack_notices_every_fault():
    """The process that one of them ends is followed by another for the rest."""
    results = hostile.attacked("broken", 0, -1)
    good, *bad = results
    assert not good["faults"] and good["outcome"] == "accepted"
    for result, (name, (_, expected)) in zip(bad, broken.FAULTS.items(), strict=True):
        assert expected in "; ".join(result["faults"]), (name, result)
    figures = hostile.figures(results)
    assert len(figures.failures) == len(broken.FAULTS)
    assert figures.figures["crashes"] == "2"
    assert figures.figures["files changed, lost or written"] not in ("0", "")


def test_what_a_gzip_file_holds_is_counted_apart_from_its_reader():
    array = np.zeros((3, 50), np.uint8)
    packed = gzip.compress(idx_bytes(array))
    assert idx.held(packed) == 12 + 150
    assert idx.held(idx_bytes(array)) == 12 + 150
    bomb = gzip.compress(idx_bytes(array) + bytes(10_000))
    assert idx.held(bomb) == 12 + 150
    assert idx.held(packed[:-20]) < 12 + 150


def test_calls():
    """Of some callables the valid call, and wrong ones: none fails, hangs or cannot be made."""
    found = calls.run(400)
    assert found.passed, (found.failures[:5], found.figures)


def test_what_is_public_is_found_by_itself():
    names = callables.targets()
    for name in (
        "minicnn.set_num_threads", "minicnn.metrics.accuracy", "minicnn.losses.base.Loss.__call__",
        "minicnn.layers.activations.Tanh.build", "minicnn.layers.pool.MaxPool2d",
        "minicnn.optimizers.rules.SGD.lr=", "minicnn.parameter.Parameter.grad=",
        "minicnn.lab.ablation.grid.Grid.from_strings", "minicnn.data.dataset.Dataset.shape",
    ):  # fmt: skip
        assert name in names, name
    assert not any("._" in name.replace(".__", ".") for name in names)
    assert not any(name.startswith("minicnn.kernels.") for name in names)


@pytest.mark.parametrize(
    "fault, outcome",
    {
        "import ctypes; ctypes.string_at(0)": "died",
        "import os; os.abort()": "died",
        "array = guarded(np.ones(1024)); ctypes.string_at(array.ctypes.data, 8193)": "died",
        "canary.model.parameters()[0].value[...] = 0": "corrupt",
        "{}['key']": "raw",
        "raise MinicnnError('')": "raw",
        "raise MinicnnError('what to do')": "refused",
        "import warnings; warnings.warn('odd', RuntimeWarning)": "raw",
        "return 3": "returned",
    }.items(),
)
def test_a_call_that_goes_wrong_is_noticed(fault, outcome, monkeypatch, tmp_path):
    """In a process in which a public function does just that."""
    code = f"""
import ctypes, sys
import numpy as np
from minicnn import metrics
from minicnn.errors import MinicnnError
from tests.long.calls import caller
from tests.long.calls.mutations import guarded

def accuracy(predicted, labels):
    canary = caller.canary
    {fault}

accuracy.__module__ = "minicnn.metrics"
metrics.accuracy = accuracy
caller.PACKAGE = "<string>" if {"key" in fault} else caller.PACKAGE
caller.main()
"""
    monkeypatch.setattr(calls, "COMMAND", ["-c", code])
    (result,) = calls.made(["minicnn.metrics.accuracy#0"], 0)
    assert result["outcome"] == outcome, result


def test_arrays_before_memory_that_may_not_be_read_are_the_same_arrays():
    array = np.arange(12.0).reshape(3, 4)
    made = mutations.guarded(array)
    assert np.array_equal(made, array) and made.flags.c_contiguous and made.flags.writeable


def test_random_networks():
    found = nets.run(16)
    assert found.passed, found.failures


@pytest.mark.parametrize("layer", [Dense, Conv2d])
def test_a_gradient_that_is_off_by_1e_11_of_itself_is_noticed(monkeypatch, layer):
    cases = (nets.Case(np.random.default_rng([0, number])) for number in range(100))
    # The fewest layers, which pass the least rounding on.
    case = min(
        (
            case
            for case in cases
            if case.kind == "normal" and type(case.model().all_layers()[0]) is layer
        ),
        key=lambda case: len(case.model().all_layers()),
    )
    assert max(case.compare(np.float64).values()) < nets.ROOM
    right = layer.backward

    def backward(self, *arrays):
        right(self, *arrays)
        self.weight.grad[...] *= 1 + 1e-11

    monkeypatch.setattr(layer, "backward", backward)
    assert max(case.compare(np.float64).values()) > nets.ROOM


def test_soak():
    found = soak.run(6, models=1)
    assert found.passed, found.failures
    assert found.figures["trainings"] == "6"


def test_soak_notices_growth():
    flat = [{"memory": 100e6, "files": 4, "threads": 2}] * 20
    assert soak.figures(flat, 20).passed
    leak = [{**entry, "memory": 100e6 + 0.3e6 * n} for n, entry in enumerate(flat)]
    assert "memory grew by 5.4" in soak.figures(leak, 20).failures[0]
    for what in ("files", "threads"):
        more = [*flat[:19], {**flat[0], what: 9}]
        assert soak.figures(more, 20).failures[0].startswith(f"{what}: ")
    now = soak.measure()
    assert now["memory"] > 1e7 and now["files"] > 2 and now["threads"] >= 1
