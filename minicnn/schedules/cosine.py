"""Schedules made of half cosines."""

import math
import numbers
from dataclasses import dataclass

from minicnn.checks.values import MOST
from minicnn.schedules.base import Schedule
from minicnn.schedules.settings import check_length, check_setting, whole_steps

CLOSE = 1e-7  # of a cycle: so far from its end, 1 + cos is not yet 0
SHORTEST = 1e-6  # of a step, for a cycle


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
        check_setting(self, "final", self.final, lambda x: 0 <= x < 1, "in [0, 1)")

    def factor(self, step: int, total_steps: int) -> float:
        """Factor at `step`."""
        return _half_cosine(1.0, self.final, step / total_steps)


@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """Half a cosine from 1 down to `final`, again and again, each `mult` times as long.

    final + (1 - final) (1 + cos(π t)) / 2 with t in [0, 1) the place in the cycle. Loshchilov &
    Hutter, *SGDR: stochastic gradient descent with warm restarts*, ICLR 2017 (arXiv 1608.03983);
    PyTorch's ``CosineAnnealingWarmRestarts`` with T_0 = `length` and T_mult = `mult`. A training
    should end with a cycle, as the learning rate is large behind a restart: n cycles have the
    length 1/n, and those that double 1/(2^n - 1), as the three of the default.

    Parameters
    ----------
    length : float or int
        Of the first cycle: a fraction of training in (0, 1), or a whole number of steps.
    mult : int
        At least 1.
    final : float
        What each cycle goes down to, in [0, 1).
    """

    length: float = 1 / 7
    mult: int = 2
    final: float = 0.0
    name = "cosine-restarts"

    def __post_init__(self) -> None:
        check_length(self)
        check_setting(
            self, "mult", self.mult,
            lambda x: 1 <= x <= MOST and isinstance(x, numbers.Integral),
            "a whole number of at least 1",
        )  # fmt: skip
        check_setting(self, "final", self.final, lambda x: 0 <= x < 1, "in [0, 1)")

    @property
    def open_ended(self) -> bool:
        """Whether the length is a number of steps."""
        return self.length >= 1

    def factor(self, step: int, total_steps: int) -> float:
        """Factor at `step`."""
        whole = self.length >= 1
        x = step / (self.length if whole else max(self.length * total_steps, SHORTEST))
        # A step where one cycle ends begins the next, whatever the rounding; the last step ends.
        early = -CLOSE if step == total_steps else CLOSE
        begin, length = 0, 1
        if self.mult == 1:
            begin = math.floor(x + early)
        while self.mult > 1 and x >= begin + length * (1 - early):
            begin, length = begin + length, length * self.mult
        return _half_cosine(1.0, self.final, min(max((x - begin) / length, 0.0), 1.0))


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
        check_setting(self, "warmup", self.warmup, lambda x: 0 <= x < 1, "a fraction in [0, 1)")
        check_setting(self, "start", self.start, lambda x: 0 < x < 1, "in (0, 1)")
        check_setting(self, "final", self.final, lambda x: 0 <= x < 1, "in [0, 1)")

    def factor(self, step: int, total_steps: int) -> float:
        """Factor at `step`."""
        peak = whole_steps(self.warmup, total_steps)
        if step < peak:
            return _half_cosine(self.start, 1.0, step / peak)
        return _half_cosine(1.0, self.final, (step - peak) / (total_steps - peak))


def _half_cosine(first, last, t):
    """From `first` at t = 0 to `last` at t = 1, both exactly."""
    return last + (first - last) * (1 + math.cos(math.pi * t)) / 2
