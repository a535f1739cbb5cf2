"""The same bits on processors with other registers: what is in one sum, and in which order."""

import llvmlite.binding as llvm

from minicnn.kernels.simd.vector import REGISTER_BYTES
from tests.faults.processes import finish, start

SCRIPT = """
import sys
import zlib
import numba.core.codegen as codegen
import numpy as np
from numba.core.registry import cpu_target

cpu_target.target_context  # LLVM has asked
real = codegen.get_host_cpu_features
codegen.get_host_cpu_features = lambda: sys.argv[1] or real()  # what minicnn asks
from minicnn.kernels.simd.vector import REGISTER_BYTES

codegen.get_host_cpu_features = real
from minicnn import Sequential, lanes
from minicnn.layers import Conv2d, Dense, Flatten, MaxPool2d, ReLU

model = Sequential(
    Conv2d(10, 5, padding=2), ReLU(), MaxPool2d(2),
    Conv2d(101, 3, padding=1, algorithm="winograd"),
    Conv2d(7, 3, padding=1, algorithm="winograd"),
    Conv2d(7, 3, stride=2), Flatten(), Dense(13)
)
model.initialize((3, 20, 20), seed=0)
rng = np.random.default_rng(0)
bits = 0
for samples in (16, 50):
    scores = model.forward(lanes.pack(rng.normal(size=(samples, 3, 20, 20))), True, samples)
    model.backward(lanes.pack(rng.normal(size=(samples, 13))))
    for array in (scores, *(p.grad for p in model.parameters())):
        bits = zlib.crc32(array.tobytes(), bits)
print(REGISTER_BYTES, bits)
"""


def test_the_bits_do_not_depend_on_the_registers(tmp_path):
    """As this processor has them; 32 of 64 bytes; 16 of 16 bytes; and compiled for AVX at most."""
    settings = [
        ("", {}), ("+avx512f", {}), ("-avx", {}), ("", {"NUMBA_CPU_FEATURES": _at_most_avx()})
    ]  # fmt: skip
    begun = [
        start(SCRIPT, told, NUMBA_CACHE_DIR=tmp_path / str(n), **environment)
        for n, (told, environment) in enumerate(settings)
    ]
    found = [finish(process) for process in begun]
    assert [code for code, _, _ in found] == [0] * len(settings), found
    lines = [out.split() for _, out, _ in found]
    expected = [REGISTER_BYTES, 64, 16, min(REGISTER_BYTES, 32)]
    assert [int(width) for width, _ in lines] == expected
    assert len({bits for _, bits in lines}) == 1


def _at_most_avx():
    """This processor's features, without those of AVX-512."""
    has = llvm.get_host_cpu_features()
    return ",".join(f"{'+' if has[f] and 'avx512' not in f else '-'}{f}" for f in sorted(has))
