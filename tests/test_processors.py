"""How many processors there are to use: control groups are files, which stand in a folder here."""

import math
import os

import pytest

from minicnn import processors
from tests.faults.processes import run


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return processors.quota(root / "cgroup", root / "fs")


CASES = {
    "in a container": ("0::/\n", {"fs/cpu.max": "150000 100000\n"}, 1.5),
    "without a limit": ("0::/\n", {"fs/cpu.max": "max 100000\n"}, math.inf),
    "a group within a limited one": (
        "0::/a/b\n", {"fs/a/b/cpu.max": "max 100000\n", "fs/a/cpu.max": "50000 100000\n"}, 0.5
    ),
    "the smallest": (
        "0::/a/b\n", {"fs/a/b/cpu.max": "100000 100000", "fs/a/cpu.max": "300000 100000"}, 1.0
    ),
    "the first version": (
        "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n",
        {
            "fs/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "200000\n",
            "fs/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
        },
        2.0,
    ),
    "the first version without a limit": (
        "5:cpu:/\n", {"fs/cpu/cpu.cfs_quota_us": "-1", "fs/cpu/cpu.cfs_period_us": "100000"},
        math.inf,
    ),
    "the first version, another controller": (
        "5:cpuset:/\n",
        {"fs/cpu/cpu.cfs_quota_us": "1000", "fs/cpu/cpu.cfs_period_us": "1000"}, math.inf,
    ),
    "nonsense": ("x\n0:\n", {"fs/cpu.max": "a b c\n"}, math.inf),
    "nothing": ("", {}, math.inf),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_smallest_limit_counts(tmp_path, name):
    groups, files, expected = CASES[name]
    assert write(tmp_path, {"cgroup": groups, **files}) == expected


def test_no_such_files(tmp_path):
    assert processors.quota(tmp_path / "none", tmp_path) == math.inf


@pytest.mark.parametrize(("share", "count"), [(0.2, 1), (1.0, 1), (1.5, 2), (1e9, os.cpu_count())])
def test_part_of_a_processor_is_one(monkeypatch, share, count):
    monkeypatch.setattr(processors, "affinity", lambda: os.cpu_count())
    monkeypatch.setattr(processors, "quota", lambda: share)
    assert processors.usable() == min(count, os.cpu_count())


def test_kernels_and_runs_begin_with_as_many_threads():
    """As many as Numba has, too, and more if they are asked for."""
    script = """
import os
os.environ.pop("NUMBA_NUM_THREADS", None)
from minicnn import processors
processors.quota = lambda: 1.0
from minicnn.kernels.runtime import thread_pool
from minicnn.training.runs.settings import Settings
print(thread_pool.get_num_threads(), Settings().threads)
thread_pool.set_num_threads(thread_pool.MOST)
assert Settings(threads=thread_pool.MOST).threads == thread_pool.get_num_threads()
"""
    assert run(script)[0].split() == ["1", "1"]


def test_who_says_how_many_threads_gets_them(monkeypatch):
    monkeypatch.setattr(processors, "usable", lambda: 1)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    assert processors.default_threads(3) == 1
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    assert processors.default_threads(3) == 3
