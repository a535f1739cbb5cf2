"""Checks of objects, of lists and dicts of them, and of a function's arguments.

For the package itself: it checks nothing of what it is handed.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

from minicnn.checks.values import shown
from minicnn.errors import ArgumentError, DataError

Function = TypeVar("Function", bound=Callable[..., Any])


def is_third_party(thing: Any) -> bool:
    """Whether a class or function is not of this package."""
    return thing.__module__.partition(".")[0] != "minicnn"


def check_kind(value: Any, kind: type | tuple[type, ...], what: str) -> Any:
    """`value`, or an ArgumentError that names `what` if it is no object of the class `kind`."""
    if not isinstance(value, kind):
        several = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(cls.__name__ for cls in several)
        raise ArgumentError(f"{what} must be an object of {names}, got {shown(value)}.")
    return value


def check_callable(value: Any, what: str, arguments: int | None = None) -> Callable[..., Any]:
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


def check_items(value: Any, what: str) -> list[Any]:
    """`value` as a list, or an ArgumentError that names `what`: texts and dicts are none."""
    if isinstance(value, (str, bytes, dict, type)) or not hasattr(value, "__iter__"):
        raise ArgumentError(f"{what} must be a list, got {shown(value)}.")
    try:
        return list(value)
    except TypeError:  # an array of no dimension
        raise ArgumentError(f"{what} must be a list, got {shown(value)}.") from None


def list_of(kind: type | tuple[type, ...]) -> Callable[[Any, str], list[Any]]:
    """A check that gives a list, or an ArgumentError if an item is no object of `kind`."""

    def check(value, what):
        return [
            check_kind(item, kind, f"{what}[{number}]")
            for number, item in enumerate(check_items(value, what))
        ]

    return check


def check_names(value: Any, what: str) -> str | list[str]:
    """`value` if it is a string, else as a list of strings, or an ArgumentError."""
    return value if isinstance(value, str) else list_of(str)(value, what)


def check_iterable(value: Any, what: str) -> Iterable[Any]:
    """`value`, or an ArgumentError that names `what` if nothing can be taken from it."""
    if isinstance(value, (str, bytes, type)) or not hasattr(value, "__iter__"):
        raise ArgumentError(f"{what} must be iterable, got {shown(value)}.")
    return value


def check_dict(value: Any, what: str) -> dict[str, Any]:
    """`value`, or an ArgumentError that names `what` if it is no dict with strings as keys."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ArgumentError(f"{what} must be a dict with names as keys, got {shown(value)}.")
    return value


@contextlib.contextmanager
def restoring(state: object, what: str) -> Iterator[None]:
    """Around the reading of `state`: a DataError if it is not what `what` gave to be kept."""
    check_dict(state, f"{what}: state")
    try:
        yield
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise DataError(
            f"it is no state of this {what}, as its state_dict() gives one:"
            f" {type(error).__name__}, {error}."
        ) from error


def takes(**kinds: Any) -> Callable[[Function], Function]:
    """Check the arguments of a public function, where it is called, by their names.

    Parameters
    ----------
    **kinds
        For a parameter the class of its values, a tuple of classes, or a function
        ``check(value, what)`` of this module, whose result is handed on. A default is taken as
        it is.

    Examples
    --------
    >>> from minicnn.checks import check_count, check_path
    >>> @takes(path=check_path, count=check_count)
    ... def read(path, count=None):
    ...     return path.name, count
    >>> read("a/b")
    ('b', None)
    >>> read("a/b", -1)
    Traceback (most recent call last):
    minicnn.errors.ArgumentError: read: count must be an integer of at least 1, got -1.
    """

    def decorate(function: Function) -> Function:
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

        return cast(Function, checked)

    return decorate
