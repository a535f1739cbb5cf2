"""Initializers: the numbers that weights and biases start from.

``initializer(shape, fans, rng, dtype)`` draws an array. The layer supplies the fans: it alone
knows its layout and groups. ``mean(fans, shape)`` and ``variance(fans, shape)`` are what the
initializer promises, E[w] and E[(w - E[w])²] over the elements; how a signal passes a layer
depends on E[w²] = variance + mean².

On the command line an initializer is a string: its name, then after a colon its settings as
``key=value`` or as values alone, each for the first free setting that takes such a value:
``normal:0.01``, ``uniform:-0.05,0.05``, ``xavier:normal``, ``msra:fan_out,uniform``,
``msra:slope=0.25``, ``msra:exact``, ``fixup:blocks=9``, ``orthogonal:gain=relu``.
``str(initializer)`` gives the string back. A user's own is named by its file or module, as
``./myinit.py:HalfXavier(0.5)`` (:mod:`minicnn.plugins.lookup`).

Examples
--------
>>> round(from_string("msra").variance(Fans(fan_in=25, fan_out=150)) ** 0.5, 4)
0.2828
"""

import inspect
from collections.abc import Callable
from typing import Any

from minicnn.checks import shown
from minicnn.console.output import first_line
from minicnn.errors import ArgumentError
from minicnn.hints.habits import no_such_name
from minicnn.initializers.base import TRUNCATED_STD, Fans, Initializer
from minicnn.initializers.distributions import (
    Constant,
    Normal,
    Ones,
    TruncatedNormal,
    Uniform,
    Zeros,
)
from minicnn.initializers.function import FromFunction
from minicnn.initializers.gains import gain
from minicnn.initializers.matrices import LSUV, DeltaOrthogonal, Identity, Orthogonal, ZerO
from minicnn.initializers.residual import Fixup, ReZero
from minicnn.initializers.scaling import MSRA, LeCun, VarianceScaling, Xavier
from minicnn.initializers.settings import expected, settings_of, takes
from minicnn.plugins import lookup

__all__ = [
    "LSUV", "MSRA", "TRUNCATED_STD", "Constant", "DeltaOrthogonal", "Fans", "Fixup", "FromFunction",
    "Identity", "Initializer", "LeCun", "Normal", "Ones", "Orthogonal", "ReZero", "TruncatedNormal",
    "Uniform", "VarianceScaling", "Xavier", "ZerO", "Zeros", "from_string", "gain", "names",
]  # fmt: skip

INITIALIZERS: dict[str, type[Initializer]] = {
    cls.name: cls
    for cls in (
        Zeros, Ones, Constant, Normal, Uniform, TruncatedNormal, VarianceScaling, Xavier, MSRA,
        LeCun, Orthogonal, DeltaOrthogonal, Identity, ZerO, LSUV, Fixup, ReZero,
    )
}  # fmt: skip
#: What Keras and PyTorch call them.
ELSEWHERE = {
    "he_normal": "msra", "kaiming_normal": "msra", "he_uniform": "msra:uniform",
    "kaiming_uniform": "msra:uniform", "glorot_uniform": "xavier", "xavier_uniform": "xavier",
    "glorot_normal": "xavier:normal", "xavier_normal": "xavier:normal", "lecun_normal": "lecun",
    "lecun_uniform": "lecun:uniform", "random_normal": "normal", "random_uniform": "uniform",
    "truncated_normal": "truncated-normal", "trunc_normal": "truncated-normal", "eye": "identity",
}  # fmt: skip
ALIASES: dict[str, type[Initializer]] = {
    "glorot": Xavier, "kaiming": MSRA, "he": MSRA, "dirac": Identity, "ZerO": ZerO,
}  # fmt: skip


def names() -> list[str]:
    """The names that `from_string` knows, as a list without the aliases."""
    return list(INITIALIZERS)


