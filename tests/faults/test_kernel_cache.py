"""The cache of compiled kernels: nothing stale, nothing mixed up, and nothing that ends a run."""

import pytest

from tests.faults import processes
from tests.faults.copies import Copy


@pytest.fixture
def copy(tmp_path):
    return Copy(tmp_path)


def test_an_edit_of_anything_that_a_kernel_imports_shows_at_once(copy):
    def seen():
        found = copy.run()
        return found["values"]["float32"], found["hits"], found["misses"]

    assert seen() == (2 * 3 + 16, 0, 1)
    assert seen() == (2 * 3 + 16, 1, 0)
    copy.edit("kernels/probe_part.py", "2 * x", "5 * x")
    assert seen() == (5 * 3 + 16, 0, 1)
    copy.edit("kernels/__init__.py", "LANES = 16", "LANES = 32")
    assert seen() == (5 * 3 + 32, 0, 1)


def test_several_processes_fill_an_empty_cache_at_once(copy, tmp_path):
    """Of several types, which must not end up under each other's name."""
    gate = tmp_path / "go"
    types = ("float32", "int64"), ("int64", "float32"), ("float32", "float64"), ("int64",)
    processes = [copy.start(*some, gate=gate) for some in types]
    gate.touch()
    for some, process in zip(types, processes):
        found = copy.finish(process)
        assert found["values"] == {t: 22 for t in some} and found["errors"] == ""
    last = copy.run("float64", "int64", "float32")
    assert (last["hits"], last["misses"]) == (3, 0) and set(last["values"].values()) == {22}
    assert len(copy.files()) == 3 and not list(copy.cache.rglob("*.tmp"))


def test_damaged_files_are_compiled_anew(copy):
    copy.run("float32", "float64", "int64")
    whole = {path: path.read_bytes() for path in copy.files()}
    empty, short, wrong = whole
    empty.write_bytes(b"")
    short.write_bytes(whole[short][:1000])
    wrong.write_bytes(whole[wrong][:1000] + b"?" + whole[wrong][1001:])
    found = copy.run("float32", "float64", "int64")
    assert set(found["values"].values()) == {22} and found["errors"] == ""
    assert (found["hits"], found["misses"]) == (0, 3)
    assert all(len(path.read_bytes()) > 1000 for path in copy.files())


@pytest.mark.parametrize("how", ["no folder", "a file in its place", "lost later on"])
def test_where_nothing_can_be_written_kernels_run_all_the_same(copy, how):
    """With one warning, after the package's own folder and the user's have been tried, too."""
    settings = {"NUMBA_CACHE_DIR": copy.cache}
    if how == "lost later on":
        settings["remove"] = copy.cache
    else:
        (copy.kernels / "__pycache__").touch()
        settings["XDG_CACHE_HOME"] = "/proc/none"
        if how == "no folder":
            settings["NUMBA_CACHE_DIR"] = "/proc/none"
        else:
            copy.cache.touch()
    found = copy.run("float32", "float64", **settings)
    assert set(found["values"].values()) == {22}
    assert (found["hits"], found["misses"]) == (0, 2)
    assert found["errors"].count("compiled kernels cannot be kept on disk") == 1
    assert "Set NUMBA_CACHE_DIR" in found["errors"] and "Traceback" not in found["errors"]


@pytest.mark.parametrize("folder", ["~/.cache", "cache", "./cache"])
def test_no_folder_is_made_where_the_process_happens_to_be(copy, folder):
    """As ``~/.cache`` is read without a HOME and an entry in the password file."""
    (copy.kernels / "__pycache__").touch()
    found = copy.run(NUMBA_CACHE_DIR="/proc/none", XDG_CACHE_HOME=folder)
    assert found["values"] == {"float32": 22}
    assert found["errors"].count("Set NUMBA_CACHE_DIR to a folder that can be written") == 1
    assert [path.name for path in copy.folder.iterdir()] == ["minicnn"]


def test_kernels_stay_in_the_folder_that_was_meant_at_first(copy):
    found = copy.run(NUMBA_CACHE_DIR="cache")
    assert found["errors"] == "" and found["where"].startswith(str(copy.cache))
    assert len(copy.files()) == 1


def test_a_folder_that_cannot_be_written_is_passed_over_for_the_next(copy):
    found = copy.run(NUMBA_CACHE_DIR="/proc/none")
    assert found["errors"] == "" and found["where"] == str(copy.kernels / "__pycache__")
    assert list((copy.kernels / "__pycache__").glob("minicnn-*/probe.total-*.kernel"))


CALLER = """
import numba
import numpy as np
from minicnn.kernels import probe

one = np.array([3], np.float32)
loaded = probe.total(one)

@numba.njit
def twice(x):
    return 2 * probe.total(x)

print(loaded, twice(one), sum(probe.total.stats.cache_hits.values()))
"""


def test_a_kernel_that_was_loaded_can_be_called_by_one_that_is_compiled(copy):
    copy.run("float32")
    environment = {"NUMBA_CACHE_DIR": copy.cache, "NUMBA_NUM_THREADS": 1}
    process = processes.start(CALLER, folder=copy.folder, **environment)
    assert processes.finish(process) == (0, "22.0 44.0 1\n", "")
