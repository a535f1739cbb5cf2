"""A batch or a model that does not fit: how much was asked, what to do, and no folder left."""

import sys

import pytest

from tests.data.idx_files import NAMES, digits, write_folder
from tests.faults.processes import finish, start

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_AS")

# The command line in a process that may have so many more bytes of address space than it has.
SCRIPT = """
import resource, sys
from minicnn import data, training
from minicnn.cli import main
from minicnn.models import sequential, zoo
from minicnn.training.runs.run import Run

size = next(int(line.split()[1]) for line in open("/proc/self/status") if "VmSize" in line) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[1]),) * 2)
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("words", "what"),
    [
        # Batch normalization needs the whole batch at once: 16 maps of 24x20 for each image.
        ("--model resnet8 --batch-size 10000000", "float32 of shape (500, 16, 24, 20, 16)"),
        ("--model mlp:50000x2 --init zeros", "weights of shape (50000, 50000)"),
    ],
)
def test_too_little_memory_is_one_clear_sentence(words, what, tmp_path):
    folder = write_folder(tmp_path / "data", digits(train=8000, size=(24, 20)), NAMES)
    out = tmp_path / "out"
    code, printed, err = finish(
        start(
            SCRIPT, 550_000_000, *words.split(), "--quiet", "--data", folder, "--out", out,
            NUMBA_NUM_THREADS=1,
        )
    )  # fmt: skip
    assert code == 2 and printed == ""
    assert err.startswith("error: not enough memory") and err.count("\n") == 1
    assert what in err and "smaller" in err and "batch" in err
    assert not out.exists()
