"""minicnn: convolutional networks from scratch, on NumPy and Numba."""
