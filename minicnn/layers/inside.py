"""Layers inside others: their passes, of arrays that need no check any more, and their join.

For the package itself: it checks nothing of what it is handed.
"""

import functools

import numpy as np


def joined(layer, parts):
    """What the branches of a `Residual` or `Branches` give, joined: a new array.

    It is the plain twin of `join_forward`, for whatever comes in lanes.
    """
    if layer.join == "concat":
        return np.concatenate(parts, axis=1)
    return functools.reduce(np.add, parts)


def forward_of(layer, x, training, samples):
    """The forward pass of a layer; what a layer of another package does is not trusted.

    Raises
    ------
    ArgumentError
        If such a layer returns what the kernels, which check nothing, could not read.
    """
    if not layer.foreign:
        return layer.forward(x, training, samples)
    with layer.workspace.trusting(False):
        y = layer.forward(x, training, samples)
    layer.check_result(y, len(x))
    return y


def backward_of(layer, dy):
    """The same for the way back."""
    if not layer.foreign:
        return layer.backward(dy)
    with layer.workspace.trusting(False):
        dx = layer.backward(dy)
    layer.check_result(dx, len(dy), backward=True)
    return dx
