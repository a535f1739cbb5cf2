"""Initializers that look at no fan: constants, normal and uniform distributions."""

from dataclasses import dataclass, field

import numpy as np

from minicnn.checks import check_generator
from minicnn.initializers.base import Fans, Initializer, Shape


@dataclass(frozen=True)
class Constant(Initializer):
    """w = value everywhere: all units of a layer stay tied. Promises variance 0."""

    value: float = 0.1
    name = "constant"

    def moments(self, fans: Fans | None, shape: Shape | None) -> tuple[float, float]:
        """Mean and variance of the weights."""
        return self.value, 0.0

    def draw(self, shape: Shape, fans: Fans | None, rng: np.random.Generator) -> np.ndarray:
        """The weights, float64."""
        return np.full(shape, self.value)


@dataclass(frozen=True)
class Zeros(Constant):
    """w = 0: right for a bias; a network of it is dead with ReLU or tanh, tied with sigmoid."""

    value: float = field(default=0.0, init=False, repr=False)
    name = "zeros"


@dataclass(frozen=True)
class Ones(Constant):
    """w = 1: right for the scale of a normalization."""

    value: float = field(default=1.0, init=False, repr=False)
    name = "ones"


@dataclass(frozen=True)
class Normal(Initializer):
    """w of N(mean, std²), whatever the fans. The mean is ``mean=`` in strings."""

    std: float = 0.01
    mean_: float = 0.0
    name = distribution = "normal"

    def moments(self, fans: Fans | None, shape: Shape | None) -> tuple[float, float]:
        """Mean and variance of the weights."""
        return self.mean_, self.std * self.std


@dataclass(frozen=True)
class TruncatedNormal(Normal):
    """w of a normal distribution that is cut at two of its own standard deviations.

    `std` is what remains after the cut: before it the distribution has std / 0.8796.
    """

    std: float = 0.02
    name = distribution = "truncated-normal"


@dataclass(frozen=True)
class Uniform(Initializer):
    """w of U(low, high), whatever the fans: Var w = (high - low)² / 12."""

    low: float = -0.05
    high: float = 0.05
    name = "uniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low > self.high:
            raise self._error(f"low must not be above high, got {self.low} and {self.high}.")

    def moments(self, fans: Fans | None, shape: Shape | None) -> tuple[float, float]:
        """Mean and variance of the weights."""
        width = self.high - self.low
        return (self.low + self.high) / 2, width * width / 12

    def draw(self, shape: Shape, fans: Fans | None, rng: np.random.Generator) -> np.ndarray:
        """The weights, float64."""
        return self.low + (self.high - self.low) * check_generator(rng).random(shape)
