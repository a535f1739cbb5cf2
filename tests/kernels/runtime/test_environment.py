"""What the environment asks of Numba: refused, warned of, or taken, and never a traceback."""

import os

import numba
import pytest

from minicnn.errors import ArgumentError
from minicnn.kernels.runtime import environment
from tests.faults.processes import CLONE, finish, start

CLI = "import sys; from minicnn.cli.main import main; sys.exit(main(sys.argv[1:]))"
TRAIN = "--model", "mlp:10", "--limit", "64", "--epochs", "1", "--quiet"


@pytest.fixture
def config(monkeypatch):
    """Numba's settings, as they were afterwards."""
    plain = {"CPU_NAME": None, "CPU_FEATURES": None, "CACHE_DIR": "", "DISABLE_JIT": 0}
    for name, value in plain.items():
        monkeypatch.setattr(numba.config, name, value)
    return numba.config


@pytest.mark.parametrize(
    "variable, value, says",
    [
        ("NUMBA_DISABLE_JIT", 1, "kernels have to be compiled: unset it"),
        ("NUMBA_NUM_THREADS", 0, "NUMBA_NUM_THREADS=0"),
        ("NUMBA_NUM_THREADS", -3, "NUMBA_NUM_THREADS=-3"),
        ("NUMBA_NUM_THREADS", 100_000, "NUMBA_NUM_THREADS is 100000: expected at most"),
    ],
)
def test_what_kernels_cannot_run_with_is_one_sentence(variable, value, says, tmp_path):
    settings = {variable: value, "PYTHONPATH": CLONE}
    code, out, err = finish(start(CLI, *TRAIN, "--out", tmp_path / "run", **settings))
    assert (code, out) == (2, "") and says in err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_reference_needs_no_compiler():
    """It is what the error recommends."""
    code, _, err = finish(start("import minicnn.reference", NUMBA_DISABLE_JIT=1))
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    "variable, value", [("NUMBA_NUM_THREADS", "many"), ("NUMBA_OPT", "fast"), ("NUMBA_DEBUG", "x")]
)
def test_a_variable_that_cannot_be_read_is_named_without_a_traceback(variable, value):
    script = "from minicnn.kernels import environment"
    code, _, err = finish(start(script, **{variable: value}))
    assert code == 0 and "Traceback" not in err
    assert f"'{variable}' is defined but its associated value '{value}'" in err
    assert err.count("Numba ignores it: unset it.") == 1


@pytest.mark.parametrize(
    "settings", [{"CPU_NAME": "generic", "CPU_FEATURES": ""}, {"CPU_FEATURES": "-fma"}]
)
def test_fused_multiply_adds_that_are_left_out_are_a_warning(config, monkeypatch, settings):
    import llvmlite.binding as llvm

    if not llvm.get_host_cpu_features().get("fma"):
        pytest.skip("the processor has none")
    environment.check(config)
    for name, value in settings.items():
        monkeypatch.setattr(config, name, value)
    with pytest.warns(UserWarning, match="many times slower.*Unset it") as told:
        environment.check(config)
    assert len(told) == 1
    assert all(f"NUMBA_{name}={value}" in str(told[0].message) for name, value in settings.items())


@pytest.mark.filterwarnings("error")
def test_other_settings_of_the_processor_are_taken(config, monkeypatch):
    """Tuned for another one, or with shorter registers: the bits are the same."""
    for name, value in (("CPU_NAME", "x86-64"), ("CPU_FEATURES", "-avx512f")):
        with monkeypatch.context() as patch:
            patch.setattr(config, name, value)
            environment.check(config)


def test_instructions_that_the_processor_lacks_are_refused(config, monkeypatch):
    """They would end the process at the first kernel."""
    import llvmlite.binding as llvm

    lacking = [name for name, has in llvm.get_host_cpu_features().items() if not has]
    if not lacking:
        pytest.skip("it has them all")
    monkeypatch.setattr(config, "CPU_FEATURES", f"+{lacking[0]},-mmx")
    with pytest.raises(ArgumentError, match=r"asks for \+.*does not have: unset it"):
        environment.check(config)


def test_the_folder_of_kernels_is_a_full_path(config, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for given, taken in (
        ("kernels", tmp_path / "kernels"), ("~/kernels", tmp_path / "home/kernels"),
        (str(tmp_path / "a/../b"), tmp_path / "b"),
    ):  # fmt: skip
        monkeypatch.setattr(config, "CACHE_DIR", given)
        environment.check(config)
        assert str(taken) == config.CACHE_DIR
    assert os.listdir(tmp_path) == []


def test_a_home_that_there_is_not_is_no_folder(config, monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as without HOME and an entry
    monkeypatch.setattr(config, "CACHE_DIR", "~/kernels")
    with pytest.warns(UserWarning, match="NUMBA_CACHE_DIR is ~/kernels.*full path"):
        environment.check(config)
    assert config.CACHE_DIR == ""
