"""Baseline: the arm that others are compared with, the best one or one that is named."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from minicnn.checks import check_callable, check_dict, check_finite, check_flag, list_of, takes
from minicnn.errors import ArgumentError
from minicnn.lab.ablation.grid import Grid, label, text_of


class Baseline:
    """What each arm of a grid is compared with.

    Without settings that is the best arm, if there is a validation set to choose by: of those with
    the most seeds that finished, the one with the greatest mean validation accuracy, the first of
    equals. Without such a set it is the first arm: nothing is chosen by the test set. With the
    value of each axis it is that arm. With the values of some axes it is, for each arm, the one
    that has these and is the same otherwise: ``init=msra`` compares the inits within each
    activation.

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

    @takes(chosen=check_flag)
    def name(self, chosen: bool) -> str:
        """What a table calls it; `chosen` says whether there is something to choose the best by."""
        return label(self._settings) if self._settings else "best" if chosen else "first"

    @takes(accuracy=list_of(dict))
    def of_arms(self, accuracy: Sequence[dict[int, float]] | None = None) -> list[int]:
        """For each arm of the grid the number of the one that it is compared with.

        Parameters
        ----------
        accuracy : list of dict of int to float, or None
            On the validation set, for each arm by seed, of the seeds that finished; None without
            such a set.

        Returns
        -------
        list of int

        Raises
        ------
        ArgumentError
            Unless there is a dict of numbers for each arm.
        """
        if self._settings:
            return [self._arms.index({**arm, **self._settings}) for arm in self._arms]
        if accuracy is None:
            return [0] * len(self._arms)
        if len(accuracy) != len(self._arms):
            raise ArgumentError(
                f"of_arms: expected a dict for each of the {len(self._arms)} arms, got"
                f" {len(accuracy)}."
            )
        for value in (value for by_seed in accuracy for value in by_seed.values()):
            check_finite(value, "of_arms: an accuracy")
        best = max(range(len(accuracy)), key=lambda number: _rank(accuracy[number]))
        return [best] * len(accuracy)


def _rank(accuracy):
    return len(accuracy), math.fsum(accuracy.values()) / max(1, len(accuracy))
