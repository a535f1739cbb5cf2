"""What the benchmarks share: their options and checks, the machine, and reports."""

import os
import platform
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from minicnn.cli.options import Parser
from minicnn.errors import ArgumentError, MinicnnError
from minicnn.training.runs.files import json_file
from minicnn.training.runs.values import versions


def rates(work, seconds):
    """``work / s`` for each number of seconds, and the median of that."""
    each = [work / s for s in seconds]
    return each, statistics.median(each)


def torch_version(python):
    """The version of PyTorch that an interpreter has.

    Raises
    ------
    ArgumentError
        If it does not run, or has no PyTorch or NumPy.
    """
    found = subprocess.run(
        [python, "-c", "import numpy, torch; print(torch.__version__)"],
        capture_output=True, text=True,
    )  # fmt: skip
    if found.returncode:
        why = (found.stderr.strip().splitlines() or ["it does not run"])[-1]
        raise ArgumentError(
            f"{python} has no PyTorch ({why}): install the bench extra, pip install"
            " 'minicnn[bench]', or name an interpreter that has it with --python, see"
            " benchmarks/README.md."
        )
    return found.stdout.split()[-1]


def make_parser(description, **defaults):
    """A parser with the options that all benchmarks have, and these defaults."""
    parser = Parser(description=description, allow_abbrev=False)
    parser.add_argument(
        "--threads", metavar="N", type=int, default=min(2, cores()), help="processors to use"
    )
    parser.add_argument("--json", metavar="FILE", help="write the numbers into this file")
    parser.set_defaults(**defaults)
    return parser


def add_peer_options(parser):
    """The options that say what to compare with."""
    parser.add_argument("--against", choices=["torch", "none"], default="torch", help="the peer")
    parser.add_argument(
        "--python", metavar="FILE", default=sys.executable, help="an interpreter with PyTorch"
    )


def check_options(options, **minimum):
    """Check counts by their least values, the threads, and the peer's interpreter.

    The path of the interpreter becomes absolute, and ``options.torch`` PyTorch's version or
    None.

    Raises
    ------
    ArgumentError
    """
    for name, least in minimum.items():
        given, option = getattr(options, name), name.replace("_", "-")
        if given < least:
            raise ArgumentError(f"--{option} must be at least {least}, got {given}.")
    if not 1 <= options.threads <= cores():
        raise ArgumentError(f"--threads must be from 1 to {cores()}, got {options.threads}.")
    if options.json is not None:
        path = Path(options.json)
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise ArgumentError(
                f"--json: {path} cannot be written; name a file in a folder of yours."
            )
    options.torch = None
    if getattr(options, "against", "none") == "torch":
        found = shutil.which(options.python)
        if found is None:
            raise ArgumentError(f"--python: there is no program {options.python}.")
        options.python = os.path.abspath(found)
        options.torch = torch_version(options.python)


def counts(option, text):
    """Whole numbers of at least 0 from a string such as ``16,32``.

    Raises
    ------
    ArgumentError
    """
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise ArgumentError(f"{option} takes whole numbers such as 16,32, got {text!r}.")
    return [int(word) for word in words]


def cores():
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def machine(torch=None):
    """Processor, cores, system and versions, as a dict."""
    about = {"cpu": _cpu(), "cores": cores(), "system": platform.platform(), **versions()}
    return about if torch is None else {**about, "torch": torch}


def _cpu():
    try:
        with open("/proc/cpuinfo") as lines:
            return (
                next(line for line in lines if line.startswith("model name")).split(":")[1].strip()
            )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def table(head, rows):
    """A Markdown table; all columns but the first stand to the right."""
    head, *rows = [[str(cell) for cell in row] for row in (head, *rows)]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plural(count, word):
    """``1 thread``, ``2 threads``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def note(text):
    """Say on stderr what is being done."""
    print(f"... {text}", file=sys.stderr, flush=True)


def write_json(path, value):
    """Write a JSON file, unless the path is None."""
    if path is None:
        return
    try:
        Path(path).write_bytes(json_file(value))
    except OSError as error:
        raise ArgumentError(f"--json: cannot write {path}: {error.strerror or error}.") from error


def run(main):
    """Call ``main()`` and exit; an error of ours is one sentence and its exit code."""
    try:
        main()
    except MinicnnError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("error: interrupted.", file=sys.stderr)
        sys.exit(130)
