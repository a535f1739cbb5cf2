"""Schedules that are constant, fall in steps, or fall along a line or a power."""

from dataclasses import dataclass
from typing import Any

from minicnn.errors import ArgumentError
from minicnn.schedules.base import Schedule
from minicnn.schedules.settings import check_setting


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
            check_setting(self, "milestones", milestone, lambda x: 0 < x < 1, "fractions in (0, 1)")
        if not milestones or any(a >= b for a, b in zip(milestones, milestones[1:])):
            raise ArgumentError(f"schedule step: milestones must rise, got {milestones}.")
        check_setting(self, "gamma", self.gamma, lambda x: 0 < x <= 1, "in (0, 1]")

    def factor(self, step: int, total_steps: int) -> float:
        """Factor at `step`."""
        return self.gamma ** sum(step / total_steps >= m for m in self.milestones)

    def __str__(self) -> str:
        gamma = [f"gamma={self.gamma}"] if self.gamma != 0.1 else []
        return "step:" + ",".join([*(str(m) for m in self.milestones), *gamma])


@dataclass(frozen=True)
class Linear(Schedule):
    """A straight line from 1 to `final`: 1 - t + final t, t in [0, 1].

    PyTorch's ``LinearLR`` with a start factor of 1 and a straight line over the whole training.

    Parameters
    ----------
    final : float
        Factor at the end, in [0, 1).
    """

    final: float = 0.0
    name = "linear"

    def __post_init__(self) -> None:
        check_setting(self, "final", self.final, lambda x: 0 <= x < 1, "in [0, 1)")

    def factor(self, step: int, total_steps: int) -> float:
        """Factor at `step`."""
        t = step / total_steps
        return (1 - t) + self.final * t


@dataclass(frozen=True)
class Polynomial(Schedule):
    """A power of the training that is left: (1 - t)^power, t in [0, 1].

    PyTorch's ``PolynomialLR`` over the whole training, with its default: a straight line to 0.

    Parameters
    ----------
    power : float
        Above 0, at most 10.
    """

    power: float = 1.0
    name = "polynomial"

    def __post_init__(self) -> None:
        check_setting(self, "power", self.power, lambda x: 0 < x <= 10, "in (0, 10]")

    def factor(self, step: int, total_steps: int) -> float:
        """Factor at `step`."""
        return (1 - step / total_steps) ** self.power


@dataclass(frozen=True)
class Exponential(Schedule):
    """The same ratio in every step, from 1 to `final`: final^t, t in [0, 1].

    PyTorch's ``ExponentialLR`` with gamma = final^(1 / total_steps), stepped once an update.

    Parameters
    ----------
    final : float
        Factor at the end, in (0, 1).
    """

    final: float = 0.01
    name = "exponential"

    def __post_init__(self) -> None:
        check_setting(self, "final", self.final, lambda x: 0 < x < 1, "in (0, 1)")

    def factor(self, step: int, total_steps: int) -> float:
        """Factor at `step`."""
        return self.final ** (step / total_steps)
