"""Numba kernels: arrays in, arrays out; nothing here knows layers or training."""

from minicnn.kernels import environment  # noqa: F401  before anything else loads Numba
