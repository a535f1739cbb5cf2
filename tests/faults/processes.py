"""Python in a process of its own, for what ends processes or must begin in a fresh one."""

import os
import subprocess
import sys
from pathlib import Path

import minicnn

CLONE = Path(minicnn.__file__).parents[1]
LONGEST = 300  # seconds; what hangs is a failure


def start(script, *arguments, folder=CLONE, **environment):
    """Begin to run a script with the package in `folder`."""
    changed = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    changed |= {name: str(value) for name, value in environment.items()}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=folder, env=changed, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process):
    """Exit code, stdout and stderr of a process that was begun, at its end."""
    try:
        out, err = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out, err


def run(script, *arguments, **settings):
    """Run a script to its end, which must be a good one; stdout and stderr."""
    code, out, err = finish(start(script, *arguments, **settings))
    assert code == 0, f"exit code {code}\n{out}{err}"
    return out, err
