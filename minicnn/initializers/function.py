"""An initializer that is a user's plain function."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.checks import check_callable, check_shape, check_text
from minicnn.errors import MinicnnError
from minicnn.initializers.base import Fans, Initializer, Shape

SEED = 0  # of the draw that is looked at


@dataclass(frozen=True)
class FromFunction(Initializer):
    """Numbers that a function draws, ``function(shape, fans, rng) -> array``.

    They come from `rng` alone, so that a seed repeats them; ``str`` gives the name. A function
    promises nothing: `mean` and `variance` are those of one draw from a generator of its own.
    """

    function: Callable[..., Any]
    name: str

    def __post_init__(self) -> None:
        """Refuse what cannot be called with a shape, fans and a generator."""
        check_callable(self.function, "FromFunction: function", arguments=3)
        check_text(self.name, "FromFunction: name")

    def __str__(self) -> str:
        return self.name

    def moments(self, fans: Fans | None, shape: Shape | None) -> tuple[float, float]:
        """Mean and variance of the weights."""
        if shape is None:
            raise self._error("needs the shape of a weight to tell its mean and variance.")
        shape = check_shape(shape, "shape", "such as (8, 3, 3, 3)")
        values = self(shape, fans, np.random.default_rng(SEED), np.float64)
        return float(values.mean()), float(values.var())

    def draw(self, shape: Shape, fans: Fans | None, rng: np.random.Generator) -> np.ndarray:
        """The weights, float64."""
        try:
            values = self.function(shape, fans, rng)
        except MinicnnError:
            raise
        except Exception as error:
            *_, last = traceback.extract_tb(error.__traceback__)
            raise self._error(
                f"it raised {type(error).__name__}: {error} ({last.filename}, line {last.lineno})."
            ) from error
        if values is None:
            raise self._error("it returned None: expected an array. Is the return missing?")
        values = np.asarray(values)
        if values.dtype.kind == "f" and np.isnan(values).any():
            raise self._error("it drew NaN.")
        return values
