"""Which units of a network are copies of each other, and stay copies in training.

A unit is a channel of a convolution or a feature of a dense layer. Units i and j of a set stay
tied if they belong to one class of a partition such that, for all classes C of the units before
and D of those after them::

    sum over k in C of W_in[i, k]  =  sum over k in C of W_in[j, k]      for every kernel tap
    sum over o in D of W_out[o, i] =  sum over o in D of W_out[o, j]     likewise
    bias, scale, shift and slope of i  =  those of j

The units of a class C then have equal signals, and equal derivatives, for every input; so a step
changes all weights from a unit of C to a unit of D by the same amount, which leaves all these
equations true: an equitable partition, for ever, under every optimizer that treats all numbers of a
tensor alike and by their gradients alone. Weight decay may shrink them, too, but not as a term of
the gradient in Adagrad, RMSProp, Adam or NAdam: these divide it number by number, and what was
equal as a sum then differs. The coarsest one is found by color refinement: start with all units of
a set in one class and split classes while an equation fails. In floating point a tie is kept to the
bit where all weights of i and j are equal; where only the sums are, these are added in another
order, and rounding may grow. Inputs and scores are never tied, as data and labels have a meaning of
their own.

Signals that are added (residual sums) have units in common, of which the partition must suit all
layers that they come from and go to; in a concatenation the units of the branches stand side by
side. Only units with the same layers before and after them are compared, so branches with equal
weights are not seen to be copies of each other. Pooling, upsampling, padding, flattening,
activations, softmax and dropout keep the units; dropout unties them, by drawing for each. A
normalization within each sample keeps them, too: units of two of its groups can be tied only if the
groups hold equally many units of each class, so that their means and deviations are the same.

For the package itself: it checks nothing of what it is handed.
"""

from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from minicnn import layers
from minicnn.errors import ArgumentError
from minicnn.layers.group_norm import SampleNorm
from minicnn.layers.scalars import Scale, Shift
from minicnn.models import Branches, Residual, Sequential
from minicnn.plan import trace

#: Layers whose units are sums over the units before them.
WEIGHTS = (layers.Conv2d, layers.ConvTranspose2d, layers.Dense)
UNIT_BY_UNIT = (
    layers.Activation, layers.AvgPool2d, layers.MaxPool2d, layers.BatchNorm, layers.Dropout,
    layers.Flatten, layers.Upsample, layers.ZeroPad2d, layers.LayerScale, SampleNorm,
    layers.Softmax, layers.LogSoftmax, Scale, Shift,
)  # fmt: skip
#: Of these, those that have parameters for each unit, or groups of units.
OF_UNITS = (layers.BatchNorm, layers.PReLU, layers.LayerScale, SampleNorm)


class _Places(NamedTuple):
    """What stands at each channel of a signal, or each feature of a vector."""

    units: np.ndarray  # the number of the unit
    taps: np.ndarray  # which of the unit's numbers it is: those of a flattened image are several

    def by_unit(self, array):
        """``(N, places, K)`` as ``(N, units, taps * K)``, units in ascending order.

        Where a unit has no such tap there is 0.
        """
        units, column = np.unique(self.units, return_inverse=True)
        shape = (len(array), len(units), self.taps.max() + 1, array.shape[2])
        table = np.zeros(shape, array.dtype)
        table[:, column, self.taps] = array
        return table.reshape(len(array), len(units), -1)

    def joined(self, same):
        """The same by the unit that each is one with; where one comes again it has other taps."""
        units, span = same[self.units], self.taps.max() + 1
        order = np.lexsort((self.taps, units))
        own = (units * span + self.taps)[order]
        times = np.empty_like(order)
        times[order] = np.arange(len(own)) - np.searchsorted(own, own)
        return _Places(units, self.taps + span * times)


