"""Runs: parameters that lie side by side in memory, and are updated in one go.

Most parameters of a small net are a few numbers; to call the update's kernel for each of
them takes longer than the update. A model lays its parameters side by side
(:func:`minicnn.parameter.lay_side_by_side`), and the rules, which know only elements, then
see one long array, or with weight decay two: the parameters that decay and those that do not.

For the package itself: it checks nothing of what it is handed.
"""

from typing import Any

import numpy as np

from minicnn.parameter import ALIGNMENT, Parameter

MOST_NUMBERS = 8  # that a rule's kernel takes


class Run:
    """Flat arrays over some parameters; numbers between two of them are zeros and stay so.

    Attributes
    ----------
    value, grad : ndarray, one-dimensional
    averages : dict of str to ndarray, one-dimensional
    numbers : ndarray of float64
        The settings of a step, as the rule's kernel reads them.
    decay : bool
        Whether the first of the parameters decays.
    group : Group or None
        Whose settings it has, set by the optimizer.
    """

    group: Any = None

    def __init__(self, parameters: list[Parameter], averages: dict[str, Any]):
        self._kept = [(p, p.value, p.grad, p.decay) for p in parameters]
        self.decay, self.numbers = parameters[0].decay, np.zeros(MOST_NUMBERS)
        self.value = _spanning([p.value for p in parameters])
        self.grad = _spanning([p.grad for p in parameters])
        self.averages = {kind: _spanning(arrays) for kind, arrays in averages.items()}

    def holds(self) -> bool:
        """Whether the parameters still have the arrays and the decay that this was made of."""
        for p, value, grad, decay in self._kept:
            if p.value is not value or p.grad is not grad or p.decay != decay:
                return False
        return True


def find_runs(
    parameters: list[Parameter], averages: dict[str, list[np.ndarray]], by_decay: bool
) -> list[Run]:
    """All parameters in as few runs as their places in memory allow.

    `averages` has of each kind an array for each parameter. With `by_decay`, parameters that decay
    are not in a run with others.
    """
    rows = [(p, p.value, p.grad, *arrays) for p, *arrays in zip(parameters, *averages.values())]
    rows = [rows[i] for i in memory_order(parameters)]
    runs = [rows[:1]]
    for before, row in zip(rows, rows[1:]):
        alike = before[0].decay == row[0].decay or not by_decay
        if alike and _side_by_side(before[1:], row[1:]):
            runs[-1].append(row)
        else:
            runs.append([row])
    return [
        Run([row[0] for row in run], dict(zip(averages, zip(*(row[3:] for row in run)))))
        for run in runs
    ]


def memory_order(parameters: list[Parameter]) -> list[int]:
    """The parameters' indices, those that decay first, in the order of their places."""
    keys = [(not p.decay, p.value.ctypes.data) for p in parameters]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _side_by_side(before, after):
    """Whether each array begins where the one before ends, but for the same few numbers."""
    gaps = {b.ctypes.data - a.ctypes.data - a.nbytes for a, b in zip(before, after)}
    alike = all(_owner(a) is _owner(b) and a.dtype == b.dtype for a, b in zip(before, after))
    return alike and len(gaps) == 1 and 0 <= gaps.pop() < ALIGNMENT * before[0].itemsize


def _owner(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _spanning(arrays):
    """One flat view from the first array's beginning to the last one's end."""
    first, last = arrays[0], arrays[-1]
    owner, start = _owner(first), first.ctypes.data
    if len(arrays) == 1:
        return first.reshape(-1)
    offset = (start - owner.ctypes.data) // first.itemsize
    size = (last.ctypes.data + last.nbytes - start) // first.itemsize
    return owner.reshape(-1)[offset : offset + size]
