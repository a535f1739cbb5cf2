"""A mean over seeds and its confidence interval, from Student's t distribution."""

import math
from typing import NamedTuple

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """``mean ± half_width``.

    Attributes
    ----------
    mean : float
    half_width : float or None
        None for a single value, which tells nothing of the spread.
    """

    mean: float
    half_width: float | None


def interval(values):
    """Mean of the values and its 95 % interval: ``t(0.975, n - 1) s / sqrt(n)`` to each side.

    `s` is the standard deviation with ``n - 1``. The interval supposes values that are
    independent and roughly normal, as those of several seeds are unless some fail to train.

    Parameters
    ----------
    values : sequence of float
        Finite.

    Returns
    -------
    Interval or None
        None if there are no values.
    """
    n = len(values)
    if n == 0:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, None)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Interval(mean, student_t(n - 1) * math.sqrt(variance / n))


def student_t(freedom, confidence=CONFIDENCE):
    """The t that a Student variable stays within, ``P(|T| <= t) = confidence``.

    With ``t = sqrt(freedom) tan(theta)`` the probability is a finite sum for whole degrees of
    freedom: Abramowitz & Stegun, *Handbook of mathematical functions*, 26.7.3 and 26.7.4.
    Bisection finds the theta.

    Parameters
    ----------
    freedom : int
        Degrees of freedom, at least 1.
    confidence : float
        In (0, 1).

    Returns
    -------
    float
    """
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
