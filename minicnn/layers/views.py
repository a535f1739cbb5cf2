"""Arrays in lanes with fewer axes, as kernels take them; all are views.

For the package itself: it checks nothing of what it is handed.
"""


def flat(x):
    """``(G, ..., 16)`` as ``(G, M)``."""
    return x.reshape(len(x), -1)


def planes(x):
    """``(G, C, ..., 16)`` as ``(G, C, M)``."""
    return x.reshape(x.shape[0], x.shape[1], -1)


def positions(x):
    """``(G, C, ..., 16)`` as ``(G, C, P, 16)``."""
    return x.reshape(x.shape[0], x.shape[1], -1, x.shape[-1])


def same(a, b):
    """Whether two arrays of one size begin at the same place."""
    return a.__array_interface__["data"] == b.__array_interface__["data"]
