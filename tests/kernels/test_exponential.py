"""The exponential and its relatives against 50 digits, where they are delicate."""

import math

import mpmath as mp
import numpy as np
import pytest

from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.simd.exponential import exp_of_difference, times_exp, times_expm1
from tests.long.precision import points, units

DTYPES = [np.float32, np.float64]
UNITS = 2  # in the last place; the result is rounded once, and its largest term before


@kernel
def _exponentials(x, y, z):
    one = x.dtype.type(1)
    for i in range(x.size):
        y[i], z[i] = times_exp(one, x[i]), times_expm1(one, x[i])


@kernel
def _differences(x, top, y):
    for i in range(x.size):
        y[i] = exp_of_difference(x[i], top)


def exponentials(x):
    y, z = np.empty((2, x.size), x.dtype)
    _exponentials(x, y, z)
    return y, z


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_size_down_to_the_denormal_numbers(dtype):
    x = -abs(points(dtype, 2000, np.random.default_rng(0)))
    with mp.workdps(50):
        for number, y, z in zip(x, *exponentials(x)):
            exact = mp.mpf(float(number))
            assert units(y, mp.exp(exact), dtype) < UNITS, number
            assert units(z, mp.expm1(exact), dtype) < UNITS, number


@pytest.mark.parametrize("dtype", DTYPES)
def test_ends(dtype):
    x = np.array([0.0, -0.0, -1e30, -np.inf, np.nan], dtype)
    y, z = exponentials(x)
    assert y[:4].tolist() == [1, 1, 0, 0]
    assert z[:4].tolist() == [0, 0, -1, -1]
    assert np.isnan(y[4]) and np.isnan(z[4])


def test_the_rounding_of_a_difference_does_not_show():
    """700 is rounded to 1e-13, which would be as much of the exponential."""
    x, top = np.random.default_rng(0).uniform(-690, 0, 500), 10.1
    y = np.empty_like(x)
    _differences(x, top, y)
    with mp.workdps(50):
        for number, found in zip(x, y):
            assert units(found, mp.exp(mp.mpf(number) - mp.mpf(top)), np.float64) < UNITS
    _differences(np.array([-np.inf, np.nan]), top, y[:2])
    assert y[0] == 0 and np.isnan(y[1])


def test_plain_python_gives_the_same():
    for x in (-1e-9, -0.3, -1.0, -30.0):
        assert times_exp(1.0, x) == pytest.approx(math.exp(x), rel=4e-16)
        assert times_expm1(1.0, x) == pytest.approx(math.expm1(x), rel=4e-16)
