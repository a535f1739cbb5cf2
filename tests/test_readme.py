"""The README's Python runs as it stands, and its names exist."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minicnn import gradcheck, initializers
from minicnn.layers import Dense
from tests.data.idx_files import digits, write_folder

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def run(word, before=()):
    """Execute the block that has this word, after another's names, and return its names."""
    (block,) = [block for block in BLOCKS if word in block]
    names = dict(before)
    exec(compile(block, "README.md", "exec"), names)
    return names


def test_a_few_lines_of_api_learn(monkeypatch, capsys):
    """On few images, as the result is not what the README is about."""
    from minicnn import data

    train, test = data.load_mnist()
    monkeypatch.setattr(data, "load_mnist", lambda: (train.subset(2000), test.subset(500)))
    run("zoo.build")
    assert float(capsys.readouterr().out.split()[-1]) > 0.6
    names = run("NanGuard")
    assert names["scores"].shape == (5, 10)
    assert float(capsys.readouterr().out.split()[-1]) > 0.6
    model = run("Upsample(2)", names)["model"]
    assert model.predict(test.normalized(range(5))).shape == (5, 10)


def test_the_example_of_a_layer_passes_the_gradient_check(capsys):
    names = run("class Square")
    assert gradcheck.check_layer(names["Square"](), (3, 4, 4)).worst < 1e-7
    names = run("class Affine", names)
    assert gradcheck.check_layer(names["Affine"](), (3, 4, 4)).worst < 1e-7
    assert "worst relative disagreement" in capsys.readouterr().out


def test_the_example_of_an_initializer_keeps_its_promise():
    half = run("class HalfXavier")["HalfXavier"]()
    fans = initializers.Fans(300, 100)
    assert half.variance(fans) == pytest.approx(1 / 400)
    layer = Dense(100, init=half)
    layer.build((300,), np.random.default_rng(0), np.float64)
    weight = layer.own_parameters()["weight"].value
    assert weight.var() == pytest.approx(1 / 400, rel=5 * (2 / weight.size) ** 0.5)


def test_the_commands_of_the_example_run(tmp_path):
    """As they stand, on small data."""
    (block,) = [block for block in BLOCKS if "class HalfXavier" in block]
    (tmp_path / "myinit.py").write_text(block)
    (commands,) = re.findall(r"```\n((?:python train.py .*HalfXavier.*\n)+)```", TEXT)
    environment = {
        **os.environ,
        "MINICNN_DATA": str(write_folder(tmp_path / "data", digits(50, 20))),
    }
    for command in commands.splitlines():
        _, _, *words = shlex.split(command)
        small = ["--model", "mlp:4", "--epochs", "1", "--threads", "2", "--quiet"]
        ended = subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *words, *small],
            cwd=tmp_path, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
    made = {path.parent.name for path in tmp_path.glob("runs/*/summary.json")}
    assert made == {"mlp_4-relu-HalfXavier_0.25-sgd-0"}
    assert len(list(tmp_path.glob("runs/ablation-init/*/summary.json"))) == 6


def test_files_and_folders_that_the_readme_names_exist():
    named = re.findall(r"`((?:minicnn|docs|tests|benchmarks|datasets)/[\w./]*)`", TEXT)
    assert len(named) > 10
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing
