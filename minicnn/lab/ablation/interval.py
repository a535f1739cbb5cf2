"""A mean over seeds and its confidence interval, from Student's t distribution."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from minicnn.checks import check_count, check_number, check_numbers, is_finite, shown, takes
from minicnn.errors import ArgumentError

CONFIDENCE = 0.95
MOST_FREEDOM = 100_000  # its time grows with it; t is within 1e-5 of the normal's there
MOST = 1e150  # of a value: its square is a float


class Interval(NamedTuple):
    """``mean ± half_width``."""

    mean: float
    half_width: float | None  # None for a single value, which tells nothing of the spread

    @takes(least=check_number, most=check_number)
    def within(self, least: float, most: float = math.inf) -> tuple[float, float] | None:
        """The ends of the interval, cut to where the true mean can be; None for a single value.

        Every value lies between `least` and `most`, as an accuracy from 0 to 1, and so their mean;
        Student's t does not know that, and may reach beyond. To cut off what cannot be keeps the
        coverage as it is, whatever the values' distribution, since the true mean is never in what
        is cut off (Mandelkern, *Setting confidence intervals for bounded parameters*, Statistical
        Science 17, 2002). An interval of transformed values, as of logits, would be one for
        another parameter than the mean, and would have no value at 0 and 1.
        """
        if self.half_width is None:
            return None
        return max(least, self.mean - self.half_width), min(most, self.mean + self.half_width)


@takes(values=partial(check_numbers, ndim=1))
def interval(values: Sequence[float]) -> Interval | None:
    """Mean of the values and its 95 % interval: ``t(0.975, n - 1) s / sqrt(n)`` to each side.

    `s` is the standard deviation with ``n - 1``. The interval supposes values that are
    independent and roughly normal, as those of several seeds are unless some fail to train.
    None if there are no values.

    Raises
    ------
    ArgumentError
        For values that are not finite or beyond 1e150 in size, or more than 100,001.
    """
    values = [float(value) for value in values]
    for value in values:
        if not abs(value) <= MOST:
            raise ArgumentError(
                f"the values of an interval must be finite and at most {MOST:g} in size, got"
                f" {value}."
            )
    n = len(values)
    if not n:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, None)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Interval(mean, student_t(n - 1) * math.sqrt(variance / n))


def _check_by_seed(value, what):
    if not isinstance(value, dict) or not all(map(is_finite, value.values())):
        raise ArgumentError(f"{what} must be a dict of finite numbers by seed, got {shown(value)}.")
    return value


@takes(values=_check_by_seed, others=_check_by_seed)
def paired(values: Mapping[int, float], others: Mapping[int, float]) -> tuple[Interval | None, int]:
    """The interval of the mean of ``values - others``, and how many seeds they have in common.

    The differences of two treatments of the same subjects, here seeds, are a single sample: what
    the seed does to both falls out (Student's paired t test; *The probable error of a mean*,
    Biometrika 6, 1908). Seeds that only one of the two has are left out; without a common one
    there is no interval, but None.
    """
    common = [seed for seed in values if seed in others]
    return interval([values[seed] - others[seed] for seed in common]), len(common)


@takes(freedom=check_count)
def student_t(freedom: int, confidence: float = CONFIDENCE) -> float:
    """The t that a Student variable stays within, ``P(|T| <= t) = confidence``.

    With ``t = sqrt(freedom) tan(theta)`` the probability is a finite sum for whole degrees of
    freedom: Abramowitz & Stegun, *Handbook of mathematical functions*, 26.7.3 and 26.7.4.
    Bisection finds the theta. ArgumentError unless there are 1 to 100,000 degrees of freedom and
    the confidence is in (0, 1).
    """
    if freedom > MOST_FREEDOM:
        raise ArgumentError(
            f"student_t: freedom must be at most {MOST_FREEDOM:,}, got {freedom}; beyond, T is"
            " normal to five digits."
        )
    if not (is_finite(confidence) and 0 < confidence < 1):
        raise ArgumentError(
            f"student_t: confidence must be a number in (0, 1), got {shown(confidence)}."
        )
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        theta = (low + high) / 2
        if _probability(theta, freedom) < confidence:
            low = theta
        else:
            high = theta
    return math.sqrt(freedom) * math.tan(low)


def _probability(theta, freedom):
    """``P(|T| <= sqrt(freedom) tan(theta))``."""
    odd = freedom % 2
    term, total = math.cos(theta) if odd else 1.0, 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= math.cos(theta) ** 2 * k / (k + 1)
    total *= math.sin(theta)
    return 2 / math.pi * (theta + total) if odd else total
