"""Checks of numbers, texts, flags, paths and arrays, and how a value is shown in an error.

Each says what it is, what was expected and what came. For the package itself: it checks nothing of
what it is handed.
"""

import math
import numbers
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minicnn.errors import ArgumentError

MOST = 2**63 - 1  # what NumPy can count
MOST_SIDE = 2**20  # pixels along a side; no image, window or stride is longer
SHOWN = 100  # characters of a value in an error


def _is_whole(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_count(value: Any, what: str, least: int = 1, most: float = MOST) -> int:
    """`value` as an int from `least` to `most`, or an ArgumentError that names `what`."""
    if not _is_whole(value) or value < least:
        raise ArgumentError(f"{what} must be an integer of at least {least}, got {shown(value)}.")
    if value > most:
        raise ArgumentError(f"{what} must be an integer of at most {most}, got a larger one.")
    return int(value)


def check_seed(value: Any, what: str = "seed") -> int:
    """`value` as an int of at least 0, or an ArgumentError."""
    return check_count(value, what, least=0, most=math.inf)


def make_rng(seed: Any) -> np.random.Generator:
    """The generator that a seed stands for; one that is given is returned as it is.

    All else is an ArgumentError, None included, which would draw other numbers each time.
    """
    if isinstance(seed, np.random.Generator):
        return seed
    try:
        return np.random.default_rng(check_seed(seed))
    except ArgumentError as error:
        other = "Or give a generator, as numpy.random.default_rng() for other numbers each time."
        raise ArgumentError(f"{error} {other}") from None


def check_pair(value: Any, what: str, minimum: int) -> tuple[int, int]:
    """``(height, width)`` of an int or a pair, each from `minimum` to `MOST_SIDE`."""
    both = (value, value) if isinstance(value, (int, np.integer)) else value
    whole = isinstance(both, (tuple, list)) and len(both) == 2
    if not whole or not all(_is_whole(n) and n >= minimum for n in both):
        words = {
            "same": " For an odd kernel and stride 1, 'same' is kernel_size // 2.",
            "valid": " 'valid' is 0.",
        }
        hint = words.get(value, "") if isinstance(value, str) else ""
        raise ArgumentError(
            f"{what} must be an integer of at least {minimum}, or two of them, got"
            f" {shown(value)}.{hint}"
        )
    if max(both) > MOST_SIDE:
        raise ArgumentError(f"{what} must be at most {MOST_SIDE}, got {shown(value)}.")
    return int(both[0]), int(both[1])


def check_padding(value: Any, what: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """``((top, bottom), (left, right))`` of an int, a pair for both axes, or these four numbers."""
    listed = value if isinstance(value, (tuple, list)) else ()
    inner = [isinstance(axis, (tuple, list)) for axis in listed]
    if len(inner) == 4 or (any(inner) and inner != [True, True]):
        raise ArgumentError(
            f"{what} must be an integer of at least 0, two of them (height, width), or four as"
            f" ((top, bottom), (left, right)), got {shown(value)}."
        )
    if any(inner):
        ends = "top and bottom", "left and right"
        rows, columns = (check_pair(axis, f"{what}: {n}", 0) for axis, n in zip(listed, ends))
        return rows, columns
    height, width = check_pair(value, what, 0)
    return (height, height), (width, width)


def check_generator(value: Any, what: str = "rng") -> np.random.Generator:
    """`value` if it is a numpy.random.Generator, else an ArgumentError."""
    if not isinstance(value, np.random.Generator):
        raise ArgumentError(
            f"{what} must be a numpy.random.Generator, got {shown(value)}; of a seed, make"
            " numpy.random.default_rng(seed)."
        )
    return value


def is_finite(value: Any) -> bool:
    """Whether `value` is a real number, neither NaN nor infinite, and no bool."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    try:
        return number and math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def check_finite(value: Any, what: str) -> float:
    """`value` as a float, or an ArgumentError that names `what` if it is no finite number."""
    if not is_finite(value):
        raise ArgumentError(f"{what} must be a finite number, got {shown(value)}.")
    return float(value)


def check_number(value: Any, what: str) -> Any:
    """`value`, or an ArgumentError that names `what` if it is no real number; NaN is one."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ArgumentError(f"{what} must be a number, got {shown(value)}.")
    return value


def check_positive(value: Any, what: str) -> float:
    """`value` as a float, or an ArgumentError that names `what` if it is not finite and above 0."""
    if not (is_finite(value) and value > 0):
        raise ArgumentError(f"{what} must be a finite number above 0, got {shown(value)}.")
    return float(value)


def check_text(value: Any, what: str) -> str:
    """`value`, or an ArgumentError that names `what` if it is no string."""
    if not isinstance(value, str):
        raise ArgumentError(f"{what} must be a string, got {shown(value)}.")
    return value


def check_flag(value: Any, what: str) -> bool:
    """`value` as a bool, or an ArgumentError that names `what` if it is neither True nor False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{what} must be True or False, got {shown(value)}.")
    return bool(value)


def check_path(value: Any, what: str) -> Path:
    """`value` as a Path, or an ArgumentError that names `what` if it cannot be a path."""
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise ArgumentError(f"{what} must be a path, a string or Path, got {shown(value)}.")
    if "\0" in text:
        raise ArgumentError(f"{what} must not hold a NUL character, got {shown(value)}.")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise ArgumentError(
            f"{what} must hold no character that a file's name cannot have, as"
            f" {ascii(error.object[error.start])}, got {shown(value)}."
        ) from None
    return Path(text)


def check_shape(value: Any, what: str, such_as: str, least: int = 1) -> tuple[int, ...]:
    """`value` as a tuple of int, or an ArgumentError that names `what` and gives an example."""
    whole = isinstance(value, (tuple, list)) and (len(value) > 0 or least == 0)
    if not whole or not all(_is_whole(n) and least <= n <= MOST for n in value):
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


def listed(names: Iterable[str], most: int) -> str:
    """Some names with commas between, the first `most`, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def as_array(value: Any) -> np.ndarray:
    """`value` as an array, for the checks that follow: None's, if it cannot be any."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError, OverflowError):  # lists of unequal lengths and the like
        return np.array(None)


def check_numbers(value: Any, what: str, ndim: int | None = None) -> np.ndarray:
    """`value` as an array of whole or floating-point numbers, or an ArgumentError.

    With `ndim` also if it has not so many dimensions.
    """
    array = as_array(value)
    if array.dtype.kind not in "biuf":
        raise ArgumentError(f"{what} must be an array of real numbers, got {shown(value)}.")
    if ndim is not None and array.ndim != ndim:
        raise ArgumentError(f"{what} must have {ndim} dimensions, got shape {array.shape}.")
    return array


def described(x: Any) -> str:
    """What `x` is, for an error that expected an array."""
    if not isinstance(x, np.ndarray):
        return f"{type(x).__name__}"
    kind = "" if type(x) is np.ndarray else f"{type(x).__name__} of "
    order = "" if x.flags.c_contiguous else ", not C-contiguous"
    order += "" if x.flags.aligned else ", not aligned"
    order += "" if x.flags.writeable else ", read-only"
    return f"{kind}{x.dtype} of shape {x.shape}{order}"


def shown(value: Any) -> str:
    """`value` in an error: short, and an array by its dtype and shape."""
    if isinstance(value, np.ndarray):
        return described(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    try:
        text = repr(value)
    except Exception:  # whatever an object of others does
        text = object.__repr__(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({type(value).__name__})"
