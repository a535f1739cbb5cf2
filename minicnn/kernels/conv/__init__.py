"""Convolution: its sums as loops over memory, both ways."""
