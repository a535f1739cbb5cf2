"""Schedules: how the learning rate changes in the course of training.

A schedule is a pure function ``schedule(step, total_steps)`` that gives the factor of the
base learning rate for the update numbered `step`, from 0 to ``total_steps - 1``; at
``step = total_steps`` it gives the value it ends on. It remembers nothing, so training
resumes by asking for a later step. Where a schedule has a peak, the peak is 1: the base
learning rate is the largest one used.

On the command line a schedule is a string: its name, then after a colon its settings in
order or by name, as in ``step:0.5,0.75``, ``step:0.5,gamma=0.2``, ``one-cycle:0.25`` or
``warmup:0.1,cosine``. ``str(schedule)`` gives the string back.
"""

import functools
import inspect
import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from minicnn.checks.values import MOST, shown
from minicnn.errors import ArgumentError, unknown

NUMBERS = (int, float, np.integer, np.floating)


def _checked(factor):
    """A subclass's ``factor``, which is asked for steps of a training alone."""

    @functools.wraps(factor)
    def checked(self, step, total_steps):
        given = isinstance(step, NUMBERS) and isinstance(total_steps, NUMBERS)
        if given:
            step, total_steps = np.asarray(step).item(), np.asarray(total_steps).item()
        if not (given and 1 <= total_steps <= MOST and 0 <= step <= total_steps):
            raise ArgumentError(
                f"schedule {self}: step {shown(step)} of {shown(total_steps)} does not exist;"
                " expected 0 <= step <= total_steps and at least one step."
            )
        return factor(self, step, total_steps)

    return checked


class Schedule:
    """Base of all schedules; a subclass gives ``factor`` and its ``name``."""

    name: str
    factor: Callable[..., float]

    def __init_subclass__(cls, **named: Any) -> None:
        """Check the steps wherever the factor is asked for."""
        super().__init_subclass__(**named)
        if inspect.isfunction(vars(cls).get("factor")):
            cls.factor = _checked(cls.factor)

    def __call__(self, step: int, total_steps: int) -> float:
        """Factor of the base learning rate, above 0 for every ``step < total_steps``.

        Parameters
        ----------
        step : int
            Updates made so far, 0 to `total_steps`; others are an ArgumentError.
        total_steps : int
            Updates in the whole training, at least 1.
        """
        return self.factor(step, total_steps)

    @property
    def open_ended(self) -> bool:
        """Whether the factor at a step is the same for every `total_steps`.

        Only then can a finished training be continued as if it had been longer from the start.
        """
        return False

    def __str__(self) -> str:
        """The string that `from_string` reads: the settings that are not the default."""
        own: Any = self
        given = [(field.name, getattr(self, field.name), field.default) for field in fields(own)]
        changed = [f"{name}={value}" for name, value, default in given if value != default]
        return ":".join([self.name, ",".join(changed)]) if changed else self.name


@dataclass(frozen=True)
class Constant(Schedule):
    """The base learning rate throughout: factor 1."""

    name = "constant"
    open_ended = True

    def factor(self, step: int, total_steps: int) -> float:
        """Factor at `step`."""
        return 1.0


