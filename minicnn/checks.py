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


def make_rng(seed):
    """The generator that a seed stands for; one that is given is returned as it is.

    Parameters
    ----------
    seed : int or numpy.random.Generator

    Raises
    ------
    ArgumentError
        For anything else, None included, which would draw other numbers each time.
    """
    if isinstance(seed, np.random.Generator):
        return seed
    try:
        return np.random.default_rng(check_seed(seed))
    except ArgumentError as error:
        other = "Or give a generator, as numpy.random.default_rng() for other numbers each time."
        raise ArgumentError(f"{error} {other}") from None


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
        words = {
            "same": " For an odd kernel and stride 1, 'same' is kernel_size // 2.",
            "valid": " 'valid' is 0.",
        }
        hint = words.get(value, "") if isinstance(value, str) else ""
        raise ArgumentError(
            f"{what} must be an integer of at least {minimum}, or two of them, got {value!r}.{hint}"
        )
    return int(both[0]), int(both[1])


def check_shape(value, what, such_as, least=1):
    """`value` as a tuple of int, or an ArgumentError that names `what` and gives an example."""
    whole = isinstance(value, (tuple, list)) and len(value) > 0
    if not whole or not all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) and least <= n <= MOST
        for n in value
    ):
        raise ArgumentError(
            f"{what} must be a tuple of integers of at least {least}, {such_as}, got {value!r}."
        )
    return tuple(int(n) for n in value)


def check_dtype(value):
    """`value` as the dtype float32 or float64, or an ArgumentError."""
    try:
        dtype = np.dtype(value)
    except (TypeError, ValueError):
        dtype = None
    if value is None or dtype not in (np.float32, np.float64) or not dtype.isnative:
        raise ArgumentError(f"dtype must be float32 or float64, got {value!r}.")
    return dtype


def check_generator(value):
    """`value` if it is a numpy.random.Generator, else an ArgumentError."""
    if not isinstance(value, np.random.Generator):
        raise ArgumentError(
            f"rng must be a numpy.random.Generator, got {value!r}; of a seed, make"
            " numpy.random.default_rng(seed)."
        )
    return value


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


def is_array(x, shape, dtype):
    """Whether kernels, which check nothing, can read `x` as an array of that shape and dtype."""
    return (
        type(x) is np.ndarray  # Numba refuses subclasses
        and x.shape == shape
        and x.dtype == dtype
        and x.flags.c_contiguous
        and x.flags.aligned
    )


def check_array(x, shape, dtype, what, advice=""):
    """`x`, or an ArgumentError that names `what` if kernels cannot read it as such an array."""
    if not is_array(x, shape, dtype):
        raise ArgumentError(
            f"{what} must be a C-contiguous {np.dtype(dtype)} array of shape {shape}, got"
            f" {described(x)}.{advice}"
        )
    return x


def described(x):
    """What `x` is, for an error that expected an array."""
    if not isinstance(x, np.ndarray):
        return f"{type(x).__name__}"
    kind = "" if type(x) is np.ndarray else f"{type(x).__name__} of "
    order = "" if x.flags.c_contiguous else ", not C-contiguous"
    return f"{kind}{x.dtype} of shape {x.shape}{order}{'' if x.flags.aligned else ', not aligned'}"


def is_foreign(thing):
    """Whether a class or function is not of this package."""
    return thing.__module__.partition(".")[0] != "minicnn"
