"""A reader with every fault there is, to see that an attack notices; not among `KINDS`."""

import os
import pickle
import time

from minicnn.errors import DataError
from tests.long import attack

SHARE = 1
TARGETS = ("file",)

held = len


def prepare(folder):
    """A file that is read without a fault."""
    (folder / "file").write_bytes(b"good")


def _wait(folder):
    end = time.process_time() + 1.1 * attack.HANG_SECONDS
    while time.process_time() < end:
        pass


def _allocate(folder):
    bytes(4 * attack.MARGIN)


def _write_outside(folder):
    (folder.parent / "outside" / "evil").write_bytes(b"")


def _lose(folder):
    (folder / "file").unlink()


def _be_wordy(folder):
    raise DataErrorOfAnyLength("x" * (attack.LONGEST_MESSAGE + 1))


class DataErrorOfAnyLength(DataError):
    """An error that says all it was given."""

    __str__ = Exception.__str__


# What the reader does when it finds this in its file, and what is to be said of it.
FAULTS = {
    "raises KeyError": (lambda folder: {}["x"], "KeyError: 'x'"),
    "takes long": (_wait, "s of processor time"),
    "allocates": (_allocate, "allocated 8"),
    "ends the process": (lambda folder: os.abort(), "the process ended with -6"),
    "writes elsewhere": (_write_outside, "evil' to write; files are not as they were"),
    "loses the file": (_lose, "os.remove"),
    "starts a program": (lambda folder: os.system("true"), "os.system"),
    "unpickles": (lambda folder: pickle.loads(pickle.dumps(os.system)), "pickle.find_class"),
    "is wordy": (_be_wordy, "a message of 2001 characters"),
    "accepts": (lambda folder: "nonsense", "what was accepted is wrong"),
}


def read(folder):
    """Do what the file says."""
    content = (folder / "file").read_text()
    return FAULTS[content][0](folder) if content in FAULTS else "good"


def check(folder, found):
    """Only good things may be accepted."""
    assert found != "nonsense"


def mutated(content, rng):
    """No accidents."""
    return content


def handmade(target, content):
    """Each fault, and a file without."""
    return {"good": content, **{name: name.encode() for name in FAULTS}}
