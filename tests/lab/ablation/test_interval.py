"""Student's t against SciPy's, and the interval against its definition."""

import numpy as np
import pytest
from scipy import stats

from minicnn.errors import ArgumentError
from minicnn.lab.ablation.interval import interval, paired, student_t


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


def test_an_interval_stays_where_the_mean_can_be():
    assert interval([50.0, 60, 80]).within(0, 100)[1] == 100
    assert interval([0.1, 0.2, 0.9]).within(0, 1) == (0, 1)
    assert interval([1, 2, 9]).within(0) == (0, pytest.approx(4 + 10.82, abs=0.01))
    narrow = interval([98.0, 98.1, 98.2])
    assert narrow.within(0, 100) == (
        narrow.mean - narrow.half_width, narrow.mean + narrow.half_width
    )  # fmt: skip
    assert interval([0.0, 0.0]).within(0, 1) == (0, 0) and interval([1.0, 1, 1]).within(0, 1) == (
        1,
        1,
    )
    assert interval([0.5]).within(0, 1) is None


@pytest.mark.parametrize("n", [2, 3, 5])
def test_what_is_cut_off_never_held_the_mean(n):
    """Of values in [0, 1], cut and uncut intervals hold their mean in the same cases."""
    rng = np.random.default_rng(n)
    for mean in (0.1, 0.5, 0.9, 0.99):
        for values in rng.binomial(20, mean, (200, n)) / 20:
            whole = interval(list(values))
            low, high = whole.within(0, 1)
            assert (low <= mean <= high) == (abs(mean - whole.mean) <= whole.half_width)


def test_paired_differences_of_the_seeds_in_common():
    one, other = {0: 0.5, 1: 0.6, 2: 0.9, 4: 0.0}, {2: 0.7, 1: 0.5, 0: 0.5, 3: 1.0}
    found, count = paired(one, other)
    low, high = stats.ttest_rel([0.5, 0.6, 0.9], [0.5, 0.5, 0.7]).confidence_interval()
    assert count == 3 and found.mean == pytest.approx(0.1)
    assert found.mean - found.half_width == pytest.approx(low, rel=1e-9)
    assert found.mean + found.half_width == pytest.approx(high, rel=1e-9)
    assert paired(one, {3: 1.0}) == (None, 0)
    assert paired(one, {4: 1.0}) == ((-1.0, None), 1)


@pytest.mark.parametrize("freedom, confidence", [(10**9, 0.95), (3, 1.0), (3, None), (0, 0.5)])
def test_a_t_that_would_take_for_ever_or_cannot_be_is_refused(freedom, confidence):
    with pytest.raises(ArgumentError, match="student_t"):
        student_t(freedom, confidence)
