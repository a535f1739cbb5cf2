"""Schedules: how the learning rate changes in the course of training.

A schedule is a pure function ``schedule(step, total_steps)`` that gives the factor of the
base learning rate for the update numbered `step`, from 0 to ``total_steps - 1``; at
``step = total_steps`` it gives the value it ends on. It remembers nothing, so training
resumes by asking for a later step. Where a schedule has a peak, the peak is 1: the base
learning rate is the largest one used.

On the command line a schedule is a string: its name, then after a colon its settings in
order or by name, as in ``step:0.5,0.75``, ``step:0.5,gamma=0.2``, ``one-cycle:0.25``,
``cosine-restarts:1/7`` or ``warmup:0.1,cosine``. ``str(schedule)`` gives a string that reads back.
"""

from dataclasses import fields
from typing import Any

from minicnn.errors import ArgumentError, unknown
from minicnn.schedules.base import Schedule
from minicnn.schedules.cosine import Cosine, CosineRestarts, OneCycle
from minicnn.schedules.decay import Constant, Exponential, Linear, Polynomial, Step
from minicnn.schedules.warmup import WarmUp

__all__ = [
    "SCHEDULES", "Constant", "Cosine", "CosineRestarts", "Exponential", "Linear", "OneCycle",
    "Polynomial", "Schedule", "Step", "WarmUp", "from_string", "names",
]  # fmt: skip

SCHEDULES: dict[str, type[Schedule]] = {
    cls.name: cls
    for cls in (
        Constant,
        Step,
        Linear,
        Polynomial,
        Exponential,
        Cosine,
        CosineRestarts,
        OneCycle,
        WarmUp,
    )
}


def names() -> list[str]:
    """The names that `from_string` knows, as a list."""
    return list(SCHEDULES)


def from_string(text: str | Schedule) -> Schedule:
    """The schedule that a string such as ``"one-cycle:0.25"`` names.

    Parameters
    ----------
    text : str or Schedule
        A schedule is returned as it is.

    Raises
    ------
    ArgumentError
        For an unknown name, or settings that are not understood or out of range.
    """
    if isinstance(text, Schedule):
        return text
    name, _, rest = str(text).partition(":")
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    cls: Any = SCHEDULES[name]
    if cls is WarmUp and rest:
        length, comma, following = rest.partition(",")
        return WarmUp(_number(text, length), from_string(following) if comma else Constant())
    items = [item.partition("=") for item in rest.split(",")] if rest else []
    ordered = [_number(text, value) for value, equals, _ in items if not equals]
    named = [(key, _number(text, value)) for key, equals, value in items if equals]
    if cls is Step and ordered:
        ordered = [tuple(ordered)]
    known = [field.name for field in fields(cls)]
    given = known[: len(ordered)] + [key for key, _ in named]
    if len(ordered) > len(known) or len(set(given)) < len(given) or not set(given) <= set(known):
        raise ArgumentError(
            f"schedule {text!r}: {name} takes {', '.join(known) or 'no settings'}, each once."
        )
    return cls(*ordered, **dict(named))


def _number(text, word):
    upper, slash, lower = word.partition("/")
    try:
        if slash:
            return float(upper) / float(lower)
        return int(word) if word.strip().isdigit() else float(word)
    except (ValueError, ZeroDivisionError):
        raise ArgumentError(f"schedule {text!r}: {word!r} is not a number.") from None
