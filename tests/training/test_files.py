"""Files are written whole or not at all, and JSON is JSON."""

import errno
import json
import os

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.training.files import to_json, write_atomically


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
        events.append(("fsync", os.fstat(number).st_size, path.read_bytes()))
        fsync(number)

    def spy_replace(source, target):
        events.append(("replace", os.path.dirname(source) == str(tmp_path)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    write_atomically(path, b"new content")
    assert events == [("fsync", 11, b"old"), ("replace", True)]


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
