"""What schedules share: the checks of their settings, and parts of a training.

For the package itself: it checks nothing of what it is handed.
"""

import numbers
from collections.abc import Callable
from typing import Any

from minicnn.checks.values import MOST
from minicnn.errors import ArgumentError


def whole_steps(fraction: float, total_steps: int) -> int:
    """The fraction as whole steps, leaving at least one, so that a peak is always reached."""
    return min(round(fraction * total_steps), total_steps - 1)


def check_setting(
    schedule: Any, name: str, value: Any, valid: Callable[[Any], bool], expected: str
) -> None:
    """Raise an ArgumentError unless `value` is a number that is valid."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (number and valid(value)):
        raise ArgumentError(f"schedule {schedule.name}: {name} must be {expected}, got {value!r}.")


def check_length(schedule: Any) -> None:
    """Raise an ArgumentError unless a schedule's `length` is a part of training."""
    check_setting(
        schedule, "length", schedule.length,
        lambda x: 0 < x < 1 or (1 <= x <= MOST and isinstance(x, numbers.Integral)),
        "a fraction in (0, 1) or a whole number of steps",
    )  # fmt: skip
