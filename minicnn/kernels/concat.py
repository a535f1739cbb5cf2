"""Copies of some channels of one signal into another, where branches are put side by side."""

from minicnn.kernels import LANES
from minicnn.kernels.launch import kernel
from minicnn.kernels.team import share
from minicnn.kernels.vector import load, pointer, store


@kernel
def copy_channels(x, start, out, out_start, channels):
    """``out[:, out_start + c] = x[:, start + c]`` for the `channels` from 0 on.

    Parameters
    ----------
    x, out : ndarray, shape (G, C, M)
        Of as many groups; C differs, M is the same and a multiple of 16.
    start, out_start, channels : int
        Inside both, which is not checked.
    """
    share(_copy_planes, len(x) * channels, (x, start, out, out_start, channels))


@kernel
def _copy_planes(planes, x, start, out, out_start, channels):
    x0, out0, size = pointer(x), pointer(out), x.shape[2]
    for plane in planes:
        g, c = plane // channels, plane % channels
        source = x0 + (g * x.shape[1] + start + c) * size
        target = out0 + (g * out.shape[1] + out_start + c) * size
        for i in range(0, size, LANES):
            store(load(source + i), target + i)
