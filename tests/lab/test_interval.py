"""Student's t against SciPy's, and the interval against its definition."""

import numpy as np
import pytest
from scipy import stats

from minicnn.lab.interval import interval, student_t


@pytest.mark.parametrize("freedom", [*range(1, 31), 99, 100, 999, 1000])
def test_student_t(freedom):
    for confidence in (0.5, 0.9, 0.95, 0.99):
        expected = stats.t.ppf((1 + confidence) / 2, freedom)
        assert student_t(freedom, confidence) == pytest.approx(expected, rel=1e-10)
    assert student_t(freedom) == student_t(freedom, 0.95)


@pytest.mark.parametrize("n", [2, 3, 4, 10])
def test_the_interval_of_some_values(n):
    values = np.random.default_rng(n).normal(3, 2, n)
    mean, half_width = interval(list(values))
    low, high = stats.t.interval(0.95, n - 1, np.mean(values), stats.sem(values))
    assert mean - half_width == pytest.approx(low, rel=1e-10)
    assert mean + half_width == pytest.approx(high, rel=1e-10)


def test_too_few_values():
    assert interval([]) is None
    assert interval([0.25]) == (0.25, None)
    assert interval([0.25, 0.25]) == (0.25, 0)
