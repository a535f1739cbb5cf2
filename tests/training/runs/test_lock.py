"""A folder is one process's at a time, and nobody's after that process was killed."""

import subprocess
import sys
from pathlib import Path

import pytest

import minicnn
from minicnn.errors import ArgumentError
from minicnn.training.runs.lock import FolderLock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
HOLD = (
    "import sys; from minicnn.training.runs.lock import FolderLock; lock = FolderLock(sys.argv[1]);"
)


def test_one_at_a_time(tmp_path):
    lock = FolderLock(tmp_path)
    with pytest.raises(ArgumentError, match=f"another process is at work in {tmp_path}"):
        FolderLock(tmp_path)
    lock.release()
    lock.release()
    other = FolderLock(tmp_path)
    del other
    FolderLock(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_lock_goes_with_its_process(tmp_path):
    clone = Path(minicnn.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD + "print(flush=True); input()", tmp_path],
        cwd=clone, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.readline()
    with pytest.raises(ArgumentError):
        FolderLock(tmp_path)
    process.kill()
    process.communicate()
    FolderLock(tmp_path)


def test_other_folders_are_free(tmp_path):
    lock = FolderLock(tmp_path)
    (tmp_path / "inside").mkdir()
    FolderLock(tmp_path / "inside")
    lock.release()
