"""Numba kernels: arrays in, arrays out; nothing here knows layers or training.

They check nothing: what calls them does. An array of another shape or dtype ends the process, or
reads the memory of others.
"""

from minicnn.kernels.runtime import environment  # noqa: F401  before anything else loads Numba

LANES = 16  # samples in a vector, see `minicnn.lanes`
