"""The same bits on processors with other registers: what is in one sum, and in which order."""

from tests.faults.processes import finish, start

SCRIPT = """
import sys
import zlib
import llvmlite.binding as llvm

real = llvm.get_host_cpu_features

def features():
    found = real()
    if sys.argv[1]:
        # What minicnn asks; LLVM looks itself.
        found.get = {"avx512f": sys.argv[1] == "avx512f"}.get
    return found

llvm.get_host_cpu_features = features
import numpy as np
from minicnn import Sequential, lanes
from minicnn.kernels.simd.vector import REGISTER_BYTES
from minicnn.layers import Conv2d, Dense, Flatten, MaxPool2d, ReLU

model = Sequential(
    Conv2d(10, 5, padding=2), ReLU(), MaxPool2d(2), Conv2d(7, 3, stride=2), Flatten(), Dense(13)
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
    """As this processor has them; 32 of 64 bytes; and 16 or 32 of 16 bytes."""
    begun = [
        start(SCRIPT, features, NUMBA_CACHE_DIR=tmp_path / (features or "own"))
        for features in ("", "avx512f", "none")
    ]
    found = [finish(process) for process in begun]
    assert [code for code, _, _ in found] == [0, 0, 0], found
    lines = [out.split() for _, out, _ in found]
    assert [int(width) for width, _ in lines[1:]] == [64, 16]
    assert len({bits for _, bits in lines}) == 1