class Network:
    """The units of a model, and what connects them.

    A layer of a kind that is not known here unties the units at both its ends. ArgumentError if
    the model is not initialized, or has no units to tie.
    """

    def __init__(self, model: Sequential):
        self.links: list[Any] = []  # (layer, from, to)
        self.own: list[Any] = []  # (layer, places)
        self._same, self._free = np.zeros(0, int), np.zeros(0, bool)  # by unit
        graph = trace(model)
        start = self._new(model.input_shape[0], free=False)
        self._untie(graph.forward(start, self._places)[graph.output])
        if not self.links:
            raise ArgumentError("the model has no weights to look at: add a Conv2d or a Dense.")
        self.links, self.own = (
            [(layer, *(places.joined(self._same) for places in ends)) for layer, *ends in known]
            for known in (self.links, self.own)
        )
        self._labels = self._around()

    def _new(self, count, free=True):
        units = len(self._same) + np.arange(count)
        self._same = np.append(self._same, units)
        self._free = np.append(self._free, np.full(count, free))
        return _Places(units, np.zeros(count, int))

    def _untie(self, *places):
        """Make each of these units a class of its own."""
        for units, _ in places:
            self._free[units] = False

    def _join(self, first, second):
        """Make one of the units that are added; untie them where their numbers do not pair."""
        if (first.taps != second.taps).any():
            self._untie(first, second)
            return
        for one, other in zip(first.units, second.units):
            self._same[self._same == self._same[other]] = self._same[one]

    def _places(self, node, inputs):
        """The units that come out of a node."""
        layer, first = node.layer, inputs[0]
        if isinstance(layer, Branches) and layer.join == "concat":
            return _Places(*map(np.concatenate, zip(*inputs)))
        if isinstance(layer, (Branches, Residual)):
            for other in inputs[1:]:
                self._join(first, other)
            return first
        if isinstance(layer, WEIGHTS):
            after = self._new(node.shape[0])
            self.links.append((layer, first, after))
            return after
        if isinstance(layer, UNIT_BY_UNIT):
            if isinstance(layer, OF_UNITS):
                self.own.append((layer, first))
            if isinstance(layer, layers.Dropout) and layer.p:
                self._untie(first)
            if isinstance(layer, layers.Flatten):
                size = node.shape[0] // len(first.units)
                units, taps = (np.repeat(numbers, size) for numbers in first)
                return _Places(units, taps * size + np.arange(node.shape[0]) % size)
            return first
        self._untie(*inputs)
        return self._new(node.shape[0], free=False)

    def _around(self):
        """Equal labels for free units with the same layers around them; others are alone."""
        numbers = np.arange(len(self._same))
        bound = np.isin(self._same, self._same[~self._free])
        ends = [places for _, *places in self.links + self.own]
        around = [np.bincount(units, minlength=len(numbers)) for units, _ in chain(*ends)]
        around.append(np.where(bound, numbers, -1))
        return clusters(np.stack(around, axis=1))

    def units(self) -> dict[str, np.ndarray]:
        """``{layer name: labels}`` for every layer that has units, in no special order.

        Classes count from 0 in each layer, in the order of their first units.
        """
        found = {
            layer.name: np.stack([self._labels[after.units], after.taps], axis=1)
            for layer, _, after in self.links
        }
        for layer, (units, _) in self.own:
            if layer.own_parameters():
                found[layer.name] = self._labels[list(dict.fromkeys(units)), None]
        return {name: clusters(rows) for name, rows in found.items()}

    def refine(self, tolerance: float = 0.0) -> "Network":
        """Split classes until all equations hold, up to `tolerance` times the largest number.

        That is the largest weight or bias of the layer, or the largest of its scales, shifts or
        slopes; sums are compared as means over the class. 0 is exact, to the bit. Returns itself.
        """
        before = None
        while before != (now := self._labels.max()):
            before = now
            seen: dict[Any, Any] = {}
            for units, signature in self._signatures(tolerance):
                labels, sizes = np.unique(self._labels[units], return_counts=True)
                if sizes.max() == 1:
                    continue
                numbers = signature()
                for label in labels[sizes > 1]:
                    own = self._labels[units] == label
                    seen.setdefault(label, (units[own], []))[1].append(numbers[own])
            for units, signatures in seen.values():
                parts = clusters(np.concatenate(signatures, axis=1), tolerance)
                self._labels[units[parts > 0]] = self._labels.max() + parts[parts > 0]
        return self

    def _signatures(self, tolerance):
        """Units, ascending, with makers of a row of numbers for each; tied units' are alike."""
        for layer, before, after in self.links:
            bias = layer.own_parameters().get("bias")
            ends: Any = (
                None if a is None else after.by_unit(before.by_unit(a).swapaxes(0, 1))
                for a in connections(layer)
            )
            weight, mask = ends
            arrays = [weight] if bias is None else [weight, bias.value]
            scale = max(np.abs(array).max() for array in arrays) if tolerance else 0
            ins, outs = np.unique(before.units), np.unique(after.units)
            for array, by in [(weight, scale)] + ([] if mask is None else [(mask, 0)]):
                yield outs, partial(_class_means, array.swapaxes(0, 1), self._labels[ins], by)
                yield ins, partial(_class_means, array, self._labels[outs], by)
            if bias is not None:
                yield outs, partial(_scaled, after.by_unit(bias.value.reshape(1, -1, 1))[0], scale)
        for layer, places in self.own:
            for parameter in layer.own_parameters().values():
                value = parameter.value
                if value.size > 1:
                    scale = np.abs(value).max() if tolerance else 0
                    rows = places.by_unit(value.reshape(1, len(places.units), -1))[0]
                    yield np.unique(places.units), partial(_scaled, rows, scale)
            if isinstance(layer, SampleNorm):
                yield np.unique(places.units), partial(self._kinds_of_groups, layer, places)

    def _kinds_of_groups(self, layer, places):
        """For each unit a number for each tap: groups of one number hold as many of each class."""
        members = self._members(layer, places)
        counts = [np.bincount(group, minlength=members.max() + 1) for group in members]
        kinds = 1.0 + np.repeat(clusters(np.stack(counts)), members.shape[1])
        return places.by_unit(kinds.reshape(1, -1, 1))[0]

    def _members(self, layer, places):
        """The class and tap of all that a layer normalizes together, numbered: (K, channels)."""
        rows = np.stack([self._labels[places.units], places.taps], axis=1)
        return clusters(rows).reshape(layer._groups, -1)

    def copied_groups(self) -> dict[layers.Layer, np.ndarray]:
        """For each normalization within samples, which of its groups are copies of one channel."""
        return {
            layer: np.ptp(self._members(layer, places), axis=1) == 0
            for layer, places in self.own
            if isinstance(layer, SampleNorm)
        }


