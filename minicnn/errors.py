"""The errors a user can cause, each with the exit code of the command line."""

import difflib
from collections.abc import Iterable

LONGEST = 2000  # characters of a message: what is quoted in it may be of any length


class MinicnnError(Exception):
    """Base of all errors that minicnn raises on purpose."""

    exit_code = 2

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) <= LONGEST:
            return text
        return f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 + 10 :]}"


class ArgumentError(MinicnnError, ValueError):
    """A setting or shape that cannot work. Exit code 2."""


class DataError(MinicnnError, ValueError):
    """Data that is missing, damaged or of the wrong kind. Exit code 3."""

    exit_code = 3


class DivergedError(MinicnnError, ArithmeticError):
    """Training produced NaN or infinity. Exit code 4."""

    exit_code = 4


def unknown(kind: str, name: object, known: Iterable[str]) -> ArgumentError:
    """The error for a name that is not in a table; it names the nearest and lists all.

    Parameters
    ----------
    kind : str
        What was asked for, such as ``"initializer"``.
    name : str
        The name that was given.
    known : iterable of str
        The names that exist.

    Returns
    -------
    ArgumentError
        To be raised by the caller.
    """
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ArgumentError(f"unknown {kind} {str(name)!r}.{hint} Known: {', '.join(known)}.")
