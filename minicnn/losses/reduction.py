"""Reduction: how the losses of samples become one number, of a batch and of several batches.

With ``"mean"`` a batch's loss is a sum over its samples, divided by the batch's weight: its number
of samples, or the sum of their weights where a loss weights classes or ignores labels. So batches
are averaged by their weights. With ``"sum"`` nothing is divided, and losses and gradients add.

For the package itself: it checks nothing of what it is handed.
"""

from typing import Any

from minicnn.checks import shown
from minicnn.errors import ArgumentError

REDUCTIONS = ("mean", "sum")


def check_reduction(value: Any) -> str:
    """``"mean"`` or ``"sum"``, or an ArgumentError."""
    if not isinstance(value, str) or value not in REDUCTIONS:
        raise ArgumentError(
            f'reduction must be "mean" or "sum", got {shown(value)}. A backward pass starts from'
            " one value: for the loss of each sample, call the loss on one sample at a time."
        )
    return value


def adds(loss: Any) -> bool:
    """Whether the values of batches add up to that of the whole; not so for a mean."""
    return getattr(loss, "reduction", "mean") == "sum"


def batch_weight(loss: Any, targets: Any) -> float:
    """How much a batch counts in a mean over several; any callable may be the loss."""
    weight = getattr(loss, "batch_weight", None)
    return float(len(targets)) if weight is None else weight(targets)


def mean_of(loss: Any, value: float, weight: float) -> float:
    """The mean of a batch of this weight, from the value that the loss gave."""
    return value / weight if adds(loss) and weight else value
