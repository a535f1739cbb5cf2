"""Checks of what a user gives: each says what it is, what was expected and what came."""

import math
import numbers

import numpy as np

from minicnn.errors import ArgumentError

MOST = 2**63 - 1  # what NumPy can count


def check_count(value, what):
    """`value` as an int of at least 1, or an ArgumentError that names `what`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ArgumentError(f"{what} must be an integer of at least 1, got {value!r}.")
    if value > MOST:
        raise ArgumentError(f"{what} must be an integer of at most {MOST}, got a larger one.")
    return int(value)


def check_seed(value):
    """`value` as an int of at least 0, or an ArgumentError."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ArgumentError(f"seed must be an integer of at least 0, got {value!r}.")
    return int(value)


def check_pair(value, what, minimum):
    """``(height, width)`` from an int or a pair, each at least `minimum`.

    Raises
    ------
    ArgumentError
        If `value` is anything else.
    """
    both = (value, value) if isinstance(value, (int, np.integer)) else value
    whole = isinstance(both, (tuple, list)) and len(both) == 2
    if not whole or not all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= minimum for n in both
    ):
        raise ArgumentError(
            f"{what} must be an integer of at least {minimum}, or two of them, got {value!r}."
        )
    return int(both[0]), int(both[1])


def is_finite(value):
    """Whether `value` is a real number, neither NaN nor infinite, and no bool."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    try:
        return number and math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def check_finite(value, what):
    """`value` as a float, or an ArgumentError that names `what` if it is no finite number."""
    if not is_finite(value):
        raise ArgumentError(f"{what} must be a finite number, got {value!r}.")
    return float(value)


def is_foreign(thing):
    """Whether a class or function is not of this package."""
    return thing.__module__.partition(".")[0] != "minicnn"
