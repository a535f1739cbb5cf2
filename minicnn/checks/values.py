"""Checks of numbers, texts, flags and paths, and how a value is shown in an error.

Each says what it is, what was expected and what came. For the package itself: it checks nothing of
what it is handed.
"""

import math
import numbers
import os
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.errors import ArgumentError

MOST = 2**63 - 1  # what NumPy can count
MOST_SIDE = 2**20  # pixels along a side; no image, window or stride is longer
SHOWN = 100  # characters of a value in an error


def check_count(value: Any, what: str, least: int = 1, most: int = MOST) -> int:
    """`value` as an int from `least` to `most`, or an ArgumentError that names `what`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ArgumentError(f"{what} must be an integer of at least {least}, got {shown(value)}.")
    if value > most:
        raise ArgumentError(f"{what} must be an integer of at most {most}, got a larger one.")
    return int(value)


def check_seed(value: Any, what: str = "seed") -> int:
    """`value` as an int of at least 0, or an ArgumentError."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ArgumentError(f"{what} must be an integer of at least 0, got {shown(value)}.")
    return int(value)


def make_rng(seed: Any) -> np.random.Generator:
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


def check_pair(value: Any, what: str, minimum: int) -> tuple[int, int]:
    """``(height, width)`` from an int or a pair, each at least `minimum` and at most `MOST_SIDE`.

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
            f"{what} must be an integer of at least {minimum}, or two of them, got"
            f" {shown(value)}.{hint}"
        )
    if max(both) > MOST_SIDE:
        raise ArgumentError(f"{what} must be at most {MOST_SIDE}, got {shown(value)}.")
    return int(both[0]), int(both[1])


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
