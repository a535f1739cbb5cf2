"""The command line of checkpoints: interrupted, resumed, refused."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import minicnn
from minicnn.training.runs import run as run_module
from minicnn.training.runs.lock import FolderLock
from tests.cli.test_cli import command, data, summary  # noqa: F401 - fixtures
from tests.training.same import differences
from tests.training.toys import At

CLONE = Path(minicnn.__file__).parents[1]


@pytest.fixture
def interrupted(command, monkeypatch):  # noqa: F811
    """A run in ``out`` that was interrupted in its second epoch, one in ``whole`` that was not."""
    assert command("--out", "whole", "--quiet")[0] == 0
    strike = At("on_loss", lambda t: t.step == 5, lambda t: signal.raise_signal(signal.SIGINT))
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "Progress", lambda: strike)
        code, _, err = command("--out", "out")
    assert code == 130 and "--resume out goes on" in err


def test_resume(command, interrupted):  # noqa: F811
    code, out, err = command("--resume", "out", small=False)
    assert code == 0 and err == ""
    lines = out.splitlines()
    assert "going on after step 6 of 8, in epoch 2 of 2" in lines
    assert sum(line.startswith("epoch ") for line in lines) == 1
    assert differences(Path("whole"), Path("out")) == []
    finished = "the run in out has finished: nothing is left to do.\n"
    assert command("--resume", "out", small=False) == (0, finished, "")
    assert differences(Path("whole"), Path("out")) == []


def test_settings_beside_resume(command, interrupted):  # noqa: F811
    code, out, err = command("--resume", "out", "--lr", "0.5", small=False)
    assert code == 2 and out == "" and err.count("\n") == 1
    assert "the run in out has lr 0.03, and goes on with it; got 0.5" in err
    code, out, err = command("--resume", "out", "--quiet", "--checkpoint-every", 1, "--lr", 0.03)
    assert (code, err) == (0, "") and "epoch 2" not in out
    assert differences(Path("whole"), Path("out")) == []


def test_what_was_not_as_expected_is_noted(command, interrupted):  # noqa: F811
    Path("out/checkpoint.safetensors").write_bytes(b"nothing")
    code, _, err = command("--resume", "out", "--quiet", small=False)
    assert code == 0 and err.startswith("note: out/checkpoint.safetensors is damaged")
    assert err.count("\n") == 1 and differences(Path("whole"), Path("out")) == []


def test_bad_data_of_a_run(command, interrupted):  # noqa: F811
    for name in ("checkpoint.safetensors", "checkpoint.previous.safetensors"):
        Path("out", name).write_bytes(b"nothing")
    code, out, err = command("--resume", "out", small=False)
    assert code == 3 and out == "" and err.count("\n") == 1 and "begin a new run" in err


@pytest.mark.parametrize("words", ["--resume out", "--out out"])
def test_a_folder_in_which_another_process_is_at_work(command, interrupted, words):  # noqa: F811
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    lock = FolderLock("out")
    code, out, err = command(*words.split())
    assert code == 2 and out == "" and err.count("\n") == 1
    assert "another process is at work in out" in err
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before
    lock.release()


FULL = """
import resource, sys
from minicnn.cli import main
from minicnn.training.callbacks.checkpoint import Checkpoint

def fill(self, trainer):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))

Checkpoint.on_epoch_begin = fill
sys.exit(main(sys.argv[1:]))
"""


def test_a_disk_that_is_full_in_the_middle_of_a_file(command, interrupted):  # noqa: F811
    """The system's own refusal, by a limit of the size of files."""
    before = Path("out/checkpoint.safetensors").read_bytes()
    assert len(before) > 1500
    ended = subprocess.run(
        [sys.executable, "-c", FULL, "--resume", "out", "--quiet", "--checkpoint-every", "1"],
        env={**os.environ, "PYTHONPATH": str(CLONE)}, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert "cannot write out/checkpoint.safetensors: File too large" in ended.stderr
    assert "What was saved before is kept: --resume out goes on." in ended.stderr
    assert Path("out/checkpoint.safetensors").read_bytes() == before
    assert not list(Path("out").glob(".*"))
    assert command("--resume", "out", small=False)[0] == 0
    assert differences(Path("whole"), Path("out")) == []


def test_a_signal_to_a_process(tmp_path):
    """A real one, to a training that lasts until it comes."""
    out = tmp_path / "out"
    words = "--model mlp:8 --batch-size 16 --epochs 100000 --checkpoint-every 7 --quiet"
    process = subprocess.Popen(
        [sys.executable, str(CLONE / "train.py"), *words.split(), "--out", str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (out / "checkpoint.previous.safetensors").exists() and process.poll() is None:
        os.sched_yield()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert err == f"error: interrupted; what was done is saved, --resume {out} goes on.\n"
    assert summary(out)["status"] == "interrupted"


def test_more_epochs(command):  # noqa: F811
    constant = ("--schedule", "constant", "--quiet")
    assert command(*constant, "--out", "whole", "--epochs", 4)[0] == 0
    assert command(*constant, "--out", "out", "--epochs", 1)[0] == 0
    code, out, err = command("--resume", "out", "--epochs", 4, small=False)
    assert code == 0 and err == "" and "going on after step 4 of 16, in epoch 2 of 4" in out
    assert "after 4 epochs" in out and differences(Path("whole"), Path("out")) == []
    assert command("--out", "other", "--quiet")[0] == 0
    code, out, err = command("--resume", "other", "--epochs", 4, small=False)
    assert code == 2 and out == "" and err.count("\n") == 1 and "--schedule constant" in err
