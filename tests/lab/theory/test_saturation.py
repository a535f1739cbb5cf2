"""Expectations of two saturated numbers, against closed forms and sums over a plain grid."""

import math

import numpy as np
import pytest
from scipy import special

from minicnn.lab.theory.moments import LeakyMoments, Moments
from minicnn.lab.theory.saturation import expectation

RHO = np.array([-1, -0.999, -0.5, 0, 1e-3, 0.9, 0.99, 0.9999, 1 - 1e-9, 1])


def erf_slope(z):
    return 2 / math.sqrt(math.pi) * np.exp(-z * z)


def pairs(count, q, seed=0):
    """Variances around q, and correlations of both signs, most of them strong."""
    rng = np.random.default_rng(seed)
    rho = np.cos(np.exp(rng.uniform(math.log(1e-4), math.log(1.5), count)))
    return q * np.exp(rng.uniform(-1, 1, (2, count))), rho * rng.choice([-1, 1], count)


@pytest.mark.parametrize("q", [0.3, 10, 1e3])
@pytest.mark.parametrize("count", [len(RHO), 6000])  # one by one, and interpolated
def test_erf_has_closed_forms(q, count):
    (one, two), rho = pairs(count, q)
    if count == len(RHO):
        rho = RHO
    c = rho * np.sqrt(one * two)
    product = (1 + 2 * one) * (1 + 2 * two)
    expected = 2 / math.pi * np.arcsin(2 * c / np.sqrt(product))
    np.testing.assert_allclose(expectation(special.erf, one, two, rho), expected, atol=1e-8)
    expected = 4 / math.pi / np.sqrt(product - 4 * c * c)
    np.testing.assert_allclose(expectation(erf_slope, one, two, rho), expected, rtol=1e-6)


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_kinks_and_steps(slope):
    exact = LeakyMoments(slope)
    for count in (50, 6000):
        (one, two), rho = pairs(count, 3)
        c = rho * np.sqrt(one * two)
        for f, by in ((exact.value, exact.kernel), (exact.derivative, exact.slope_kernel)):
            found = expectation(f, one, two, rho)
            np.testing.assert_allclose(found, by(one, two, c), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["tanh", "gelu", "sigmoid"])
@pytest.mark.parametrize("q, rho", [(1, 0.9), (10, 0.99), (100, 0.5), (100, 0.97), (100, -0.99)])
def test_moments_of_saturated_units(name, q, rho):
    """A sum over a grid converges as fast as these functions are smooth."""
    moments, step = Moments(name), 0.02
    u = np.arange(-9, 9, step)
    weight = np.exp(-u * u / 2) / math.sqrt(2 * math.pi) * step
    z = math.sqrt(q) * np.broadcast_to(u[:, None], (u.size, u.size))
    its = math.sqrt(q) * (rho * u[:, None] + math.sqrt(1 - rho * rho) * u)
    for f, by in ((moments.value, moments.kernel), (moments.derivative, moments.slope_kernel)):
        expected = weight @ (f(z) * f(its)) @ weight
        found = by(np.array([q]), np.array([q]), np.array([rho * q]))
        np.testing.assert_allclose(found, expected, rtol=2e-6)
