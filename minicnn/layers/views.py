"""Arrays in lanes with fewer axes, as kernels take them; all are views. Joins, in plain NumPy.

For the package itself: it checks nothing of what it is handed.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.layers.context import Array


def flat(x: Array) -> Array:
    """``(G, ..., 16)`` as ``(G, M)``."""
    return x.reshape(len(x), -1)


def planes(x: Array) -> Array:
    """``(G, C, ..., 16)`` as ``(G, C, M)``."""
    return x.reshape(x.shape[0], x.shape[1], -1)


def positions(x: Array) -> Array:
    """``(G, C, ..., 16)`` as ``(G, C, P, 16)``."""
    return x.reshape(x.shape[0], x.shape[1], -1, x.shape[-1])


def same(a: Array, b: Array) -> bool:
    """Whether two arrays of one size begin at the same place."""
    return a.__array_interface__["data"] == b.__array_interface__["data"]


def joined(layer: Any, parts: Sequence[Array]) -> Array:
    """What the branches of a `Residual` or `Branches` give, joined as by its `forward`."""
    if layer.join == "concat":
        return np.concatenate(parts, axis=1)
    if layer.join == "multiply":
        return times(*parts)
    return functools.reduce(np.add, parts)


def times(signal: Array, gate: Array) -> Array:
    """The product of two signals, or of one with a number for each channel, a new array."""
    if gate.size < signal.size:
        gate = gate.reshape(*gate.shape[:2], *[1] * (signal.ndim - 3), gate.shape[-1])
    return signal * gate
