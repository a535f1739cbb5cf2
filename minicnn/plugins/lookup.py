"""A user's own things by name: ``path/to/file.py:Name(0.5)`` or ``package.module:Name``.

The name is that of a class, function or object in the file; in parentheses stand its arguments,
literals of Python only. Settings keep the string and the file's digest, which tells whether it is
still the same file when a training goes on.

For the package itself: it checks nothing of what it is handed.
"""

import ast
import contextlib
import importlib
import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minicnn import errors
from minicnn.errors import ArgumentError, MinicnnError
from minicnn.paths import expand
from minicnn.plugins import program

FILE = re.compile(r"(?P<place>.+?\.py)(?::(?P<named>.*))?", re.DOTALL)
MODULE = re.compile(r"(?P<place>[^\W\d]\w*(?:\.[^\W\d]\w*)+):(?P<named>.*)", re.DOTALL)
NAMED = re.compile(r"\s*(?P<name>[^\W\d]\w*)\s*(?P<arguments>\(.*\))?\s*", re.DOTALL)
MOST_ARGUMENTS = 1000  # characters: deep nesting is refused before Python's parser sees it
PLACES = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
FORM = "PATH.py:NAME or PATH.py:NAME(ARGUMENTS), as in ./myinit.py:HalfXavier(0.5)"


def is_own(text: object) -> bool:
    """Whether a string names something of the user's: a file that ends in .py, or a.module:Name."""
    return isinstance(text, str) and any(form.fullmatch(text) for form in (FILE, MODULE))


def short(text: str) -> str:
    """The name and arguments without the place; any other string as it is."""
    try:
        return parse(text).short if is_own(text) else text
    except ArgumentError:
        return text


def unknown(kind: str, name: str, known: Iterable[str], text: str) -> ArgumentError:
    """The error for a string that is in no table, with a hint if it looks like a path."""
    if "/" in str(text) or os.sep in str(text):
        return ArgumentError(f"{kind} {str(text)!r} is no file of Python: expected {FORM}.")
    return errors.unknown(kind, name, known)


def parse(text: str, kind: str = "own thing") -> "Reference":
    """What a string names, for which `is_own` holds; nothing is read yet.

    A path is taken from the working directory, and ``~`` is the home. `kind` is what it is to be,
    for errors, such as ``"initializer"``. A missing name, or arguments that are no literals, are an
    ArgumentError.
    """
    file = FILE.fullmatch(text)
    match: Any = file or MODULE.fullmatch(text)
    named = NAMED.fullmatch(match["named"] or "")
    if not named:
        raise ArgumentError(f"{kind} {text!r}: expected {FORM}.")
    place = os.path.abspath(expand(match["place"], kind)) if file else match["place"]
    arguments = _arguments(named["arguments"] or "()", f"{kind} {text!r}")
    return Reference(kind, text, place, not file, named["name"], *arguments)


