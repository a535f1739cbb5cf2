"""Joins: what sums and concatenations make of signals, and of gradients on their way back.

Behind a concatenation channels are not alike: each has the second moments of the branch that it
comes from, and an activation or a normalization sees each with its own. So what travels is a list
of parts, in the order of the channels, each a signal of `units` channels that are alike. A layer
of weights sums over all channels, and hangs on the mean of their fields alone: for it the parts
are merged.

The variances of parts that are merged add as far as draws of weights are independent: what each
part's own weights have added does, what came with the inputs counts as common to all.

For the package itself: it checks nothing of what it is handed.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from itertools import accumulate, pairwise
from typing import Any, TypeVar

import numpy as np

from minicnn.lab.theory.finite_width import coherence
from minicnn.lab.theory.gradient import Gradient, mixture
from minicnn.lab.theory.maps import Field, shaped
from minicnn.lab.theory.products import Mean, Sum
from minicnn.lab.theory.signal import SKEWED, NoPromiseError, Signal
from minicnn.plan import Node

Part = TypeVar("Part", Signal, Gradient)
MIXED = ("shift", "summed", "chain")  # relative errors of gradients that are common to parts


def joined(node: Node, inputs: list[list[Signal]]) -> list[Signal]:
    """The parts behind a join, from the parts of each of its inputs.

    Raises
    ------
    NoPromiseError
        If signals are added that are not independent, or multiplied.
    """
    if getattr(node.layer, "join", "add") == "multiply":
        raise NoPromiseError(
            f"{node.name}: the theory knows sums and concatenations of signals, not their products,"
            " which hang on how both vary together."
        )
    if concatenates(node):
        return [part for parts in inputs for part in parts]
    ends = sorted({end for parts in inputs for end in np.cumsum(widths(parts)).tolist()})
    wanted = np.diff([0, *ends]).tolist()
    split = [regrouped(parts, widths(parts), wanted) for parts in inputs]
    return [reduce(lambda a, b: added(a, b, node.name), parts) for parts in zip(*split)]


def handed_back(
    node: Node, inputs: list[list[Signal]], gradients: list[Gradient], signals: list[Signal]
) -> list[list[Gradient]]:
    """The gradients that a join hands to its inputs, in the parts of each.

    `gradients` are those of `signals`, the parts of its output.
    """
    if concatenates(node):
        ends = pairwise(accumulate(map(len, inputs), initial=0))
        return [gradients[start:end] for start, end in ends]
    # What a pooling behind the sum has made of its winners is no branch's.
    plain = [replace(one, gated=None, rest=None) for one in gradients]
    return [regrouped(plain, widths(signals), widths(parts)) for parts in inputs]


def concatenates(node: Node) -> bool:
    """Whether a join puts channels side by side; else it adds."""
    return getattr(node.layer, "join", "add") == "concat"


def widths(parts: Sequence[Signal]) -> list[float]:
    """The number of channels of each signal."""
    return [part.units for part in parts]


def regrouped(parts: Sequence[Part], given: list[float], wanted: list[float]) -> list[Part]:
    """The same channels in other groups: parts of `given` numbers of channels as of `wanted`."""
    if given == wanted:
        return list(parts)
    found = []
    for start, end in pairwise(accumulate(wanted, initial=0)):
        seen: list[Any] = []
        for part, width, at in zip(parts, given, accumulate(given, initial=0)):
            count = min(at + width, end) - max(at, start)
            if count > 0:
                seen.append((_cut(part, width, count), count))
        found.append(merged(*zip(*seen)))
    return found


def _cut(part, width, count):
    """Some of the channels: their mean varies more."""
    if width == count:
        return part
    units = {"units": count} if isinstance(part, Signal) else {}
    return replace(part, own=part.own * width / count, **units)


def added(a: Signal, b: Signal, name: str = "a sum") -> Signal:
    """The signal that is the sum of two that are independent, but for their means."""
    if a.origins & b.origins or _of_images(a, b) or _of_images(b, a):
        raise NoPromiseError(
            f"{name}: signals are added that hang on the same numbers, and the theory does not know"
            " how their units vary together."
        )
    field = a.field.plus(b.field)
    part = a.field.moment / field.moment if field.moment > 0 else 1.0
    mixed = mixture(part, a, b, ("carried", "own", "fixed"))
    # Their product is 0 in the mean only.
    shapes = coherence(a.field, (0, 1)) * coherence(b.field, (0, 1))
    mixed["own"] += 4 * part * (1 - part) * np.sqrt(shapes) / a.units
    means = None
    if np.any(a.mean) and np.any(b.mean):
        means = [np.broadcast_to(one.mean, field.map.shape) for one in (a, b)]
        field = field.plus(_both(*means))
    return a.passed(
        field, Sum(a.source, b.source, means), SKEWED if means else 0.0, mean=a.mean + b.mean,
        origins=a.origins | b.origins, past=a.past | b.past, **mixed,
    )  # fmt: skip


def merged(parts: Sequence[Part], counts: Sequence[float]) -> Part:
    """The mean over channels of several kinds, so many of each, as of channels that are alike."""
    if len(parts) == 1:
        return parts[0]
    shares = np.divide(counts, sum(counts))
    field = Field(*(
        sum(share * array for share, array in zip(shares, arrays))
        for arrays in zip(*(part.field for part in parts))
    ))  # fmt: skip
    weights = shares * [part.field.moment for part in parts]
    weights = weights / weights.sum() if weights.sum() > 0 else shares
    largest = parts[int(np.argmax(weights))]
    own = _dot(weights**2, parts, "own")
    if isinstance(largest, Signal):
        return Signal(
            field, 1 / np.sum(weights**2 / counts), own=own,
            carried=max(_variance(parts, weights) - own, 0.0),
            fixed=_dot(weights**2, parts, "fixed"), extra=largest.extra, offset=largest.offset,
            mean=_dot(shares, parts, "mean"), rough=max(part.rough for part in parts),
            training=largest.training,
            products=Mean([part.source for part in parts], shares.tolist()),
            origins=frozenset().union(*(part.origins for part in parts)),
            past=frozenset().union(*(part.past for part in parts)),
        )  # fmt: skip
    return Gradient(
        field, _dot(shares, parts, "share"), own=own, extra=largest.extra,
        carried=float(np.sum(weights * np.sqrt([part.carried for part in parts])) ** 2),
        balanced=all(part.balanced for part in parts),
        **{key: _dot(weights, parts, key) for key in MIXED},
    )  # fmt: skip


def _variance(parts, weights):
    """Relative variance of the mean over parts of signals."""
    total = 0.0
    for p, a in zip(weights, parts):
        for r, b in zip(weights, parts):
            # What one part's weights have added came with the input of those behind it.
            first, second = (
                one.variance if one.origins <= other.past else one.carried
                for one, other in ((a, b), (b, a))
            )
            total += p * r * np.sqrt(first * second)
    return float(total)


def _of_images(a, b):
    return None in a.origins and np.any(b.mean)


def _dot(weights, parts, key):
    return sum(weight * getattr(part, key) for weight, part in zip(weights, parts))


def _both(a, b):
    """What the products of means add to the field of a sum; each of shape (N, H, W)."""
    n, pairs = len(a), a[:, None] * b
    flat, other = a.reshape(n, -1), b.reshape(n, -1)
    same, every = flat.T @ other / n, np.outer(flat.sum(0), other.sum(0))
    cross = (every - n * same) / (n * (n - 1)) if n > 1 else same
    return shaped(a.shape[1:], pairs + pairs.swapaxes(0, 1), same + same.T, cross + cross.T)
