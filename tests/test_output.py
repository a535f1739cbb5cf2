"""Lines for people: printed where somebody reads, and no reason to end where nobody does."""

import os
import subprocess
import sys

import pytest

from minicnn.output import say


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
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "run" / "summary.json").exists()
