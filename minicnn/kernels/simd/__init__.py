"""What knows LLVM: vectors, tiles in registers, and elementary functions."""

from minicnn.kernels.simd import arithmetic  # noqa: F401  so that + - * are there for vectors
