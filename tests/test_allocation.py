"""What memory there is, and the error that says how much was asked."""

import numpy as np
import pytest

from minicnn import allocation, lanes
from minicnn.allocation import OutOfMemory, asked, free_memory
from minicnn.errors import MinicnnError


def test_free_memory_is_that_of_this_machine():
    free = free_memory()
    assert free is None or 1e7 < free < 1e15


def test_the_least_counts_of_what_is_known(monkeypatch):
    def free(machine, group, addresses):
        monkeypatch.setattr(allocation, "_free_of_machine", lambda: machine)
        monkeypatch.setattr(allocation, "_free_of_group", lambda: group)
        monkeypatch.setattr(allocation, "_free_addresses", lambda: addresses)
        return free_memory()

    assert free(9, 8, 7) == 7 and free(9, 8, None) == 8 and free(9, None, None) == 9
    assert free(1, 8, 7) == 1 and free(None, None, None) is None


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("", ("memory.max", "memory.current", "inactive_file")),
        ("memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")),
    ],
)
def test_the_limit_of_a_container(prefix, names, tmp_path):
    assert allocation._free_of_group(tmp_path) is None
    folder = tmp_path / prefix
    folder.mkdir(exist_ok=True)
    (folder / names[0]).write_text("max\n")
    (folder / names[1]).write_text("600\n")
    (folder / "memory.stat").write_text(f"anon 500\n{names[2]} 100\n")
    assert allocation._free_of_group(tmp_path) is None  # no limit
    (folder / names[0]).write_text("1000\n")
    assert allocation._free_of_group(tmp_path) == 1000 - 600 + 100


@pytest.mark.parametrize("free", [3 * allocation.SMALL, None])
def test_what_is_not_there_is_not_promised(free, monkeypatch):
    monkeypatch.setattr(allocation, "free_memory", lambda: free)
    with asked(2 * allocation.SMALL, "floats"):
        pass
    if free is not None:
        with pytest.raises(OutOfMemory, match="takes 268.4 MB, and 201.3 MB are free"):
            with asked(4 * allocation.SMALL, "floats"):
                raise AssertionError("it was tried all the same")


def test_small_arrays_ask_nobody(monkeypatch):
    monkeypatch.setattr(allocation, "free_memory", lambda: 0)
    assert lanes.zeros((allocation.SMALL // 4 - 1,), np.float32).size == allocation.SMALL // 4 - 1


def test_what_the_system_refuses():
    """2^50 bytes are more than any machine's."""
    with pytest.raises(OutOfMemory) as caught:
        lanes.zeros((2**30, 2**18), np.float32)
    message = str(caught.value)
    assert "an array of float32 of shape (1073741824, 262144) takes 1,125,899.91 GB" in message
    assert "Use a smaller batch size or a smaller model" in message
    assert isinstance(caught.value, (MinicnnError, MemoryError)) and caught.value.exit_code == 2


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), asked(10, "floats"):
        1 / 0  # noqa: B018
