"""``minicnn doctor``: this machine as the kernels see it, and what would make it faster."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minicnn.cli.options import Parser
from minicnn.console.output import say

FEATURES = ("avx", "avx2", "fma", "avx512f", "neon", "sve")


def parser() -> Parser:
    """The parser of this command."""
    text = "Say what the kernels find on this machine, and what is slow. Paste it into a report."
    return Parser(prog="minicnn doctor", description=text)


def run(words: Sequence[str]) -> int:
    """Carry the command out; returns the exit code."""
    parser().parse_args(words)
    found = examine()
    width = max(map(len, found)) + 2
    for name, value in found.items():
        say(f"{name:<{width}}{value}")
    for line in advice(found):
        say(f"- {line}")
    return 0


def examine() -> dict[str, Any]:
    """What there is to know, by name, in the order in which it is printed."""
    import llvmlite
    import llvmlite.binding as llvm
    import numba

    from minicnn import processors
    from minicnn.kernels import peak
    from minicnn.kernels.conv import correlate
    from minicnn.kernels.runtime import thread_pool
    from minicnn.kernels.simd import vector
    from minicnn.training.runs.values import versions

    folder, writable, size = _cache(peak.multiply_add)
    quota = processors.quota()
    told = {
        name: os.environ[name] for name in sorted(os.environ)
        if name.startswith(("NUMBA_", "MINICNN_"))
    }  # fmt: skip
    features = vector.target_features()
    return {
        "versions": ", ".join(f"{k} {v}" for k, v in versions().items())
        + f", llvmlite {llvmlite.__version__}",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": numba.config.CPU_NAME or llvm.get_host_cpu_name(),
        "instructions": " ".join(f for f in FEATURES if f in features) or "unknown",
        "registers": f"{vector.REGISTER_COUNT} of {vector.REGISTER_BYTES} bytes",
        "tile of a convolution": f"{correlate.MAX_ROWS} channels x {correlate.COLUMNS} pixels",
        "processors": f"{os.cpu_count()}, of which this process may run on {processors.affinity()}",
        "quota": "none" if quota == float("inf") else f"{quota:g} processors",
        "threads": f"{thread_pool.get_num_threads()} of at most {thread_pool.MOST}",
        "load": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
        "multiply-adds": f"{peak.measure_peak(3, 3000) / 1e9:.0f} GFLOP/s in float32",
        "kernel cache": folder,
        "its state": f"{'can' if writable else 'cannot'} be written, {size / 1e6:.0f} MB",
        "settings": " ".join(f"{k}={v}" for k, v in told.items()) or "none",
    }


def _cache(kernel):
    """The folder in which compiled kernels are kept, whether it can be written, and its bytes."""
    files = getattr(kernel._cache, "_cache_file", None)
    if files is None:
        return "nowhere", False, 0
    folder = Path(files.folder)
    there = next(place for place in (folder, *folder.parents) if place.is_dir())
    kept = folder.iterdir() if folder.is_dir() else ()
    return str(folder), os.access(there, os.W_OK), sum(path.stat().st_size for path in kept)


def advice(found: dict[str, Any]) -> list[str]:
    """What is slow by what `examine` has found, and what helps: a sentence each."""
    lines = []
    instructions = found["instructions"].split()
    if found["system"].endswith(("x86_64", "AMD64")) and "fma" not in instructions:
        lines.append(
            "Kernels are compiled without fused multiply-adds, which makes them some thirty times"
            " slower: unset NUMBA_CPU_NAME and NUMBA_CPU_FEATURES, or take a processor with FMA"
            " (Haswell and Zen, or newer)."
        )
    if "cannot" in found["its state"]:
        lines.append(
            "Compiled kernels cannot be kept, so every start compiles them anew: set"
            " NUMBA_CACHE_DIR to a folder that can be written."
        )
    threads, most = (int(word) for word in found["threads"].split() if word.isdigit())
    if threads < most:
        lines.append(
            f"Of {most} processors {threads} are used, as the container's quota says: give it more"
            " for more speed."
        )
    try:
        busy = float(found["load"]) > 0.75 * most
    except ValueError:  # Windows tells no load
        busy = False
    if busy:
        lines.append(
            f"Other programs are at work (load {found['load']} on {most} processors): training is"
            " slower beside them, and --threads 1 may be faster."
        )
    return lines or ["Nothing is slow here."]
