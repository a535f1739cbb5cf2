"""Files are written whole or not at all, and JSON is JSON."""

import errno
import json
import os
import stat

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.training.runs.files import (
    flush_folder,
    is_temporary,
    json_file,
    to_json,
    write_atomically,
)


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "file"
    for data in (b"first", b"the second, longer"):
        write_atomically(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_content_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    path, events = tmp_path / "file", []
    path.write_bytes(b"old")
    fsync, replace = os.fsync, os.replace

    def spy_fsync(number):
        if stat.S_ISDIR(os.fstat(number).st_mode):
            events.append(("fsync of the folder", path.read_bytes()))
        else:
            events.append(("fsync", os.fstat(number).st_size, path.read_bytes()))
        fsync(number)

    def spy_replace(source, target):
        events.append(("replace", os.path.dirname(source) == str(tmp_path)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    write_atomically(path, b"new content")
    renamed = [("replace", True), ("fsync of the folder", b"new content")]
    assert events == [("fsync", 11, b"old"), *renamed]


def test_the_old_file_can_be_kept(tmp_path, monkeypatch):
    path, before = tmp_path / "file", tmp_path / "before"
    for data in (b"1", b"2", b"3"):
        write_atomically(path, data, keep=before)
    assert (path.read_bytes(), before.read_bytes()) == (b"3", b"2")

    def fail(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ArgumentError):
        write_atomically(path, b"4", keep=before)
    assert (path.read_bytes(), before.read_bytes()) == (b"3", b"2")
    assert sorted(os.listdir(tmp_path)) == ["before", "file"]


def test_a_folder_that_cannot_be_flushed_is_no_error(tmp_path, monkeypatch):
    def fail(number):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", fail)
    flush_folder(tmp_path)


def test_temporary_files_are_known_by_their_name(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda number: seen.extend(tmp_path.iterdir()))
    write_atomically(tmp_path / "model.safetensors", b"1")
    assert is_temporary(seen[0]) and not is_temporary(tmp_path / "model.safetensors")
    for name in (".model.tmp", ".model.x1.tmp", "model.1.tmp", ".model.1.tmp.gz", ".1.tmp"):
        assert not is_temporary(tmp_path / name)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    def fail(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(ArgumentError, match=f"cannot write .*file: {os.strerror(errno.ENOSPC)}"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(ArgumentError, match="cannot write"):
        write_atomically(tmp_path / "nowhere" / "file", b"x")


def test_json_has_no_nan():
    value = {
        "nan": float("nan"),
        "inside": [1.5, float("inf"), (np.float32("nan"), np.int64(3))],
        "array": np.array([[1.0, -np.inf]]),
        "flag": np.bool_(True),
        "count": 2,
        "none": None,
        "text": "ü",
    }

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    text = to_json(value)
    assert "\n" not in text
    assert json.loads(text, parse_constant=refuse) == {
        "nan": None,
        "inside": [1.5, None, [None, 3]],
        "array": [[1.0, None]],
        "flag": True,
        "count": 2,
        "none": None,
        "text": "ü",
    }


def test_a_name_that_is_not_utf8_is_written_as_json_and_read_again():
    name = b"/tmp/d\xff".decode("utf-8", "surrogateescape")
    data = json_file({"data": name, "plain": "µ"})
    assert json.loads(data)["data"] == name and "µ".encode() in data
