"""Lines for people: printed where somebody reads, and no reason to end where nobody does."""

import os
import re
import subprocess
import sys

import pytest

import minicnn
from minicnn.console.output import complain, first_line, say


def test_lines_go_to_stdout_or_a_file(capsys):
    say("one", 2)
    say("three", file=sys.stderr)
    assert capsys.readouterr() == ("one\n2\n", "three\n")


def test_a_stream_without_a_file_of_the_system_is_no_error():
    class Closed:
        def write(self, text):
            raise BrokenPipeError

        flush = write

        def fileno(self):
            raise ValueError

    say("nobody", file=Closed())


TRAIN = [sys.executable, "-m", "minicnn", "--model", "mlp:8", "--limit", "64", "--epochs", "2"]


@pytest.mark.skipif(os.name == "nt", reason="pipes of another kind")
def test_a_training_whose_reader_has_gone_ends_whole(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    command = [*TRAIN, "--out", str(tmp_path / "run")]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=300)
    os.close(writer)
    said = re.sub(rb"compiling kernels .*\n", b"", done.stderr)  # on a slow machine
    assert (done.returncode, said) == (0, b"")
    assert (tmp_path / "run" / "summary.json").exists()


def test_complaints_without_a_stderr_do_not_go_to_stdout(capsys, monkeypatch):
    complain("one")
    assert capsys.readouterr() == ("", "one\n")
    monkeypatch.setattr(sys, "stderr", None)
    complain("two")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(sys, "stdout", None)
    say("three")


# As by pythonw, and by a service whose streams were closed.
WITHOUT = """
import sys
gone, argv = sys.argv[1].split(","), sys.argv[2:]
for name in gone:
    setattr(sys, name, None)
import threading
timer = threading.Timer
threading.Timer = lambda delay, function: timer(0, function)  # so that compiling is announced
from minicnn.cli import main
codes = [main(argv), main(["--init", "zero"]), main(["--model", "help"])]
open("codes", "w").write(repr(codes))
"""


@pytest.mark.parametrize("gone", ["stderr", "stdout", "stdout,stderr"])
def test_a_process_without_streams_trains(tmp_path, gone):
    arguments = [*TRAIN[3:], "--out", str(tmp_path / "run")]
    command = [sys.executable, "-c", WITHOUT, gone, *arguments]
    clone = os.path.dirname(os.path.dirname(minicnn.__file__))
    environment = {**os.environ, "PYTHONPATH": clone}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=environment
    )
    assert (tmp_path / "codes").read_text() == "[0, 2, 0]"
    assert "Traceback" not in done.stderr and "error" not in done.stdout
    assert "stdout" in gone or "finished" in done.stdout
    assert (tmp_path / "run" / "summary.json").exists()


def test_the_first_line_of_a_docstring_may_be_missing():
    def plain():
        """One.

        Two.
        """

    assert first_line(plain) == "One."
    plain.__doc__ = None
    assert first_line(plain) == ""


@pytest.mark.parametrize("option", ["--init", "--model"])
def test_help_without_docstrings(option):
    """As under ``python -OO``."""
    command = [sys.executable, "-OO", "-m", "minicnn", option, "help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    known = {"--init": "zeros", "--model": "lenet5"}[option]
    assert any(line.split()[:1] == [known] for line in done.stdout.splitlines())


@pytest.mark.parametrize("module", ["experiments.theory_evaluation", "experiments"])
def test_other_commands_without_docstrings(module):
    pytest.importorskip("scipy")
    command = [sys.executable, "-OO", "-m", module, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "usage" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="no such encodings of a terminal")
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_a_terminal_without_our_signs(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "minicnn", "--init", "help"]
    done = subprocess.run(command, capture_output=True, timeout=300, env=environment)
    assert done.returncode == 0 and b"orthogonal" in done.stdout and b"Traceback" not in done.stderr
