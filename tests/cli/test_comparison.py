"""The command line of comparisons: a grid of runs, their table, and what ends them."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.cli.test_cli import command, data, refused, summary  # noqa: F401 - fixtures
from tests.data.idx_files import NAMES

# ruff: noqa: F811 - which are arguments

GRID = "--ablate init=zeros,msra --ablate activation=relu,tanh --out out --threads 1".split()


def test_a_comparison(command):
    code, out, err = command(*GRID, "--seeds", 2, "--seed", 7, "--lr", 0.01)
    assert code == 0 and "error" not in err
    lines = out.splitlines()
    assert lines[0] == "4 arms, 8 runs in out" and lines[-1] == "written to out"
    assert lines[1].startswith("init=zeros, activation=relu, seed 7: test accuracy ")
    table = Path("out/table.txt").read_text()
    assert table in out and table.splitlines()[0].split()[:2] == ["init", "activation"]
    runs = sorted(path.parent.name for path in Path("out").glob("*/summary.json"))
    assert len(runs) == 8 and runs[-1] == "4-msra-tanh-seed8"
    config = json.loads(Path("out", runs[-1], "config.json").read_text())
    expected = {"init": "msra", "activation": "tanh", "seed": 8, "lr": 0.01, "model": "mlp:8"}
    assert {name: config[name] for name in expected} == expected
    files = ["curves-1.svg", "curves-2.svg", "grid.json", "report.html", "results.csv", "table.txt"]
    assert sorted(set(os.listdir("out")) - set(runs)) == files
    assert Path("out/results.csv").read_text().count("finished") == 8


def test_a_comparison_goes_on_and_is_no_other(command):
    words = [*GRID, "--quiet"]
    code, first, err = command(*words)
    assert code == 0 and err == "" and first.startswith("init ")
    again = Path("out/3-msra-relu-seed2")  # of three seeds, if none are asked for
    before = summary(again)
    shutil.rmtree("out/1-zeros-relu-seed0")
    assert command(*words) == (0, first, "")
    assert summary("out/1-zeros-relu-seed0")["status"] == "finished" and summary(again) == before
    code, out, err = command(*words, "--epochs", 3)
    assert code == 2 and out == "" and "has epochs 2, got 3" in err and err.count("\n") == 1
    code, out, err = command(*words, "--lr", 0.5)
    assert code == 2 and out == "" and "with lr 0.03, now given is 0.5" in err
    assert summary(again) == before


def test_a_comparison_that_grows_and_one_that_asks_for_less(command):
    words = "--out out --threads 1 --schedule constant --seeds".split()
    assert command("--ablate", "init=xavier,msra", *words, 1)[0] == 0
    code, out, err = command("--ablate", "init=zeros,xavier", *words, 2)
    assert code == 0 and "2 arms, 4 runs in out, 1 of them done before" in out
    assert err == (
        "note: out keeps 1 more run, not asked for and not in this report: init=msra (seed 0).\n"
    )
    code, out, err = command("--ablate", "init=zeros,xavier", *words, 2, "--epochs", 3)
    assert code == 0 and "4 runs in out\n" in out
    assert [summary(f"out/{name}-seed1")["epochs"] for name in ("1-xavier", "3-zeros")] == [3, 3]
    assert summary("out/2-msra-seed0")["epochs"] == 2


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_what_is_printed_fits_the_terminal(command, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    model = "mlp:" + ",".join(20 * ["4"])
    words = ["--ablate", f"model={model};mlp:8", "--seeds", 5, "--threads", 1, "--epochs", 1]
    code, out, err = command(*words, "--out", "out", "--lr", 0.01, small=False)
    lines = [*out.splitlines(), *err.splitlines()]
    assert code == 0 and 0.7 * columns < max(map(len, lines)) <= columns
    assert max(map(len, Path("out/table.txt").read_text().splitlines())) <= 80


def test_a_baseline_that_is_named(command):
    words = [*GRID, "--seeds", 1, "--quiet", "--baseline"]
    code, out, err = command(*words, "init=msra")
    assert (code, err) == (0, "") and "difference to init=msra" in out
    assert "difference to init=msra" in Path("out/report.html").read_text()
    code, out, _ = command(*words[:-1])
    assert code == 0 and "difference to first" in out
    shutil.rmtree("out")
    refused(command(*words, "init=lecun"), 2, "init lecun, expected one of the axis: zeros")
    refused(command("--baseline", "init=msra"), 2, "the grid is empty", "--ablate")


def test_values_of_a_comparison_that_hold_commas(command):
    axes = "--ablate betas=0.8,0.95;0.9,0.999 --ablate batch-size=16,20 --optimizer adam".split()
    words = "--model mlp:8 --epochs 1 --seeds 1 --threads 1 --out out".split()
    assert command(*words, *axes, small=False)[0] == 0
    config = json.loads(Path("out/2-0.8_0.95-20-seed0/config.json").read_text())
    assert (config["betas"], config["batch_size"]) == ([0.8, 0.95], 20)


def test_a_recipe_below_a_comparison(command):
    words = "--recipe fastest --ablate model=mlp:8 --seeds 1 --threads 1 --out out".split()
    assert command(*words, small=False)[0] == 0
    config = json.loads(Path("out/1-mlp_8-seed0/config.json").read_text())
    assert (config["optimizer"], config["model"]) == ("adam", "mlp:8")


def test_a_comparison_with_arms_that_fail(command, monkeypatch):
    from minicnn.lab.ablation import ablation

    train = ablation.train_trial

    def fail(settings, folder):
        if settings["lr"] == 0.5:
            raise ZeroDivisionError("by nothing")
        train(settings, folder)

    words = "--schedule constant --seeds 1 --threads 1 --out out --ablate lr=0.1,1e30".split()
    code, out, err = command(*words)
    assert code == 0 and err == "" and "lr=1e+30, seed 0 diverged: the loss is" in out
    monkeypatch.setattr(ablation, "train_trial", fail)
    code, out, err = command(*words[:-3], "other", "--ablate", "lr=0.1,0.5,0.2")
    assert code == 1 and err == "error: 1 of 3 runs crashed.\n"
    assert "lr=0.5, seed 0 crashed: ZeroDivisionError: by nothing" in out
    assert summary("other/3-0.2-seed0")["status"] == "finished"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_comparison(command, monkeypatch, number, code):
    from minicnn.lab.ablation import ablation

    train = ablation.train_trial

    def strike(settings, folder):
        if settings["seed"] == 1:
            signal.raise_signal(number)
        train(settings, folder)

    monkeypatch.setattr(ablation, "train_trial", strike)
    given, out, err = command(*GRID)
    assert given == code and err.count("\n") == 1
    assert "interrupted; 4 of 12 runs are done" in err and "--out out goes on" in err
    assert Path("out/results.csv").read_text().count("finished") == 4
    monkeypatch.setattr(ablation, "train_trial", train)
    assert command(*GRID)[0] == 0
    assert Path("out/results.csv").read_text().count("finished") == 12


def test_a_comparison_without_the_extra(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = command(*GRID, "--seeds", 1, "--quiet")
    assert code == 0 and out.startswith("init ") and Path("out/table.txt").exists()
    assert (
        err
        == "note: a figure needs matplotlib: install the lab extra, pip install 'minicnn[lab]', or"
        " '.[lab]' in a clone.\n"
    )
    shutil.rmtree("out")
    monkeypatch.setitem(sys.modules, "joblib", None)
    assert refused(command(*GRID), 2, "needs joblib", "the lab extra")


def test_a_comparison_of_data_that_are_not_there(command, data):
    (data / NAMES[0]).unlink()
    assert refused(command(*GRID), 3, NAMES[0])
