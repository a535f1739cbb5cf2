"""The exponential against NumPy's in long double."""

import numpy as np
import pytest

from minicnn.kernels.exponential import expm1, limits
from minicnn.kernels.launch import kernel

UNITS = 4  # in the last place: a dozen roundings, of which most concern small terms


@kernel
def expm1_of(x, y):
    for i in range(x.size):
        y[i] = expm1(x[i])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_expm1_to_a_few_units_in_the_last_place(dtype):
    least = -limits(dtype(0))[2] if dtype is np.float64 else 87.0
    x = -np.logspace(-30, np.log10(least), 50_000).astype(dtype)
    y = np.empty_like(x)
    expm1_of(x, y)
    exact = np.expm1(x.astype(np.longdouble))
    assert np.max(np.abs((y - exact) / exact)) < UNITS * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_expm1_at_the_ends(dtype):
    x = np.array([0.0, -0.0, -1e30, -np.inf, np.nan], dtype)
    y = np.empty_like(x)
    expm1_of(x, y)
    assert y[:4].tolist() == [0, 0, -1, -1]
    assert np.isnan(y[4])


def test_plain_python_gives_the_same():
    for x in (-1e-9, -0.3, -1.0, -30.0):
        assert expm1(x) == pytest.approx(np.expm1(x), rel=4e-16)
