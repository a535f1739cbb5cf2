"""A user's own things on the command line: trained, compared, judged and resumed, or refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import minicnn
from minicnn.errors import ArgumentError
from minicnn.lab.ablation.workers import train_trial
from minicnn.training.runs import run as run_module
from minicnn.training.runs import tensors
from minicnn.training.runs.settings import Settings
from tests.cli.test_cli import command, data, refused  # noqa: F401 - fixtures
from tests.training.same import differences, lines
from tests.training.toys import At

# ruff: noqa: F811 - which are arguments

CLONE = Path(minicnn.__file__).parents[1]
STRIKE = "STRIKE_AT_OWN_STEP"
FILE = '''
import os
import signal
from dataclasses import dataclass

import numpy as np

from minicnn import Sequential, data
from minicnn.initializers import Initializer
from minicnn.layers import Conv2d, Dense, Flatten, NumpyLayer


@dataclass(frozen=True)
class HalfXavier(Initializer):
    scale: float = 0.5
    name, distribution = "half-xavier", "normal"

    def moments(self, fans, shape):
        return 0.0, 2 * self.scale / (fans.fan_in + fans.fan_out)


class Soft(NumpyLayer):
    """x / (1 + |x|); the training step that a variable names is interrupted in its midst."""

    steps = 0

    def forward(self, x):
        Soft.steps += self.training
        if self.training and str(Soft.steps) == os.environ.get("STRIKE_AT_OWN_STEP"):
            signal.raise_signal(signal.SIGINT)
        self._x = x
        return x / (1 + abs(x))

    def backward(self, dy):
        return dy / (1 + abs(self._x)) ** 2


def build(classes, activation, init, width=3):
    return Sequential(
        Conv2d(width, 3, init=init), activation(), Flatten(), Dense(classes, init=init)
    )


def load():
    train, test = data.load_mnist()
    return (train.images, train.labels), (test.images, test.labels)
'''
OWN = (
    "--init ./mine.py:HalfXavier(0.7) --model mine.py:build(4) --activation ./mine.py:Soft".split()
)
ALL = [*OWN, "--data", "mine.py:load", "--batch-size", "16"]


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch, data):
    """``mine.py`` in the working directory; what it adds to the path of modules goes again."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text(FILE)
    return tmp_path / "mine.py"


def process(*words, code=0, cwd=None, **environment):
    """What a real command prints."""
    ended = subprocess.run(
        [sys.executable, str(CLONE / "train.py"), *map(str, words)],
        env={**os.environ, **environment}, capture_output=True, text=True, cwd=cwd,
    )  # fmt: skip
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout, ended.stderr


def test_interrupted_and_resumed_from_elsewhere_the_bits_are_equal(mine, tmp_path):
    words = [*ALL, "--epochs", 3, "--quiet"]
    process(*words, "--out", "whole")
    _, err = process(*words, "--out", "out", code=130, **{STRIKE: "8"})  # of 12, and one before
    assert err == "error: interrupted; what was done is saved, --resume out goes on.\n"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    _, err = process("--resume", tmp_path / "out", "--quiet", cwd=elsewhere)
    assert err == f"note: {mine} is executed, the run was begun with it.\n"
    assert differences(tmp_path / "whole", tmp_path / "out") == []
    config = json.loads(Path("out/config.json").read_text())
    assert config["init"] == f"{mine}:HalfXavier(0.7)"
    assert config["own"].keys() == {"init", "model", "activation", "data"}
    entry = config["own"]["init"]
    assert (entry["file"], entry["name"], entry["arguments"]) == (str(mine), "HalfXavier", "0.7")
    assert config["initializers"]["0.conv2d.weight"]["initializer"] == "half-xavier:0.7"
    sums = subprocess.run(["sha256sum", str(mine)], capture_output=True, text=True)
    assert sums.stdout.split()[0] == entry["sha256"]


