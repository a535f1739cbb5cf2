"""A copy of the package with a small kernel of its own, to be edited and run."""

import json
import shutil

from tests.faults import processes

# Builds on a function of another module and on a constant of a third, outside of the kernels.
PROBE = """
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.probe_part import twice
from minicnn.lanes import LANES

@kernel
def total(x):
    return twice(x[0]) + LANES
"""
PART = """
from numba.extending import register_jitable

@register_jitable
def twice(x):
    return 2 * x
"""

# Waits for a file if one is named, so that several begin at once; removes what else is named
# and puts a file in its place; then calls the kernel with each type.
SCRIPT = """
import json, os, shutil, sys, time
import numpy as np
from minicnn.kernels import probe
from minicnn.kernels.runtime import cache

types, gate, remove = json.loads(sys.argv[1])
while gate and not os.path.exists(gate):
    time.sleep(0.001)
if remove:
    shutil.rmtree(remove)
    open(remove, "w").close()
values = {t: float(probe.total(np.array([3], t))) for t in types}
stats = probe.total.stats
hits, misses = (sum(c.values()) for c in (stats.cache_hits, stats.cache_misses))
where = probe.total._cache.cache_path
print(json.dumps({"values": values, "hits": hits, "misses": misses, "where": where}))
"""


class Copy:
    """The package in `folder`, with its cache in ``folder/cache``."""

    def __init__(self, folder):
        self.folder, self.cache = folder, folder / "cache"
        shutil.copytree(
            processes.CLONE / "minicnn", folder / "minicnn",
            ignore=shutil.ignore_patterns("__pycache__"),
        )  # fmt: skip
        self.kernels = folder / "minicnn" / "kernels"
        (self.kernels / "probe.py").write_text(PROBE)
        (self.kernels / "probe_part.py").write_text(PART)

    def start(self, *types, gate=None, remove=None, **environment):
        """Begin to call the kernel in a new process."""
        arguments = json.dumps([types or ["float32"], gate and str(gate), remove and str(remove)])
        environment = {"NUMBA_CACHE_DIR": self.cache, "NUMBA_NUM_THREADS": 1, **environment}
        return processes.start(SCRIPT, arguments, folder=self.folder, **environment)

    def run(self, *types, **settings):
        """Call the kernel in a new process; what it found, and stderr as ``errors``."""
        return self.finish(self.start(*types, **settings))

    @staticmethod
    def finish(process):
        """The end of a process, which must be a good one."""
        code, out, err = processes.finish(process)
        assert code == 0, err
        return {**json.loads(out), "errors": err}

    def edit(self, path, old, new):
        """Change a source file."""
        path = self.folder / "minicnn" / path
        source = path.read_text()
        assert source.count(old) == 1, f"{path} is written differently now"
        path.write_text(source.replace(old, new))

    def files(self):
        """Kernels that are kept."""
        return sorted(self.cache.rglob("*.kernel"))
