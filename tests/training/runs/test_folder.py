"""The folder of a run: new, alone, and gone again if nothing could be written."""

import os

import pytest

from minicnn.errors import ArgumentError
from minicnn.training.runs.folder import RunFolder
from minicnn.training.runs.lock import FolderLock
from minicnn.training.runs.settings import Settings


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_default_folder_is_always_a_new_one():
    paths = [RunFolder(None, "lenet5").path.as_posix() for _ in range(3)]
    assert paths == ["runs/lenet5", "runs/lenet5-2", "runs/lenet5-3"]
    assert all(os.path.isdir(path) for path in paths)


def test_the_default_folder_of_a_deep_model_has_a_name_that_can_be():
    deep = ["mlp:" + "30," * 100 + last for last in ("10", "20")]
    paths = [RunFolder(None, Settings(model=model).name()).path for model in deep]
    assert paths[0] != paths[1] and all(path.is_dir() for path in paths)


def test_a_given_folder_is_made_or_taken_if_it_is_empty(tmp_path):
    assert RunFolder("a/b", "x").path.is_dir()
    (tmp_path / "empty").mkdir()
    RunFolder("empty", "x").write("file", b"1")
    assert (tmp_path / "empty" / "file").read_bytes() == b"1"


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path):
    RunFolder("a", "x").write("config.json", b"first")
    with pytest.raises(ArgumentError, match="folder a is not empty.*--out"):
        RunFolder("a", "x")
    assert (tmp_path / "a" / "config.json").read_bytes() == b"first"


@pytest.mark.parametrize("out", ["file", "file/inside", None])
def test_a_folder_that_cannot_be_made(tmp_path, out):
    (tmp_path / ("runs" if out is None else "file")).write_bytes(b"")
    with pytest.raises(ArgumentError, match="cannot write"):
        RunFolder(out, "x")


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_that_cannot_be_written_is_as_before(tmp_path, monkeypatch, made):
    def fail(*arguments):
        raise OSError(30, "Read-only file system")

    if not made:
        (tmp_path / "a").mkdir()
    monkeypatch.setattr(os, "replace", fail)
    folder = RunFolder("a", "x")
    with pytest.raises(ArgumentError, match="a.config.json: Read-only file system"):
        folder.write("config.json", b"1")
    assert (tmp_path / "a").exists() == (not made)
    assert made or not os.listdir("a")


def test_a_later_failure_keeps_what_was_written(tmp_path, monkeypatch):
    folder = RunFolder("a", "x")
    folder.write("config.json", b"1")
    monkeypatch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(ArgumentError):
        folder.write("model", b"2")
    assert os.listdir("a") == ["config.json"]


def test_withdraw_takes_only_what_was_written(tmp_path):
    folder = RunFolder("a", "x")
    folder.write("config.json", b"1")
    (tmp_path / "a" / "note").write_bytes(b"mine")
    folder.withdraw()
    assert os.listdir("a") == ["note"]
    other = RunFolder("b", "x")
    other.write("config.json", b"1")
    other.withdraw()
    assert not os.path.exists("b")


def test_what_a_kill_left_is_no_content(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".config.json.77.tmp").write_bytes(b"half")
    RunFolder("a", "x").write("config.json", b"1")
    assert os.listdir("a") == ["config.json"]


def test_a_folder_that_is_refused_keeps_all_its_files(tmp_path):
    (tmp_path / "a").mkdir()
    names = [".config.json.77.tmp", "mine"]
    for name in names:
        (tmp_path / "a" / name).write_bytes(b"")
    with pytest.raises(ArgumentError, match="not empty"):
        RunFolder("a", "x")
    assert sorted(os.listdir("a")) == names
    FolderLock("a").release()


def test_one_process_has_a_folder(tmp_path):
    first = RunFolder("a", "x")
    with pytest.raises(ArgumentError, match="another process is at work in a"):
        RunFolder("a", "x")
    first.write("config.json", b"1")
    with pytest.raises(ArgumentError, match="another process is at work in a"):
        RunFolder.reopen("a")
    first.release()
    RunFolder.reopen("a")


def test_a_folder_that_is_gone_on_with(tmp_path, monkeypatch):
    RunFolder("a", "x").write("config.json", b"1")
    (tmp_path / "a" / ".model.9.tmp").write_bytes(b"half")
    again = RunFolder.reopen("a")
    again.write("model", b"2")
    again.withdraw()
    assert sorted(os.listdir("a")) == ["config.json", "model"]
    with pytest.raises(ArgumentError, match="nothing was begun in a: it has no grid.json"):
        RunFolder.reopen("a", "grid.json")
    with pytest.raises(ArgumentError, match="nothing was begun in b: there is no such folder"):
        RunFolder.reopen("b")
    again = RunFolder.reopen("a")
    monkeypatch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(ArgumentError, match="full"):
        again.write("model", b"3")
    assert (tmp_path / "a" / "model").read_bytes() == b"2"
