"""Samples travel in lanes: the one layout that every layer and kernel works on.

Users hand over ordinary arrays, ``(N, C, H, W)`` or ``(N, F)``. Inside, sixteen samples
travel together as the lanes of SIMD vectors::

    (N, C, H, W)  --pack-->  (G, C, H, W, 16)      G = ceil(N / 16), spare lanes 0

so a kernel is the equation for one sample in which every scalar happens to be a vector.
The last axis is the sample within its group; the sample ``n`` is lane ``n % 16`` of
group ``n // 16``.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from minicnn import allocation
from minicnn.checks import check_count, check_numeric, check_shape, described, is_array, shown
from minicnn.errors import ArgumentError
from minicnn.kernels import LANES

CACHE_LINE = 64  # bytes; sixteen lanes of float32 fill just one


def group_count(samples: int) -> int:
    """How many groups of sixteen lanes hold `samples` samples."""
    if not isinstance(samples, (int, np.integer)):
        raise ArgumentError(f"samples must be an integer, got {shown(samples)}.")
    return -(-samples // LANES)


def are_lanes(x: Any, shape: tuple[int, ...], dtype: npt.DTypeLike) -> bool:
    """Whether kernels can take `x`: ``(G, *shape, 16)``, G at least 1, contiguous, writeable."""
    groups = len(x) if isinstance(x, np.ndarray) and x.ndim else 0
    fits = groups > 0 and isinstance(shape, tuple)
    return fits and is_array(x, (groups, *shape, LANES), dtype) and x.flags.writeable


def zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
    """Zeros that begin with a cache line, so that no vector of lanes lies across two.

    NumPy begins at a multiple of 16 bytes; to load a vector of 64 that lies across two lines
    takes twice as long.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype

    Returns
    -------
    ndarray

    Raises
    ------
    OutOfMemory
        If there is not so much.
    """
    shape = check_shape(shape, "shape", "such as (2, 10, 16)", least=0)
    dtype = check_numeric(dtype, "dtype")
    size = math.prod(shape)
    with allocation.asked(size * dtype.itemsize, f"{dtype} of shape {tuple(shape)}"):
        room = np.zeros(size + CACHE_LINE // dtype.itemsize, dtype)
    start = -room.ctypes.data % CACHE_LINE // dtype.itemsize
    return room[start : start + size].reshape(shape)


def pack(
    batch: np.ndarray, dtype: npt.DTypeLike = np.float32, out: np.ndarray | None = None
) -> np.ndarray:
    """Put samples into lanes.

    Parameters
    ----------
    batch : ndarray, shape (N, ...)
        One sample a row.
    dtype : dtype
        Of the result.
    out : ndarray, shape (G, ..., 16), optional
        Where to write.

    Returns
    -------
    ndarray, shape (G, ..., 16)
        Lane ``n % 16`` of group ``n // 16`` is ``batch[n]``; spare lanes are 0.

    Raises
    ------
    ArgumentError
        If `batch` is no array of numbers with a sample a row, or `out` has another shape.
    """
    if not isinstance(batch, np.ndarray) or not batch.ndim or batch.dtype.kind not in "fiub":
        raise ArgumentError(
            f"expected an array of numbers with a sample a row, (N, ...), got {described(batch)}."
        )
    samples, shape = batch.shape[0], batch.shape[1:]
    wanted = (group_count(samples), *shape, LANES)
    if out is None:
        out = zeros(wanted, dtype)
    elif not isinstance(out, np.ndarray) or out.shape != wanted:
        raise ArgumentError(f"out must be an array of shape {wanted}, got {described(out)}.")
    full = samples // LANES
    whole = batch[: full * LANES].reshape(full, LANES, *shape)
    out[:full] = np.moveaxis(whole, 1, -1)
    if full < len(out):
        out[full] = 0
        out[full, ..., : samples - full * LANES] = np.moveaxis(batch[full * LANES :], 0, -1)
    return out


def unpack(packed: np.ndarray, samples: int) -> np.ndarray:
    """Take the first `samples` samples out of their lanes.

    Parameters
    ----------
    packed : ndarray, shape (G, ..., 16)
    samples : int
        How many of the ``16 G`` lanes are real.

    Returns
    -------
    ndarray, shape (samples, ...)
        A fresh C-contiguous array.

    Raises
    ------
    ArgumentError
        If `packed` is not in lanes, or has not so many.
    """
    check_samples(packed, samples)
    by_lane, whole = np.moveaxis(packed, -1, 1), samples // LANES
    rows = np.empty((samples, *packed.shape[1:-1]), packed.dtype)
    rows[: whole * LANES].reshape(whole, *by_lane.shape[1:])[...] = by_lane[:whole]
    if samples % LANES:
        rows[whole * LANES :] = by_lane[whole, : samples % LANES]
    return rows


def check_samples(packed: Any, samples: int) -> None:
    """Raise an ArgumentError unless `packed` has lanes for `samples` samples, 0 among them."""
    if not isinstance(packed, np.ndarray) or packed.ndim < 2 or packed.shape[-1] != LANES:
        raise ArgumentError(
            f"expected samples in lanes, shape (G, ..., {LANES}), got {described(packed)}."
        )
    if check_count(samples, "samples", least=0) > LANES * len(packed):
        raise ArgumentError(
            f"samples must be at most {LANES * len(packed)}, the lanes of {len(packed)} groups,"
            f" got {samples}."
        )
