"""Folders that cannot be searched, read or written: one sentence, and the right exit code."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from tests.data.idx_files import NAMES, digits, write_folder
from tests.faults.processes import run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="other rights")

# Runs command lines one after the other, as another user if this one is root, who may all. What
# is imported late is imported before: that user may not see Python's own folder.
SCRIPT = """
import io, json, os, sys
folder, commands, limit = json.loads(sys.argv[1])
from minicnn.cli import main
import minicnn.lab.ablation.report, minicnn.lab.preflight, minicnn.training.runs.resume
try:
    import joblib
except ImportError:
    pass
if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
os.chdir(folder)
os.environ["MINICNN_DATA"] = folder + "/data"
if os.geteuid() == 0:
    os.setegid(12345)
    os.seteuid(12345)
found = []
for command in commands:
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    data = command[0].partition("MINICNN_DATA=")[2]
    if data:
        os.environ["MINICNN_DATA"] = data
    code = main(["--model=mlp:4", "--epochs=1", "--quiet", *command[bool(data):]])
    found.append((code, sys.stdout.getvalue(), sys.stderr.getvalue()))
    os.environ["MINICNN_DATA"] = folder + "/data"
sys.__stdout__.write(json.dumps(found))
"""


@pytest.fixture
def folder():
    """A folder that everybody may use, with data in it, and others that nobody may."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o777)
    write_folder(path / "data", digits(train=50, test=21), NAMES)
    write_folder(path / "unreadable", digits(train=50, test=21), NAMES)
    (path / "unreadable" / NAMES[0]).chmod(0)
    shutil.copytree(path / "data", path / "locked/data")
    for inner in ("locked/run", "closed"):
        (path / inner).mkdir()
        (path / inner / "config.json").write_text("{}")
    (path / "secret").mkdir()
    (path / "secret/config.json").write_text("{}")
    (path / "secret/config.json").chmod(0)
    (path / "readonly").mkdir(mode=0o555)
    (path / "file").write_text("a file")
    (path / "dangling").symlink_to("nowhere")
    (path / "loop").symlink_to("loop")
    (path / "locked").chmod(0)
    (path / "closed").chmod(0o666)  # may be listed, but not searched
    yield path
    for inner in ("locked", "closed"):
        (path / inner).chmod(0o777)
    shutil.rmtree(path)


def outcomes(folder, commands, limit=None):
    out, _ = run(SCRIPT, json.dumps([str(folder), commands, limit]))
    return json.loads(out)


LONG = "a" * 300
FAULTS = [
    (2, "cannot write locked/new: Permission denied", ["--out", "locked/new"]),
    (2, "cannot write locked: Permission denied", ["--out", "locked"]),
    (2, "cannot write closed/new: Permission denied", ["--out", "closed/new"]),
    (2, "cannot write readonly/new: Permission denied", ["--out", "readonly/new"]),
    (2, ".json: Permission denied", ["--out", "readonly"]),
    (2, "File name too long. Choose a shorter --out", ["--out", LONG]),
    (2, "File name too long. Choose a shorter --out", ["--out", f"new/{LONG}"]),
    (2, "File name too long. Choose a shorter --out", ["--out", "a/" * 3000]),
    (2, "a folder is needed: choose another --out", ["--out", "file"]),
    (2, "a folder is needed: choose another --out", ["--out", "file/new"]),
    (2, "a folder is needed: choose another --out", ["--out", "dangling"]),
    (2, "cannot write loop", ["--out", "loop"]),
    (2, "must not hold a NUL character", ["--out", "a\0b"]),
    (2, "no home folder is known for ~nobody-there", ["--out", "~nobody-there/runs"]),
    (2, "cannot look into locked/run", ["--resume", "locked/run"]),
    (2, "cannot look into locked", ["--resume", "locked"]),
    (2, "cannot look into closed", ["--resume", "closed"]),
    (2, "nothing was begun in aaa", ["--resume", LONG]),
    (2, "nothing was begun in file", ["--resume", "file/run"]),
    (2, "nothing was begun in dangling", ["--resume", "dangling"]),
    (2, "must not hold a NUL character", ["--resume", "a\0b"]),
    (3, "cannot read secret/config.json: Permission denied", ["--resume", "secret"]),
    (3, "locked/data: it, or a folder around it, may not be", ["--data", "locked/data"]),
    (3, "closed: it, or a folder around it, may not be", ["--data", "./closed"]),
    (3, "cannot be read: Permission denied", ["--data", "./unreadable"]),
    (3, "locked: it, or a folder around it, may not be", ["MINICNN_DATA=locked"]),
    (3, "cannot be read: Permission denied", ["MINICNN_DATA=unreadable"]),
    (2, "no home folder is known for ~nobody-there", ["MINICNN_DATA=~nobody-there"]),
]  # fmt: skip


def test_each_is_a_sentence(folder):
    found = outcomes(folder, [command for _, _, command in FAULTS])
    for (code, says, command), (got, out, err) in zip(FAULTS, found):
        assert (got, out) == (code, ""), (command, err)
        assert says in err and err.startswith("error: ") and err.count("\n") == 1, command
    kept = {"data", "unreadable", "locked", "closed", "secret", "readonly", "file", "dangling"}
    assert set(os.listdir(folder)) <= kept | {"loop", "new"}  # what is around the long name


def test_comparisons_say_the_same(folder):
    pytest.importorskip("joblib")
    faults = [
        (code, says, ["--ablate", "init=zeros,msra", "--seeds", "1", *command])
        for code, says, command in FAULTS if "--out" in command or "--data" in command
    ]  # fmt: skip
    found = outcomes(folder, [command for _, _, command in faults])
    for (code, says, command), (got, out, err) in zip(faults, found):
        assert got == code and says in err and err.count("\n") == 1, (command, err)
        assert "Traceback" not in out + err


# Reads files of weights as another user.
READ = """
import json, os, sys
folder, paths = json.loads(sys.argv[1])
from minicnn import Sequential, layers
from minicnn.errors import DataError
from minicnn.training import load_weights
model = Sequential(layers.Dense(2))
model.initialize((3,))
os.chdir(folder)
if os.geteuid() == 0:
    os.setegid(12345)
    os.seteuid(12345)
for path in paths:
    try:
        load_weights(model, path)
    except DataError as error:
        print(error)
"""


def test_weights_that_cannot_be_read(folder):
    (folder / "best.safetensors").write_bytes(b"x" * 100)
    (folder / "best.safetensors").chmod(0)
    paths = ["best.safetensors", "locked/run/best.safetensors", "dangling", "loop", LONG, "a\0b"]
    out, _ = run(READ, json.dumps([str(folder), paths]))
    lines = out.splitlines()
    assert len(lines) == len(paths) and all("cannot read" in line for line in lines)
    assert "Permission denied" in lines[0] and "may not be searched" in lines[1]


def test_a_full_disk_is_a_sentence(folder):
    """As a limit of the size of files, which is met first by the largest of them."""
    ((code, _, err),) = outcomes(folder, [["--out", "run"]], limit=1200)
    assert code == 2 and err.count("\n") == 1
    assert "cannot write run" in err and "File too large" in err
