"""Checks of what a user gives: each says what it is, what was expected and what came.

For the package itself: it checks nothing of what it is handed.
"""

import contextlib
import functools
import inspect
import math
import numbers
import os
from pathlib import Path

import numpy as np

from minicnn.errors import ArgumentError, DataError

MOST = 2**63 - 1  # what NumPy can count
MOST_SIDE = 2**20  # pixels along a side; no image, window or stride is longer
SHOWN = 100  # characters of a value in an error


def check_count(value, what, least=1, most=MOST):
    """`value` as an int from `least` to `most`, or an ArgumentError that names `what`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ArgumentError(f"{what} must be an integer of at least {least}, got {shown(value)}.")
    if value > most:
        raise ArgumentError(f"{what} must be an integer of at most {most}, got a larger one.")
    return int(value)


def check_seed(value, what="seed"):
    """`value` as an int of at least 0, or an ArgumentError."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ArgumentError(f"{what} must be an integer of at least 0, got {shown(value)}.")
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


def check_shape(value, what, such_as, least=1):
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


def check_dtype(value, what="dtype"):
    """`value` as the dtype float32 or float64, or an ArgumentError."""
    try:
        dtype = np.dtype(value)
    except (TypeError, ValueError):
        dtype = None
    if value is None or dtype not in (np.float32, np.float64) or not dtype.isnative:
        raise ArgumentError(f"{what} must be float32 or float64, got {shown(value)}.")
    return dtype


def check_numeric(value, what):
    """`value` as the dtype of numbers, or an ArgumentError that names `what`."""
    try:
        dtype = np.dtype(value)
    except (TypeError, ValueError):
        dtype = np.dtype(object)
    if value is None or dtype.kind not in "biufc":
        raise ArgumentError(f"{what} must be a dtype of numbers, got {shown(value)}.")
    return dtype


def check_generator(value, what="rng"):
    """`value` if it is a numpy.random.Generator, else an ArgumentError."""
    if not isinstance(value, np.random.Generator):
        raise ArgumentError(
            f"{what} must be a numpy.random.Generator, got {shown(value)}; of a seed, make"
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
        raise ArgumentError(f"{what} must be a finite number, got {shown(value)}.")
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
    order += "" if x.flags.aligned else ", not aligned"
    order += "" if x.flags.writeable else ", read-only"
    return f"{kind}{x.dtype} of shape {x.shape}{order}"


def check_number(value, what):
    """`value`, or an ArgumentError that names `what` if it is no real number; NaN is one."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ArgumentError(f"{what} must be a number, got {shown(value)}.")
    return value


def check_positive(value, what):
    """`value` as a float, or an ArgumentError that names `what` if it is not finite and above 0."""
    if not (is_finite(value) and value > 0):
        raise ArgumentError(f"{what} must be a finite number above 0, got {shown(value)}.")
    return float(value)


def is_third_party(thing):
    """Whether a class or function is not of this package."""
    return thing.__module__.partition(".")[0] != "minicnn"


def check_kind(value, kind, what):
    """`value`, or an ArgumentError that names `what` if it is no object of the class `kind`."""
    if not isinstance(value, kind):
        several = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(cls.__name__ for cls in several)
        raise ArgumentError(f"{what} must be an object of {names}, got {shown(value)}.")
    return value


def check_callable(value, what, arguments=None):
    """`value`, or an ArgumentError that names `what` if it cannot be called.

    With `arguments` also if it cannot be called with so many.
    """
    if not callable(value) or isinstance(value, type):
        raise ArgumentError(f"{what} must be a function, got {shown(value)}.")
    if arguments is not None:
        try:
            inspect.signature(value).bind(*[None] * arguments)
        except TypeError:
            raise ArgumentError(
                f"{what} must be a function of {arguments} arguments, got {shown(value)}."
            ) from None
        except ValueError:  # built in, and says nothing of its arguments
            pass
    return value


def check_text(value, what):
    """`value`, or an ArgumentError that names `what` if it is no string."""
    if not isinstance(value, str):
        raise ArgumentError(f"{what} must be a string, got {shown(value)}.")
    return value


def check_items(value, what):
    """`value` as a list, or an ArgumentError that names `what`: texts and dicts are none."""
    if isinstance(value, (str, bytes, dict, type)) or not hasattr(value, "__iter__"):
        raise ArgumentError(f"{what} must be a list, got {shown(value)}.")
    try:
        return list(value)
    except TypeError:  # an array of no dimension
        raise ArgumentError(f"{what} must be a list, got {shown(value)}.") from None


def list_of(kind):
    """A check that gives a list, or an ArgumentError if an item is no object of `kind`."""

    def check(value, what):
        return [
            check_kind(item, kind, f"{what}[{number}]")
            for number, item in enumerate(check_items(value, what))
        ]

    return check


def check_names(value, what):
    """`value` if it is a string, else as a list of strings, or an ArgumentError."""
    return value if isinstance(value, str) else list_of(str)(value, what)


def check_flag(value, what):
    """`value` as a bool, or an ArgumentError that names `what` if it is neither True nor False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{what} must be True or False, got {shown(value)}.")
    return bool(value)


def check_iterable(value, what):
    """`value`, or an ArgumentError that names `what` if nothing can be taken from it."""
    if isinstance(value, (str, bytes, type)) or not hasattr(value, "__iter__"):
        raise ArgumentError(f"{what} must be iterable, got {shown(value)}.")
    return value


def check_dict(value, what):
    """`value`, or an ArgumentError that names `what` if it is no dict with strings as keys."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ArgumentError(f"{what} must be a dict with names as keys, got {shown(value)}.")
    return value


@contextlib.contextmanager
def restoring(state, what):
    """Around the reading of `state`: a DataError if it is not what `what` gave to be kept."""
    check_dict(state, f"{what}: state")
    try:
        yield
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise DataError(
            f"it is no state of this {what}, as its state_dict() gives one:"
            f" {type(error).__name__}, {error}."
        ) from error


def check_path(value, what):
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


def as_array(value):
    """`value` as an array, for the checks that follow: None's, if it cannot be any."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError, OverflowError):  # lists of unequal lengths and the like
        return np.array(None)


def check_numbers(value, what, ndim=None):
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


def shown(value):
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


def takes(**kinds):
    """Check the arguments of a public function, where it is called, by their names.

    Parameters
    ----------
    **kinds
        For a parameter the class of its values, a tuple of classes, or a function
        ``check(value, what)`` of this module, whose result is handed on. A default is taken as
        it is.

    Examples
    --------
    >>> @takes(path=check_path, count=check_count)
    ... def read(path, count=None):
    ...     return path.name, count
    >>> read("a/b")
    ('b', None)
    >>> read("a/b", -1)
    Traceback (most recent call last):
    minicnn.errors.ArgumentError: read: count must be an integer of at least 1, got -1.
    """

    def decorate(function):
        signature = inspect.signature(function)
        name = function.__qualname__.removesuffix(".__init__")

        @functools.wraps(function)
        def checked(*given, **named):
            try:
                bound = signature.bind(*given, **named)
            except TypeError:
                return function(*given, **named)  # Python says best what does not fit
            arguments = bound.arguments
            for key, kind in kinds.items():
                if key in arguments and arguments[key] is not signature.parameters[key].default:
                    what = f"{name}: {key}"
                    by_class = isinstance(kind, (type, tuple))
                    check = functools.partial(check_kind, kind=kind) if by_class else kind
                    arguments[key] = check(arguments[key], what=what)
            return function(*bound.args, **bound.kwargs)

        return checked

    return decorate
