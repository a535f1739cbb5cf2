"""Numba kernels: arrays in, arrays out; nothing here knows layers or training."""
