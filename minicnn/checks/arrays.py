"""Checks of arrays, their shapes and dtypes.

For the package itself: it checks nothing of what it is handed.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from minicnn.checks.values import MOST, described, shown
from minicnn.errors import ArgumentError


def check_shape(value: Any, what: str, such_as: str, least: int = 1) -> tuple[int, ...]:
    """`value` as a tuple of int, or an ArgumentError that names `what` and gives an example."""
    whole = isinstance(value, (tuple, list)) and (len(value) > 0 or least == 0)
    if not whole or not all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) and least <= n <= MOST
        for n in value
    ):
        raise ArgumentError(
            f"{what} must be a tuple of integers of at least {least}, {such_as}, got"
            f" {shown(value)}."
        )
    if math.prod(map(int, value)) > MOST // 8:
        raise ArgumentError(f"{what} is larger than any memory: {shown(value)}.")
    return tuple(int(n) for n in value)


def check_dtype(value: Any, what: str = "dtype") -> np.dtype:
    """`value` as the dtype float32 or float64, or an ArgumentError."""
    try:
        dtype = np.dtype(value)
    except (TypeError, ValueError):
        dtype = None
    if value is None or dtype not in (np.float32, np.float64) or not dtype.isnative:
        raise ArgumentError(f"{what} must be float32 or float64, got {shown(value)}.")
    return dtype


def check_numeric(value: Any, what: str) -> np.dtype:
    """`value` as the dtype of numbers, or an ArgumentError that names `what`."""
    try:
        dtype = np.dtype(value)
    except (TypeError, ValueError):
        dtype = np.dtype(object)
    if value is None or dtype.kind not in "biufc":
        raise ArgumentError(f"{what} must be a dtype of numbers, got {shown(value)}.")
    return dtype


def is_array(x: object, shape: tuple[int, ...], dtype: npt.DTypeLike) -> bool:
    """Whether kernels, which check nothing, can read `x` as an array of that shape and dtype."""
    return (
        type(x) is np.ndarray  # Numba refuses subclasses
        and x.shape == shape
        and x.dtype == dtype
        and x.flags.c_contiguous
        and x.flags.aligned
    )


def check_array(
    x: Any, shape: tuple[int, ...], dtype: npt.DTypeLike, what: str, advice: str = ""
) -> np.ndarray:
    """`x`, or an ArgumentError that names `what` if kernels cannot read it as such an array."""
    if not is_array(x, shape, dtype):
        raise ArgumentError(
            f"{what} must be a C-contiguous {np.dtype(dtype)} array of shape {shape}, got"
            f" {described(x)}.{advice}"
        )
    return x


def as_array(value: Any) -> np.ndarray:
    """`value` as an array, for the checks that follow: None's, if it cannot be any."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError, OverflowError):  # lists of unequal lengths and the like
        return np.array(None)


def check_numbers(value: Any, what: str, ndim: int | None = None) -> np.ndarray:
    """`value` as an array of real numbers.

    Parameters
    ----------
    value : array_like
    what : str
        What an error calls it.
    ndim : int, optional
        How many axes it must have.

    Raises
    ------
    ArgumentError
        If it is no array of whole or floating-point numbers, or of other dimensions.
    """
    array = as_array(value)
    if array.dtype.kind not in "biuf":
        raise ArgumentError(f"{what} must be an array of real numbers, got {shown(value)}.")
    if ndim is not None and array.ndim != ndim:
        raise ArgumentError(f"{what} must have {ndim} dimensions, got shape {array.shape}.")
    return array
