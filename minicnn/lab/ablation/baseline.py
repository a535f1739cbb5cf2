"""Baseline: the arm that others are compared with, the best one or one that is named."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from minicnn.checks import check_callable, check_dict, check_finite, list_of, takes
from minicnn.errors import ArgumentError
from minicnn.lab.ablation.grid import Grid, label, text_of


class Baseline:
    """What each arm of a grid is compared with.

    Without settings that is the best arm: of those with the most seeds that finished, the one
    with the greatest mean test accuracy, the first of equals. With the value of each axis it is
    that arm. With the values of some axes it is, for each arm, the one that has these and is
    the same otherwise: ``init=msra`` compares the inits within each activation.

    Parameters
    ----------
    grid : Grid
    settings : dict, optional
        A value of some axes, by name.

    Raises
    ------
    ArgumentError
        For what is no axis of the grid, or no value of it.
    """

    @takes(grid=Grid, settings=check_dict)
    def __init__(self, grid: Grid, settings: dict[str, Any] | None = None):
        self._arms, self._settings = grid.arms(), dict(settings or {})
        for name, value in self._settings.items():
            if name not in grid.axes:
                raise ArgumentError(
                    f"the baseline has {name}, which is no axis of this comparison: its axes are"
                    f" {', '.join(grid.axes)}."
                )
            if isinstance(value, np.ndarray) or value not in grid.axes[name]:
                values = ", ".join(map(text_of, grid.axes[name]))
                raise ArgumentError(
                    f"the baseline has {name} {text_of(value)}, expected one of the axis: {values}."
                )

    @classmethod
    @takes(grid=Grid, texts=list_of(str), convert=partial(check_callable, arguments=2))
    def from_strings(
        cls, grid: Grid, texts: Iterable[str], convert: Callable[[str, str], Any]
    ) -> "Baseline":
        """The baseline whose settings are written as on the command line, such as ``init=msra``.

        `convert` is as for `Grid.from_strings`.
        """
        settings = {}
        for text in texts:
            name, equals, word = text.partition("=")
            name = name.strip().replace("-", "_")
            if not equals or not word.strip():
                raise ArgumentError(f"baseline {text!r}: expected OPTION=VALUE, as in init=msra.")
            if name in settings:
                raise ArgumentError(f"the baseline has {name} twice: give one value of it.")
            # What is no axis may be no option either: the name is refused before its value.
            settings[name] = convert(name, word.strip()) if name in grid.axes else word
        return cls(grid, settings)

    def __str__(self) -> str:
        return label(self._settings) if self._settings else "best"

    @takes(accuracy=list_of(dict))
    def of_arms(self, accuracy: Sequence[dict[int, float]]) -> list[int]:
        """For each arm of the grid the number of the one that it is compared with.

        `accuracy` holds a dict for each arm, by seed, of the seeds that finished; if it does not,
        that is an ArgumentError.
        """
        if len(accuracy) != len(self._arms):
            raise ArgumentError(
                f"of_arms: expected a dict for each of the {len(self._arms)} arms, got"
                f" {len(accuracy)}."
            )
        for value in (value for by_seed in accuracy for value in by_seed.values()):
            check_finite(value, "of_arms: an accuracy")
        if self._settings:
            return [self._arms.index({**arm, **self._settings}) for arm in self._arms]
        best = max(range(len(accuracy)), key=lambda number: _rank(accuracy[number]))
        return [best] * len(accuracy)


def _rank(accuracy):
    return len(accuracy), math.fsum(accuracy.values()) / max(1, len(accuracy))
