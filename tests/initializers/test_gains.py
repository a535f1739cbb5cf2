"""Gains: the factors that keep the second moment through an activation."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from minicnn.errors import ArgumentError
from minicnn.initializers import gain
from minicnn.reference import ACTIVATIONS


def test_gains():
    assert [gain(name) for name in ("linear", "identity", "sigmoid")] == [1, 1, 1]
    assert gain("tanh") == 5 / 3
    assert gain("selu") == 0.75
    assert gain("relu") == math.sqrt(2)
    assert gain("leaky-relu") == gain("prelu", 0.01) == math.sqrt(2 / 1.0001)
    assert gain("prelu") == gain("leaky-relu", 0.25) == math.sqrt(2 / 1.0625)
    assert gain("leaky-relu", -1) == 1


def rule(f):
    """1 / sqrt(E[f(z)²]) for z of N(0, 1)."""
    halves = [
        integrate.quad(lambda z: f(z) ** 2 * stats.norm.pdf(z), *ends, epsabs=1e-12)[0]
        for ends in ((-12, 0), (0, 12))
    ]
    return 1 / math.sqrt(sum(halves))


def test_gains_that_are_exact_and_the_customary_ones():
    assert rule(lambda z: max(z, 0)) == pytest.approx(gain("relu"), rel=1e-9)
    assert rule(lambda z: z if z > 0 else 0.2 * z) == pytest.approx(gain("prelu", 0.2), rel=1e-9)
    # what the docstring says of the others
    selu = (1.0507009873554805, 1.6732632423543772)
    assert rule(lambda z: 1 / (1 + math.exp(-z))) == pytest.approx(1.846, abs=5e-4)
    assert rule(math.tanh) == pytest.approx(1.593, abs=5e-4)
    assert rule(lambda z: selu[0] * (z if z > 0 else selu[1] * math.expm1(z))) == pytest.approx(
        1, abs=5e-7
    )
    given = {"gelu": 1.534, "gelu-tanh": 1.534, "silu": 1.677, "mish": 1.487, "hardswish": 1.737,
             "hardsigmoid": 1.898, "softplus": 1.042, "relu6": 1.414, "celu": 1.245}  # fmt: skip
    for name, number in given.items():
        value = ACTIVATIONS[name][0]
        assert rule(lambda z: value(np.float64(z))) == pytest.approx(number, abs=6e-4)  # noqa: B023
        with pytest.raises(ArgumentError, match="unknown activation"):
            gain(name)


@pytest.mark.parametrize(
    ("activation", "slope", "message"),
    [
        ("rellu", None, "unknown activation 'rellu'. Did you mean 'relu'"),
        (None, None, "unknown activation 'None'"),
        ("relu", 0.1, "only leaky-relu and prelu have a slope"),
        ("prelu", math.nan, "a finite number"),
        ("prelu", True, "a finite number"),
        ("leaky-relu", "0.1", "a finite number"),
    ],
)
def test_gains_that_do_not_exist(activation, slope, message):
    with pytest.raises(ArgumentError, match=message):
        gain(activation, slope)