@dataclass(frozen=True)
class Step(Schedule):
    """Multiply by gamma at each milestone: gamma^(milestones passed).

    Parameters
    ----------
    milestones : tuple of float
        Fractions of training, in (0, 1), rising.
    gamma : float
        In (0, 1].
    """

    milestones: tuple[float, ...] = (0.5, 0.75)
    gamma: float = 0.1
    name = "step"

    def __post_init__(self) -> None:
        given: Any = self.milestones
        milestones = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        object.__setattr__(self, "milestones", milestones)
        for milestone in milestones:
            _check(self, "milestones", milestone, lambda x: 0 < x < 1, "fractions in (0, 1)")
        if not milestones or any(a >= b for a, b in zip(milestones, milestones[1:])):
            raise ArgumentError(f"schedule step: milestones must rise, got {milestones}.")
        _check(self, "gamma", self.gamma, lambda x: 0 < x <= 1, "in (0, 1]")

    def factor(self, step: int, total_steps: int) -> float:
        """Factor at `step`."""
        return self.gamma ** sum(step / total_steps >= m for m in self.milestones)

    def __str__(self) -> str:
        gamma = [f"gamma={self.gamma}"] if self.gamma != 0.1 else []
        return "step:" + ",".join([*(str(m) for m in self.milestones), *gamma])


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 down to `final`: final + (1 - final) (1 + cos(π t)) / 2, t in [0, 1].

    Loshchilov & Hutter, *SGDR: stochastic gradient descent with warm restarts*, ICLR 2017
    (arXiv 1608.03983), without the restarts.

    Parameters
    ----------
    final : float
        Factor at the end, in [0, 1).
    """

    final: float = 0.0
    name = "cosine"

    def __post_init__(self) -> None:
        _check(self, "final", self.final, lambda x: 0 <= x < 1, "in [0, 1)")

    def factor(self, step: int, total_steps: int) -> float:
        """Factor at `step`."""
        return _half_cosine(1.0, self.final, step / total_steps)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Half a cosine from `start` up to 1, then one from 1 down to `final`.

    Smith & Topin, *Super-convergence: very fast training of neural networks using large
    learning rates*, 2019 (arXiv 1708.07120), with cosines for their straight lines.

    Parameters
    ----------
    warmup : float
        Fraction of training before the peak, in [0, 1); rounded to whole steps.
    start, final : float
        Factors at the first step and at the end, in (0, 1) and [0, 1).
    """

    warmup: float = 0.2
    start: float = 1 / 25
    final: float = 1e-4
    name = "one-cycle"

    def __post_init__(self) -> None:
        _check(self, "warmup", self.warmup, lambda x: 0 <= x < 1, "a fraction in [0, 1)")
        _check(self, "start", self.start, lambda x: 0 < x < 1, "in (0, 1)")
        _check(self, "final", self.final, lambda x: 0 <= x < 1, "in [0, 1)")

    def factor(self, step: int, total_steps: int) -> float:
        """Factor at `step`."""
        peak = _whole_steps(self.warmup, total_steps)
        if step < peak:
            return _half_cosine(self.start, 1.0, step / peak)
        return _half_cosine(1.0, self.final, (step - peak) / (total_steps - peak))


@dataclass(frozen=True)
class WarmUp(Schedule):
    """Rise in a straight line, then follow another schedule in the steps that are left.

    With w steps of warm-up the factor is (step + 1) / (w + 1) times where the other
    schedule starts, so that it gets there at step w. Goyal et al., *Accurate, large
    minibatch SGD*, 2017 (arXiv 1706.02677).

    Parameters
    ----------
    length : float or int
        A fraction of training in (0, 1), or a whole number of steps.
    schedule : Schedule
        What follows.
    """

    length: float = 0.1
    schedule: Schedule = Constant()
    name = "warmup"

    def __post_init__(self) -> None:
        _check(
            self, "length", self.length,
            lambda x: 0 < x < 1 or (x >= 1 and isinstance(x, numbers.Integral)),
            "a fraction in (0, 1) or a whole number of steps",
        )  # fmt: skip
        if not isinstance(self.schedule, Schedule):
            raise ArgumentError(f"warmup is followed by a Schedule, got {self.schedule!r}.")

    @property
    def open_ended(self) -> bool:
        """Whether the length is a number of steps, and what follows is open-ended."""
        return self.length >= 1 and self.schedule.open_ended

    def factor(self, step: int, total_steps: int) -> float:
        """Factor at `step`."""
        if self.length < 1:
            warm = _whole_steps(self.length, total_steps)
        elif self.length < total_steps:
            warm = self.length
        else:
            raise ArgumentError(
                f"schedule {self}: {self.length} steps of warm-up do not fit a training of "
                f"{total_steps}: give fewer, or a fraction such as warmup:0.1."
            )
        if step < warm:
            return (step + 1) / (warm + 1) * self.schedule(0, total_steps - warm)
        return self.schedule(step - warm, total_steps - warm)

    def __str__(self) -> str:
        return f"warmup:{self.length},{self.schedule}"


SCHEDULES: dict[str, type[Schedule]] = {
    cls.name: cls for cls in (Constant, Step, Cosine, OneCycle, WarmUp)
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


def _half_cosine(first, last, t):
    """From `first` at t = 0 to `last` at t = 1, both exactly."""
    return last + (first - last) * (1 + math.cos(math.pi * t)) / 2


def _whole_steps(fraction, total_steps):
    """The fraction as whole steps, leaving at least one, so that a peak is always reached."""
    return min(round(fraction * total_steps), total_steps - 1)


def _number(text, word):
    try:
        return int(word) if word.strip().isdigit() else float(word)
    except ValueError:
        raise ArgumentError(f"schedule {text!r}: {word!r} is not a number.") from None


def _check(schedule, name, value, valid, expected):
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (number and valid(value)):
        raise ArgumentError(f"schedule {schedule.name}: {name} must be {expected}, got {value!r}.")
