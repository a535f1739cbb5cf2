"""Gains: what makes up for an activation."""

import math

from minicnn.checks import is_finite
from minicnn.errors import ArgumentError, unknown

GAINS = {
    "linear": 1.0, "identity": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2),
    "selu": 0.75,
}  # fmt: skip
SLOPES = {"leaky-relu": 0.01, "prelu": 0.25}


def gain(activation: str, slope: float | None = None) -> float:
    """Factor on the standard deviation that makes up for an activation; PyTorch's table.

    sqrt(2) for relu and sqrt(2 / (1 + a²)) for leaky-relu and prelu with slope a are exactly
    1 / sqrt(E[f(z)²]) for z of N(0, 1): the second moment survives the activation f. For
    sigmoid, tanh and selu the customary 1, 5/3 and 3/4 stand where that rule would give
    1.846, 1.593 and 1. For linear and identity 1. The slope is 0.01 for leaky-relu if not given,
    and 0.25 for prelu, where training starts.

    Other activations are not in the table, and their names unknown here. For them the rule gives
    1.534 for gelu in both forms, 1.677 for silu, 1.487 for mish, 1.737 for hardswish, 1.898 for
    hardsigmoid, 1.042 for softplus, 1.414 for relu6 and 1.245 for elu and celu: such a number may
    be given in place of a name.

    Raises
    ------
    ArgumentError
        For an unknown name, or a slope that is no finite number or has no use.
    """
    activation = str(activation)
    if activation in GAINS and slope is None:
        return GAINS[activation]
    if activation in SLOPES:
        a = SLOPES[activation] if slope is None else slope
        if is_finite(a):
            return math.sqrt(2 / (1 + a * a))
    elif activation not in GAINS:
        raise unknown("activation", activation, [*GAINS, *SLOPES])
    raise ArgumentError(
        f"gain of {activation} with slope {slope!r}: only {' and '.join(SLOPES)} have a slope,"
        " a finite number."
    )


def factor(number_or_activation: str | float) -> float:
    """The gain as a number."""
    if isinstance(number_or_activation, str):
        return gain(number_or_activation)
    return number_or_activation