def _arguments(text, what):
    """Positional and named arguments, and the text of them all in one spelling."""
    if len(text) > MOST_ARGUMENTS:
        raise ArgumentError(f"{what[:100]}...: at most {MOST_ARGUMENTS} characters of arguments.")
    try:
        call: Any = ast.parse(f"f{text}", mode="eval").body
        if not isinstance(call.func, ast.Name) or any(k.arg is None for k in call.keywords):
            raise ValueError
        given = tuple(ast.literal_eval(node) for node in call.args)
        named = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
        if len(named) < len(call.keywords):
            raise ValueError
        return given, named, ", ".join(map(ast.unparse, [*call.args, *call.keywords]))
    except (AttributeError, SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise ArgumentError(
            f"{what}: {text} are no arguments; write literals of Python between commas, as in"
            " (0.5, mode='fan_in')."
        ) from None


@dataclass(frozen=True)
class Reference:
    """Something in a file or module, and the arguments that it gets."""

    kind: str
    text: str
    place: str  # an absolute path, or the name of a module
    is_module: bool
    name: str
    given: tuple[Any, ...]  # by position
    named: dict[str, Any]
    arguments: str  # all of them in one spelling

    @property
    def short(self) -> str:
        """The name with its arguments, such as ``HalfXavier(0.5)``."""
        return self.name + (f"({self.arguments})" if self.arguments else "")

    def __str__(self) -> str:
        """The string that means the same in every working directory."""
        return f"{self.place}:{self.short}"

    def error(self, message: str, cls: type[MinicnnError] = ArgumentError) -> MinicnnError:
        """An error that names the string."""
        return cls(f"{self.kind} {self.text!r}: {message}")

    def file(self) -> Path:
        """The path of the file; nothing of it is executed."""
        with self._named():
            return program.find_module(self.place) if self.is_module else Path(self.place)

    def describe(self) -> dict[str, str]:
        """File, name, arguments, and the file's digest; nothing of the file is executed."""
        file = self.file()
        with self._named():
            digest = program.digest(file)
        return {
            "file": str(file), "name": self.name, "arguments": self.arguments, "sha256": digest,
        }  # fmt: skip

    def load(self) -> Any:
        """Execute the file, if that was not done yet, and return what is named."""
        file = self.file()
        with self._explained(file, "importing it"), self._named():
            if self.is_module:
                module = importlib.import_module(self.place)
            else:
                module = program.load_file(file)
        if not hasattr(module, self.name):
            names = [n for n, value in vars(module).items() if _is_of(module, n, value)]
            raise self.error(str(errors.unknown("name", self.name, names)))
        return getattr(module, self.name)

    def call(
        self,
        thing: Callable[..., Any],
        offered: Mapping[str, Any] | None = None,
        error: type[MinicnnError] = ArgumentError,
    ) -> Any:
        """Call what was loaded with the arguments.

        Of those that are `offered` by name it gets the ones that it has parameters for; positional
        arguments are for its other parameters. What it raises becomes an `error`, arguments that it
        does not take an ArgumentError.
        """
        more = {name: value for name, value in (offered or {}).items() if takes(thing, name)}
        given, named = self.given, dict(self.named)
        if more and given:
            parameters = parameters_of(thing).values()
            free = [p.name for p in parameters if p.name not in more and p.kind in PLACES]
            given, named = given[len(free) :], {**dict(zip(free, given)), **named}
        self.check_call(thing, *given, **{**more, **named})
        with self._explained(self.file(), "it", error):
            return thing(*given, **{**more, **named})

    def check_call(self, thing: Callable[..., Any], *given: Any, **named: Any) -> None:
        """Raise an ArgumentError unless something can be called with these arguments."""
        try:
            signature = inspect.signature(thing)
        except (TypeError, ValueError):  # built-in functions need not have one
            return
        try:
            signature.bind(*given, **named)
        except TypeError as why:
            shown = signature.replace(return_annotation=signature.empty)
            raise self.error(f"{self.name} takes {shown}: {why}.") from None

    @contextlib.contextmanager
    def _named(self):
        try:
            yield
        except ArgumentError as error:
            raise self.error(str(error)) from error

    @contextlib.contextmanager
    def _explained(self, file, what, cls=ArgumentError):
        """Turn what the user's code raises into one sentence with its place."""
        try:
            yield
        except MinicnnError:
            raise
        except (Exception, SystemExit) as error:
            raise self.error(f"{what} raised {program.last_line(error, file)}.", cls) from error


def parameters_of(thing: Any) -> Mapping[str, inspect.Parameter]:
    """The parameters of a function or class by name; empty for one that has no signature."""
    try:
        return inspect.signature(thing).parameters
    except (TypeError, ValueError):
        return {}


def takes(thing: Any, name: str) -> bool:
    """Whether a function has a parameter of that name, or takes any."""
    parameters = parameters_of(thing)
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def check_same(text: str, kind: str, digest: str) -> None:
    """Raise an ArgumentError unless the file of `text`, which is not executed, has that SHA-256."""
    reference = parse(text, kind)
    try:
        now = reference.describe()
    except ArgumentError as error:
        raise ArgumentError(f"{error} Bring it back, or name it at its new place.") from error
    if now["sha256"] != digest:
        raise reference.error(
            f"{now['file']} has changed since this training was begun: its SHA-256 was"
            f" {str(digest)[:12]}..., now it is {now['sha256'][:12]}... Bring the old file back, or"
            " begin anew."
        )


def _is_of(module, name, value):
    return name[0] != "_" and getattr(value, "__module__", None) == module.__name__