def test_a_comparison_on_two_processes_trains_what_single_runs_train():
    axis = "init=msra,./mine.py:HalfXavier(scale=0.7)"
    rest = [*ALL[2:], "--epochs", 1]
    out, err = process("--ablate", axis, *rest, "--seeds", 2, "--threads", 2, "--out", "grid")
    assert "2 arms, 4 runs in grid" in out and "error" not in err
    assert Path("grid/results.csv").read_text().count("finished") == 4
    name = "2-HalfXavier_scale_0.7-seed1"
    single = ["--init", "mine.py:HalfXavier(scale=0.7)", "--seed", 1, "--threads", 1]
    process(*single, *rest, "--quiet", "--out", "one")
    model = "model.safetensors"
    assert Path("one", model).read_bytes() == Path("grid", name, model).read_bytes()


def test_preflight():
    out, _ = process(*ALL, "--preflight")
    assert "build(4) with HalfXavier(0.7) will train: " in out and "half-xavier" not in out
    out, _ = process(*ALL[2:], "--init", "mine.py:HalfXavier(0.0)", "--preflight", code=1)
    assert "build(4) with HalfXavier(0.0) will not train: " in out and "With xavier it would" in out


def test_the_folder_of_a_run_has_a_short_name(command):
    assert command(*ALL, "--quiet", "--epochs", 1, small=False)[0] == 0
    assert os.listdir("runs") == ["build_4-Soft-HalfXavier_0.7-sgd-0"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("--init ./nothing.py:A", 2, "cannot read"),
        ("--init ./mine.py:HalfXavir", 2, "Did you mean 'HalfXavier'"),
        ("--init ./mine.py:HalfXavier(1,2)", 2, "HalfXavier takes (scale: float = 0.5)"),
        ("--activation ./mine.py:build", 2, "build takes (classes"),
        ("--model ./mine.py:HalfXavier", 2, "expected a new Sequential"),
        ("--data ./mine.py:HalfXavier", 3, "expected a training and a test set"),
        ("--ablate init=msra,./mine.py:Xavir --out out", 2, "unknown name 'Xavir'"),
        ("--ablate init=msra,./nothing.py:A(1,2) --out out", 2, "cannot read"),
        ("--preflight --init ./nothing.py:A", 2, "cannot read"),
    ],
)
def test_refused(command, words, code, said):
    result = command(*words.split())
    assert refused(result, code, said) and "semicolons" not in result[2]


@pytest.fixture
def interrupted(command, monkeypatch):
    """A run in ``out`` that was interrupted in its second epoch, one in ``whole`` that was not."""
    words = [*ALL, "--epochs", 2]
    assert command(*words, "--out", "whole", "--quiet", small=False)[0] == 0
    strike = At("on_loss", lambda t: t.step == 5, lambda t: signal.raise_signal(signal.SIGINT))
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "Progress", lambda: strike)
        assert command(*words, "--out", "out", small=False)[0] == 130


def kept(folder="out"):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_a_file_that_has_changed_is_refused_before_it_is_executed(command, interrupted, mine):
    before = kept()
    mine.write_text(FILE + "raise SystemExit('executed')\n")
    for given in ([], OWN):
        code, out, err = command("--resume", "out", *given, small=False)
        assert code == 2 and out == "" and err.count("\n") == 1 and "raised" not in err
        assert f"{mine} has changed since this training was begun: its SHA-256 was " in err
        assert "Bring the old file back, or begin anew." in err
    assert kept() == before
    mine.write_text(FILE)
    assert command("--resume", "out", "--quiet", small=False)[0] == 0
    assert differences(Path("whole"), Path("out")) == []


def test_a_file_that_stands_elsewhere_by_now(command, interrupted, mine):
    Path("other").mkdir()
    moved = shutil.move(mine, "other/mine.py")
    code, out, err = command("--resume", "out", small=False)
    assert code == 2 and err.count("\n") == 1
    assert f"cannot read {mine}" in err and "name it at its new place" in err
    words = [word.replace("mine.py", moved) for word in ALL]
    code, _, err = command("--resume", "out", "--quiet", *words, small=False)
    assert code == 0 and err == ""  # the command itself names what is executed
    assert lines(Path("out")) == lines(Path("whole"))  # the metadata tell where the file is