def connections(
    layer: layers.Conv2d | layers.ConvTranspose2d | layers.Dense,
) -> tuple[np.ndarray, np.ndarray | None]:
    """A layer's weight between all that comes in and all that goes out, and where there is none.

    Returns
    -------
    weight : ndarray, shape (out, in, T)
        T kernel taps; 1 of a dense layer.
    mask : ndarray, shape (out, in, 1), or None
        1 where both are in one group, else 0; None for a single group.
    """
    own = by_output(layer)
    groups, outputs, inputs = len(own), layer.output_shape[0], layer.input_shape[0]
    if groups == 1:
        return own[0], None
    weight = np.zeros((groups, own.shape[1], groups, *own.shape[2:]), own.dtype)
    mask = np.zeros((*weight.shape[:4], 1))
    for group in range(groups):
        weight[group, :, group] = own[group]
        mask[group, :, group] = 1
    return weight.reshape(outputs, inputs, -1), mask.reshape(outputs, inputs, -1)


def by_output(layer: layers.Conv2d | layers.ConvTranspose2d | layers.Dense) -> np.ndarray:
    """A layer's weight as (groups, out / groups, in / groups, T), whichever comes first in it."""
    value, groups = layer.own_parameters()["weight"].value, getattr(layer, "groups", 1)
    outputs, inputs = layer.output_shape[0] // groups, layer.input_shape[0] // groups
    if isinstance(layer, layers.ConvTranspose2d):
        return value.reshape(groups, inputs, outputs, -1).swapaxes(1, 2)
    return value.reshape(groups, outputs, inputs, -1)


def clusters(rows: np.ndarray, tolerance: float = 0.0) -> np.ndarray:
    """Label equal rows of an (N, M) array alike: (N,) of int, from 0 in the order of first rows.

    A row joins the first class whose first row differs nowhere by more than the tolerance.
    """
    rows = np.ascontiguousarray(rows, np.float64) + 0.0  # -0 becomes 0
    labels = np.empty(len(rows), int)
    if not tolerance:
        known: dict[bytes, int] = {}
        for n, row in enumerate(rows):
            labels[n] = known.setdefault(row.tobytes(), len(known))
        return labels
    firsts: list[int] = []
    means = rows.mean(axis=1)  # rows that are near have near means
    of_firsts = np.empty(len(rows))
    for n, row in enumerate(rows):
        near = np.flatnonzero(np.abs(of_firsts[: len(firsts)] - means[n]) <= 1.001 * tolerance)
        same = (k for k in near if (np.abs(rows[firsts[k]] - row) <= tolerance).all())
        labels[n] = next(same, len(firsts))
        if labels[n] == len(firsts):
            of_firsts[len(firsts)] = means[n]
            firsts.append(n)
    return labels


def _scaled(array, scale):
    return array / np.float64(scale) if scale else array.astype(np.float64)


def _class_means(array, labels, scale):
    """``(N, K, T)`` as ``(N, classes * T)``, averaged over the K of each class.

    Sorted first, so that classes with the same numbers in another order give the same bits.
    """
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    parts = np.split(_scaled(array[:, order], scale), starts[1:], axis=1)
    means = [
        part if part.shape[1] == 1 else np.sort(part, axis=1).mean(axis=1, keepdims=True)
        for part in parts
    ]
    return np.concatenate(means, axis=1).reshape(len(array), -1)
