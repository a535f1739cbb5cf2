"""Paths and names: home folders that there are, and names that every system takes."""

import os
from pathlib import Path

import pytest

from minicnn.errors import ArgumentError
from minicnn.paths import LONGEST_NAME, expand, is_locked, name_of
from minicnn.training.runs.settings import Settings


def test_the_home_folder_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert expand("~/runs") == expand(Path("~/runs")) == tmp_path / "runs"
    assert expand("runs/~") == Path("runs/~") and expand("./~/x") == Path("~/x")


@pytest.mark.parametrize("path", ["~/runs", "~", "~nobody-of-that-name/runs"])
def test_a_home_that_there_is_not_is_no_folder(monkeypatch, path):
    if "nobody" not in path:
        monkeypatch.setattr(os.path, "expanduser", lambda p: p)  # no HOME, no entry
    with pytest.raises(ArgumentError, match="no home folder is known for ~.*the full path"):
        expand(path, "--out")


@pytest.mark.parametrize("path", [None, 3, b"bytes", ["a"], "a\0b", "é\ud800"])
def test_what_is_no_path(path):
    with pytest.raises(ArgumentError, match="^the folder must"):
        expand(path, "the folder")


def test_what_cannot_be_there_is_not_locked(tmp_path):
    for name in ("nothing", "x" * 5000, "\0"):
        assert not is_locked(tmp_path / name)


def test_names():
    assert name_of("lenet5", "a b", 0.5, "c:d") == "lenet5-a_b-0.5-c_d"
    exact = "x" * LONGEST_NAME
    assert name_of(exact) == exact


def test_long_names_are_cut_and_differ():
    """In what was cut off, and in what became an underscore."""
    deep = ["mlp:" + "30," * 100 + f"{last}" for last in range(1, 101)]
    runs = [Settings(model=model).name() for model in deep]
    runs += [Settings(model=deep[0], seed=seed).name() for seed in range(1, 100)]
    runs += [name_of("x" * 90 + sign) for sign in "+*ü\ud800"]
    assert len(set(runs)) == len(runs) and {len(name) for name in runs} == {LONGEST_NAME}
    assert all(name.startswith("mlp_30_30") for name in runs[:-4])
