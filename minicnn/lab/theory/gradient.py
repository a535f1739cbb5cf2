"""What travels back: the second moments of gradients of channels that are alike, and their errors.

For the package itself: it checks nothing of what it is handed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from minicnn.lab.theory.finite_width import Excess
from minicnn.lab.theory.maps import Field


@dataclass(frozen=True)
class Gradient:
    """The field of dE/dx on its way back, and how far it can be trusted.

    Attributes
    ----------
    field : Field
        Of dE/dx, for the batch's mean loss.
    share : ndarray, shape (N, H, W)
        How much of x is in dE/dx: a part of it is a multiple of the signal itself.
    carried, own, extra
        As those of a signal.
    shift : float
        Relative standard error from slopes, which vary with the signal.
    summed : float
        Relative variance that sums over pairs of samples have besides: what all samples have
        in common hangs on a few numbers, the scores.
    chain : float
        Relative variance of a sum that is one number in each channel: 2 / units for every layer
        of weights on the way, as nothing averages it.
    balanced : bool
        Whether each channel's sum over samples and positions is 0, as batch normalization
        makes it.
    gated : Gradient, optional
        What an activation right below a max pooling passes back: a winner's slope is not the
        slope of any pixel.
    rest : Gradient, optional
        Besides that, what other consumers of the activation hand back.
    """

    field: Field
    share: np.ndarray
    carried: float = 0.0
    own: float = 0.0
    shift: float = 0.0
    extra: Excess = Excess()
    summed: float = 0.0
    chain: float = 0.0
    balanced: bool = False
    gated: "Gradient | None" = None
    rest: "Gradient | None" = None

    @property
    def variance(self) -> float:
        """Relative variance of the field's moment."""
        return self.carried + self.own + self.shift**2

    def passed(self, field: Field, share: np.ndarray, **changes: Any) -> "Gradient":
        """The gradient with another field, before another layer."""
        return replace(self, field=field, share=share, gated=None, rest=None, **changes)


def added(a: Gradient, b: Gradient) -> Gradient:
    """The gradient before a fork, from those of two consumers, the first one first."""
    total, gated = _sum(a, b), [one.gated for one in (a, b) if one.gated is not None]
    if not gated:
        return total
    open_ = [one if one.gated is None else one.rest for one in (a, b)]
    rest = [one for one in open_ if one is not None]
    return replace(total, gated=reduce(_sum, gated), rest=reduce(_sum, rest) if rest else None)


def _sum(a, b):
    whole = a.field.moment + b.field.moment
    part = a.field.moment / whole if whole > 0 else 1.0
    mixed = mixture(part, a, b, ("carried", "own", "shift", "summed", "chain"))
    return Gradient(a.field.plus(b.field), a.share + b.share, extra=a.extra, **mixed)


def mixture(part: float, a: Any, b: Any, names: Sequence[str]) -> dict[str, Any]:
    """Attributes of a sum of which `part` is from a, the rest from b."""
    return {name: part * getattr(a, name) + (1 - part) * getattr(b, name) for name in names}
