"""What every schedule is: a pure function of the step, with settings that are checked."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from minicnn.checks.values import MOST, shown
from minicnn.errors import ArgumentError

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