def test_other_settings_than_the_run_has(command, interrupted):
    for given in ("--init ./mine.py:HalfXavier(0.8)", "--init he", "--model mine.py:build(5)"):
        code, out, err = command("--resume", "out", *given.split(), small=False)
        assert code == 2 and out == "" and "and goes on with it; got" in err


def test_a_run_that_has_finished_needs_its_file_no_more(command, interrupted, mine):
    mine.unlink()
    finished = "the run in whole has finished: nothing is left to do.\n"
    assert command("--resume", "whole", small=False) == (0, finished, "")
    tensors.read(Path("whole/model.safetensors"))


def test_a_run_brings_no_program_along(command, interrupted, mine):
    """Nor does it name one without its digest."""
    text = Path("out/config.json").read_text()
    shutil.copy(mine, "out/mine.py")
    Path("out/config.json").write_text(text.replace(str(mine), str(Path("out/mine.py").resolve())))
    code, out, err = command("--resume", "out", small=False)
    assert code == 2 and out == "" and "lies in the run's own folder" in err and "--init" in err
    config = json.loads(text)
    for damage in (None, {}, [], {"init": {}}, {"init": config["own"]["init"]}, {"a": 1}):
        Path("out/config.json").write_text(json.dumps({**config, "own": damage}))
        code, out, err = command("--resume", "out", small=False)
        assert code == 3 and out == "" and "config.json is damaged" in err
    Path("out/config.json").write_text(json.dumps({**config, "init": "msra"}))
    assert command("--resume", "out", small=False)[0] == 3


def test_he_and_msra_are_one(command):
    axis = "--ablate init=he,xavier,msra --out out"
    assert refused(
        command(*axis.split()), 2, "axis init has a value twice: he and msra are the same"
    )
    assert command("--init", "he", "--out", "out", "--quiet")[0] == 0
    finished = "the run in out has finished: nothing is left to do.\n"
    assert command("--resume", "out", "--init", "kaiming") == (0, finished, "")
    assert command("--resume", "out", "--init", "glorot")[0] == 2


GRID = [*ALL[2:], "--epochs", 1, "--seeds", 1, "--threads", 1, "--quiet", "--out", "out"]
GRID += ["--ablate", "init=xavier,./mine.py:HalfXavier(0.7)"]


def test_a_comparison_whose_file_has_changed(command, mine):
    assert command(*GRID, small=False)[0] == 0
    again = "out/2-HalfXavier_0.7-seed0"
    before = kept(again)
    mine.write_text(FILE + "\n")
    code, out, err = command(*GRID, small=False)
    assert code == 2 and out == "" and "mine.py has changed since" in err and "--out" in err
    mine.write_text(FILE)
    shutil.rmtree("out/1-xavier-seed0")
    assert command(*GRID, small=False)[0] == 0 and kept(again) == before


def test_a_process_that_finds_another_file_trains_nothing(mine, tmp_path):
    digest = {"init": {"sha256": "0" * 64}}
    with pytest.raises(ArgumentError, match="has changed since this training was begun"):
        train_trial({"init": f"{mine}:HalfXavier", "own": digest}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_changes_between_two_looks(mine):
    settings = Settings(init="mine.py:HalfXavier", activation="mine.py:Soft", data="mine.py:load")
    settings.load_data()
    mine.write_text(FILE + "\n")
    for look in (settings.load_data, lambda: settings.make_model(None)):
        with pytest.raises(ArgumentError, match="has changed since"):
            look()
    assert Settings(init="mine.py:HalfXavier") == Settings(init="./mine.py:HalfXavier()")
    assert Settings(init="mine.py:HalfXavier") != settings
