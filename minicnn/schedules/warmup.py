"""A rise in a straight line before another schedule."""

from dataclasses import dataclass
from typing import Any

from minicnn.errors import ArgumentError
from minicnn.schedules.base import Schedule
from minicnn.schedules.decay import Constant
from minicnn.schedules.settings import check_length, whole_steps


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
        check_length(self)
        if not isinstance(self.schedule, Schedule):
            raise ArgumentError(f"warmup is followed by a Schedule, got {self.schedule!r}.")

    @property
    def open_ended(self) -> bool:
        """Whether the length is a number of steps, and what follows is open-ended."""
        return self.length >= 1 and self.schedule.open_ended

    def factor(self, step: int, total_steps: int) -> float:
        """Factor at `step`."""
        if self.length < 1:
            warm: Any = whole_steps(self.length, total_steps)
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
