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
the gradient in Adam or RMSProp: these divide it number by number, and what was equal as a sum then
differs. The coarsest one is found by color refinement: start with all units of a set in one class
and split classes while an equation fails. In floating point a tie is kept to the bit where all
weights of i and j are equal; where only the sums are, these are added in another order, and
rounding may grow. Inputs and scores are never tied, as data and labels have a meaning of their own.

Sets are joined where signals are added (residual sums): the partition must suit both. Pooling,
flattening, activations and dropout keep the units; dropout unties them, by drawing for each.

For the package itself: it checks nothing of what it is handed.
"""

from functools import partial

import numpy as np

from minicnn.errors import ArgumentError
from minicnn.layers import (
    Activation,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool2d,
    PReLU,
    Residual,
)
from minicnn.layers.gate import Gate, Shift
from minicnn.model import NOT_INITIALIZED, Sequential

UNIT_BY_UNIT = (Activation, AvgPool2d, MaxPool2d, BatchNorm, Dropout, Flatten, Gate, Shift)


class Units:
    """A set of units that is partitioned as one.

    Attributes
    ----------
    labels : ndarray of int, shape (count,)
        The class of each unit; equal for tied units.
    """

    def __init__(self, count, free=True):
        self.labels = np.zeros(count, int) if free else np.arange(count)
        self._joined = self

    def untie(self):
        """Make every unit a class of its own."""
        self.root().labels = np.arange(len(self.root().labels))

    def root(self):
        """The set that this one was joined to, or itself."""
        return self if self._joined is self else self._joined.root()

    def join(self, other):
        """Become one with another set, unit by unit; untied if the counts differ."""
        mine, theirs = self.root(), other.root()
        if len(mine.labels) != len(theirs.labels):
            mine.untie()
            theirs.untie()
        elif mine is not theirs:
            # Here still either all one class or each its own, so the larger is the finer.
            theirs.labels = np.maximum(mine.labels, theirs.labels)
            mine._joined = theirs


class Network:
    """The sets of units of a model, and what connects them.

    Parameters
    ----------
    model : Sequential
        Initialized. A layer of a kind that is not known here unties the units at both its ends.

    Raises
    ------
    ArgumentError
        If the model is not initialized, or has no units to tie.
    """

    def __init__(self, model):
        if model.output_shape is None:
            raise ArgumentError(NOT_INITIALIZED)
        self.links, self.own = [], []  # (layer, from, to) and (layer, units)
        self._trace(model, Units(model.input_shape[0], free=False)).untie()
        if not self.links:
            raise ArgumentError("the model has no weights to look at: add a Conv2d or a Dense.")

    def _trace(self, layer, units):
        """Follow the signal through a layer; returns the units that it comes out of."""
        if isinstance(layer, Sequential):
            for child in layer.layers:
                units = self._trace(child, units)
            return units
        if isinstance(layer, Residual):
            body, *shortcut = layer.children()
            out = self._trace(body, units)
            out.join(self._trace(shortcut[0], units) if shortcut else units)
            return out
        if isinstance(layer, (Conv2d, Dense)):
            after = Units(layer.output_shape[0])
            self.links.append((layer, units, after))
            return after
        if isinstance(layer, UNIT_BY_UNIT):
            if isinstance(layer, (BatchNorm, PReLU)):
                self.own.append((layer, units))
            if isinstance(layer, Dropout) and layer.p:
                units.untie()
            return units
        units.untie()
        return Units(layer.output_shape[0], free=False)

    def units(self):
        """``{layer name: labels}`` for every layer that has units, in no special order."""
        found = {layer.name: after for layer, _, after in self.links}
        found |= {layer.name: units for layer, units in self.own}
        return {name: units.root().labels for name, units in found.items()}

    def refine(self, tolerance=0.0):
        """Split classes until all equations hold, up to `tolerance` times the largest number.

        That is the largest weight or bias of the layer, or the largest of its scales, shifts or
        slopes; sums are compared as means over the class. 0 is exact, to the bit.

        Returns
        -------
        Network
            Itself.
        """
        before = -1
        while before != (now := sum(labels.max() for labels in self.units().values())):
            before, seen = now, {}
            for units, signature in self._signatures(tolerance):
                seen.setdefault(id(units), (units, []))[1].append(signature())
            for units, signatures in seen.values():
                columns = [units.labels[:, None].astype(float) * 4, *signatures]
                # Old classes stay apart: labels differ by more than any tolerance.
                units.labels = clusters(np.concatenate(columns, axis=1), min(tolerance, 1))
        return self

    def _signatures(self, tolerance):
        """For the sets that can still be split, makers of numbers that tied units have alike."""
        for units, signature in self._all_signatures(tolerance):
            if units.labels.max() + 1 < len(units.labels):
                yield units, signature

    def _all_signatures(self, tolerance):
        for layer, before, after in self.links:
            before, after = before.root(), after.root()
            weight, mask = connections(layer, len(before.labels))
            bias = layer.own_parameters().get("bias")
            arrays = [weight] if bias is None else [weight, bias.value]
            scale = max(np.abs(array).max() for array in arrays) if tolerance else 0
            for array, by in [(weight, scale)] + ([] if mask is None else [(mask, 0)]):
                yield after, partial(_class_means, array, before.labels, by)
                yield before, partial(_class_means, array.swapaxes(0, 1), after.labels, by)
            if bias is not None:
                yield after, partial(_scaled, bias.value[:, None], scale)
        for layer, units in self.own:
            units = units.root()
            for parameter in layer.own_parameters().values():
                value = parameter.value
                if value.size > 1:
                    scale = np.abs(value).max() if tolerance else 0
                    yield units, partial(_scaled, value.reshape(len(units.labels), -1), scale)


def connections(layer, units):
    """A layer's weight between units, and where there is none.

    Parameters
    ----------
    layer : Conv2d or Dense
    units : int
        How many there are before the layer; of a flattened image, its channels.

    Returns
    -------
    weight : ndarray, shape (out, units, T)
        T kernel taps, or positions of a flattened image.
    mask : ndarray, shape (out, units, 1), or None
        1 where both are in one group, else 0; None for a single group.
    """
    value = layer.own_parameters()["weight"].value
    groups = getattr(layer, "groups", 1)
    if groups == 1:
        return value.reshape(len(value), units, -1), None
    own = value.reshape(groups, len(value) // groups, units // groups, -1)
    weight = np.zeros((groups, own.shape[1], groups, *own.shape[2:]), value.dtype)
    mask = np.zeros((*weight.shape[:4], 1))
    for group in range(groups):
        weight[group, :, group] = own[group]
        mask[group, :, group] = 1
    return (a.reshape(len(value), units, -1) for a in (weight, mask))


def clusters(rows, tolerance=0.0):
    """Label equal rows alike.

    Parameters
    ----------
    rows : ndarray, shape (N, M)
    tolerance : float
        A row joins the first class whose first row differs nowhere by more.

    Returns
    -------
    ndarray of int, shape (N,)
        Classes count from 0, in the order of their first rows.
    """
    rows = np.ascontiguousarray(rows, np.float64) + 0.0  # -0 becomes 0
    labels = np.empty(len(rows), int)
    if not tolerance:
        known = {}
        for n, row in enumerate(rows):
            labels[n] = known.setdefault(row.tobytes(), len(known))
        return labels
    firsts, means = [], rows.mean(axis=1)  # rows that are near have near means
    known = np.empty(len(rows))
    for n, row in enumerate(rows):
        near = np.flatnonzero(np.abs(known[: len(firsts)] - means[n]) <= 1.001 * tolerance)
        same = (k for k in near if (np.abs(rows[firsts[k]] - row) <= tolerance).all())
        labels[n] = next(same, len(firsts))
        if labels[n] == len(firsts):
            known[len(firsts)] = means[n]
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
    parts = np.split(array[:, order], starts[1:], axis=1)
    parts = [_scaled(part, scale) for part in parts]
    means = [
        part if part.shape[1] == 1 else np.sort(part, axis=1).mean(axis=1, keepdims=True)
        for part in parts
    ]
    return np.concatenate(means, axis=1).reshape(len(array), -1)