def help() -> str:
    """A line for each initializer, with its other names."""
    others = {cls: [n for n, named in ALIASES.items() if named is cls] for cls in ALIASES.values()}
    shown = [
        f"{name} ({', '.join(others[cls])})" if cls in others else name
        for name, cls in INITIALIZERS.items()
    ]
    width = max(map(len, shown))
    about = map(first_line, INITIALIZERS.values())
    lines = (f"{names:<{width}}  {line}".rstrip() for names, line in zip(shown, about))
    return "\n".join(lines)


def from_string(text: str | Initializer | Callable[..., Any]) -> Initializer:
    """The initializer that a string such as ``"msra:fan_out,slope=0.25"`` names.

    Parameters
    ----------
    text : str, Initializer or callable
        An initializer is returned as it is, and a function ``f(shape, fans, rng) -> array`` is
        made one (`FromFunction`). Besides `names`, glorot is xavier, kaiming and he
        are msra, dirac is identity, and ZerO is hadamard. ``PATH.py:NAME`` or
        ``package.module:NAME``, with arguments or without, is a subclass of Initializer, an
        object of one, or a function ``f(shape, fans, rng) -> array``.

    Raises
    ------
    ArgumentError
        For an unknown name, or settings that are not understood or out of range.
    """
    if isinstance(text, Initializer):
        return text
    if not isinstance(text, str):
        return _of_object(text)
    if lookup.is_own(text):
        return _own(lookup.parse(text, "initializer"))
    name, colon, rest = text.partition(":")
    known = INITIALIZERS | ALIASES
    if name.lower().rstrip("_") in ELSEWHERE:
        ours = ELSEWHERE[name.lower().rstrip("_")]
        raise ArgumentError(f"initializer {name!r} is called {ours!r} here.")
    if name not in known:
        several = text.partition(",")[0] in known
        hint = f" To compare several: --ablate 'init={text}'." if several else ""
        raise ArgumentError(f"{lookup.unknown('initializer', name, known, text)}{hint}")
    cls = known[name]
    free, given = settings_of(cls), {}
    key: Any
    value: Any
    for item in rest.split(",") if colon else []:
        key, equals, value = (part.strip() for part in item.rpartition("="))
        try:
            value = float(value)
            fit = [k for k, field in free.items() if isinstance(field.default, float)]
        except ValueError:
            fit = [k for k, field in free.items() if takes(k, field, value)]
        key = key if equals else next(iter(fit), None)
        if key not in free:
            choices = [f"{k} ({expected(k, field)})" for k, field in settings_of(cls).items()]
            raise ArgumentError(
                f"initializer {text!r}: {item!r} does not fit; {cls.name} takes"
                f" {', '.join([*choices, 'each once']) if choices else 'no settings'}."
            )
        given[free.pop(key).name] = value
    return cls(**given)


def __getattr__(name):
    raise no_such_name("minicnn.initializers", name)


def _of_object(thing):
    """An initializer of what is no string."""
    if inspect.isfunction(thing):
        return FromFunction(thing, thing.__name__)
    if isinstance(thing, type) and issubclass(thing, Initializer):
        raise ArgumentError(f"an initializer is an object: write {thing.__name__}().")
    raise ArgumentError(
        f"unknown initializer {shown(thing)!r}: expected a string such as 'msra', an object such"
        " as MSRA(), or a function f(shape, fans, rng) -> array."
    )


def _own(reference):
    """The initializer that a user's file names."""
    thing = reference.load()
    if isinstance(thing, type) and issubclass(thing, Initializer):
        return reference.call(thing)
    if isinstance(thing, Initializer) and not reference.arguments:
        return thing
    if inspect.isfunction(thing):
        given, named = reference.given, reference.named
        reference.check_call(thing, "shape", "fans", "rng", *given, **named)
        return FromFunction(lambda *drawn: thing(*drawn, *given, **named), reference.short)
    raise reference.error(
        "expected a subclass of Initializer, an object of one without arguments, or a function"
        f" f(shape, fans, rng), got {thing!r}."
    )
