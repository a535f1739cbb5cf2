"""What Windows does otherwise, done here: it has no fcntl, and refuses names that are in use."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minicnn import paths
from minicnn.errors import ArgumentError
from minicnn.training.callbacks.interruption import Interruption
from minicnn.training.runs import files
from tests.data.idx_files import digits, write_folder
from tests.faults.processes import CLONE

#: A command line of minicnn where the modules and functions of POSIX are not, and every
#: `refused`-th name that a file takes is refused twice.
SCRIPT = """
import os, random, sys, threading
for name in ("O_DIRECTORY", "register_at_fork", "sched_getaffinity", "killpg", "mkfifo"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGALRM", "SIGUSR1"):
    import signal
    if hasattr(signal, name):
        delattr(signal, name)
sys.modules["fcntl"] = None
real, refusals = os.replace, {}

def replace(source, target):
    key = str(source), str(target)
    refusals[key] = refusals.get(key, 0) + 1
    if refusals[key] <= 2:
        raise PermissionError(13, "The process cannot access the file", str(source))
    refusals.pop(key)
    real(source, target)

os.replace = replace
from minicnn.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def command(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(CLONE)}
    line = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="the suite runs there itself")
def test_it_trains_and_resumes_and_nothing_is_lost(tmp_path):
    write_folder(tmp_path / "data", digits(train=50, test=21))
    given = ["--model", "mlp:8", "--data", "./data", "--batch-size", "16", "--quiet"]
    given += ["--schedule", "constant"]
    for out, epochs in (("whole", 3), ("parts", 2)):
        done = command(tmp_path, *given, "--epochs", epochs, "--out", out)
        assert done.returncode == 0, done.stderr
    again = command(tmp_path, "--resume", "parts", "--epochs", "3", "--quiet")
    assert again.returncode == 0, again.stderr
    whole, parts = (tmp_path / out / "model.safetensors" for out in ("whole", "parts"))
    assert len(Path(tmp_path, "parts", "metrics.jsonl").read_text().splitlines()) == 3
    assert _tensors(whole) == _tensors(parts)
    assert not list(tmp_path.glob("*/.*.tmp"))


def _tensors(path):
    """The bytes of the weights, without the header, in which settings stand."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    json.loads(data[8 : 8 + length])
    return data[8 + length :]


def refuse(monkeypatch, times):
    """Have so many replacements refused, and none waited for; how often it was tried."""
    real, tried = os.replace, []

    def replace(source, target):
        tried.append(target)
        if len(tried) <= times:
            raise PermissionError(13, "Permission denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(paths, "WAITS", [0] * 5)
    return tried


def test_what_is_refused_for_a_moment_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "POSIX", False)
    path, tried = tmp_path / "file", refuse(monkeypatch, 5)
    files.write_atomically(path, b"data")
    assert path.read_bytes() == b"data" and len(tried) == 6


def test_what_stays_refused_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "POSIX", False)
    path, tried = tmp_path / "file", refuse(monkeypatch, 99)
    with pytest.raises(ArgumentError, match="file: Permission denied"):
        files.write_atomically(path, b"data")
    assert len(tried) == 6 and not list(tmp_path.iterdir())


def test_posix_refuses_for_good(tmp_path, monkeypatch):
    tried = refuse(monkeypatch, 1)
    with pytest.raises(ArgumentError):
        files.write_atomically(tmp_path / "file", b"data")
    assert len(tried) == 1


def test_a_record_in_use_ends_nothing(tmp_path, monkeypatch, capsys):
    path = tmp_path / "metrics.jsonl"
    refuse(monkeypatch, 1)
    files.write_record(path, b"1")
    told = capsys.readouterr().err
    assert "metrics.jsonl: Permission denied" in told and "Training goes on" in told
    files.write_record(path, b"12")
    assert path.read_bytes() == b"12"


def test_a_closed_console_ends_training_between_two_steps():
    own = set(Interruption.SIGNALS)
    assert {signal.SIGINT, signal.SIGTERM} <= own
    assert getattr(signal, "SIGBREAK", signal.SIGINT) in own
