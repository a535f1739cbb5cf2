"""``minicnn doctor``: what it finds is so, and what is slow is told."""

import pytest

from minicnn.cli import doctor
from minicnn.cli.main import main
from minicnn.kernels.runtime.thread_pool import MOST, get_num_threads
from minicnn.kernels.simd.vector import REGISTER_BYTES
from tests.faults.processes import run

HEALTHY = {
    "system": "Linux 6, x86_64", "instructions": "avx fma", "its state": "can be written, 3 MB",
    "threads": "2 of at most 2", "load": "0.1",
}  # fmt: skip


def test_what_it_finds(capsys):
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = {line[:23].strip(): line[23:] for line in lines if not line.startswith("- ")}
    assert found["threads"] == f"{get_num_threads()} of at most {MOST}"
    assert found["registers"].endswith(f"of {REGISTER_BYTES} bytes")
    assert float(found["multiply-adds"].split()[0]) > 0
    assert any(line.startswith("- ") for line in lines)


def test_a_healthy_machine():
    assert doctor.advice(HEALTHY) == ["Nothing is slow here."]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"instructions": "avx"}, "fused"), ({"load": "1.9"}, "Other programs"),
        ({"its state": "cannot be written, 0 MB"}, "NUMBA_CACHE_DIR"),
        ({"threads": "1 of at most 2"}, "quota"),
    ],
)  # fmt: skip
def test_what_is_slow_is_told(changed, told):
    (line,) = doctor.advice({**HEALTHY, **changed})
    assert told in line


def test_other_systems():
    assert doctor.advice({**HEALTHY, "load": "unknown"}) == ["Nothing is slow here."]
    arm = {**HEALTHY, "system": "Darwin 24, arm64", "instructions": "neon"}
    assert doctor.advice(arm) == ["Nothing is slow here."]


def test_settings_that_it_is_run_with(tmp_path):
    script = "from minicnn.cli.main import main; main(['doctor'])"
    out, _ = run(script, NUMBA_CACHE_DIR=tmp_path, NUMBA_NUM_THREADS=1)
    assert f"NUMBA_CACHE_DIR={tmp_path}" in out and "1 of at most 1" in out
