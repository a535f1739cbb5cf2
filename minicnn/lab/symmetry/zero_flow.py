"""What each layer does to zeros: which signals and derivatives are exactly 0, unit by unit.

The equations of a layer with numbers replaced by "exactly 0" and "not 0". For z = W x + b,
a = σ(z) and δ = dE/dz::

    z is 0 unless W x or b is not         a is σ(0) where z is 0, else not 0
    dW[o, i] = δ[o] x[i]                  db[o] = δ[o]
    dE/dx[i] is 0 unless some W[o, i] δ[o] is not        dE/dz = σ'(z) dE/da, σ'(0) where z is 0

Three more facts decide some cases: whether a signal depends on the input at all, whether it
varies over samples or positions, and whether derivatives sum to 0, over the samples (scores that
are all equal on a batch in which every class is as frequent; behind batch normalization of
vectors) or only over samples and positions together (batch normalization of images).

It speaks of generic data and weights: numbers that are not 0 by these rules are taken not to
cancel, and units not to be dead for all images because their z is below 0. So it does not see
that the mean over an image is 0 right behind a normalization of it, nor that derivatives which are
the same for all units of a group have nothing left less their mean. Sums that are 0 by
the third fact are 0 but for rounding, and batch normalization, which divides a signal without
variance by √eps, can make rounding grow from step to step until such a balance is lost.

For the package itself: it checks nothing of what it is handed.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minicnn import layers
from minicnn.kernels.activation import LOOPS
from minicnn.lab.symmetry.tied_units import WEIGHTS, connections
from minicnn.lanes import LANES
from minicnn.layers.group_norm import SampleNorm
from minicnn.layers.scalars import Scale, Shift
from minicnn.models import Branches, Residual

FREE, TOTAL, SAMPLES = 0, 1, 2  # what derivatives sum to 0 over: nothing, all, the samples


class Signal(NamedTuple):
    """What is known of the values of each channel or feature, as arrays of bool."""

    live: np.ndarray  # not 0 everywhere
    varies: np.ndarray  # over the samples or the positions
    differs: np.ndarray  # over the samples, by the input or by chance
    depends: np.ndarray  # on the input
    apart: np.ndarray  # not what 0 has become, which is the same in all units


class Derivative(NamedTuple):
    """What is known of dE/dx of each channel or feature."""

    live: np.ndarray  # not 0 everywhere
    level: np.ndarray  # FREE, TOTAL or SAMPLES
    flat: np.ndarray  # the same at all positions


def derivative(
    live: np.ndarray, level: npt.ArrayLike, flat: np.ndarray | bool = False
) -> Derivative:
    """A `Derivative`; of what is 0 everything is true, so that others decide about a sum."""
    return Derivative(live, np.where(live, level, SAMPLES), ~live | flat)


def added(first: Derivative, second: Derivative) -> Derivative:
    """The sum of two derivatives, as two consumers hand them to their common input."""
    level = np.minimum(first.level, second.level)
    return Derivative(first.live | second.live, level, first.flat & second.flat)


class _Rule:
    """What a layer does to signals and derivatives; by default nothing."""

    def __init__(self, layer, parameters=None):
        self.layer, self.parameters = layer, parameters or layer.own_parameters()
        self.mask = {name: parameter.value != 0 for name, parameter in self.parameters.items()}
        self.gradient = {name: np.zeros_like(mask) for name, mask in self.mask.items()}

    def gradients(self):
        """Each parameter with where it is not 0, and where its gradient is not."""
        for name, parameter in self.parameters.items():
            yield parameter, self.mask[name], self.gradient[name]

    def forward(self, *inputs):
        self.inputs, self.x = inputs, inputs[0]
        return self.signal(*inputs)

    def signal(self, x):
        return x

    def backward(self, d):
        return d

    def sum(self, d, x=None):
        """Where the sum over samples and positions of d, or of d x, is not 0."""
        if x is None:
            return d.live & (d.level == FREE)
        gone = (d.level == SAMPLES) & ~x.differs | (d.level == TOTAL) & ~x.varies
        return d.live & x.live & ~gone


class _Weights(_Rule):
    """A convolution, plain or transposed, or dense layer; masks are (out, in), of any tap."""

    def __init__(self, layer):
        super().__init__(layer)
        weight, possible = connections(layer)
        self.mask["weight"] = weight.any(axis=2)
        self.possible = True if possible is None else possible[:, :, 0] > 0

    def signal(self, x):
        bias = self.mask.get("bias", False)
        # At the border of an image a window sees zeros of the padding; and what a transposed
        # convolution spreads differs from place to place as its taps do.
        transposed = isinstance(self.layer, layers.ConvTranspose2d)
        self.padded = transposed or any(getattr(self.layer, "padding", ()))
        self.x = x._replace(varies=x.varies | (x.live & self.padded))
        live = self._any(x.live) | bias
        return Signal(*(self._any(a) for a in self.x))._replace(live=live, apart=live)

    def backward(self, d):
        columns = Derivative(*(a[:, None] for a in d))
        self.gradient["weight"] = self.possible & self.sum(columns, self.x)
        if "bias" in self.mask:
            self.gradient["bias"] = self.sum(d)
        reach = self.mask["weight"] & d.live[:, None]
        # Without padding, dE/dx has for each delta all taps of the kernel somewhere.
        level = np.where((d.level == TOTAL) & self.padded, FREE, d.level)
        least = np.where(reach, level[:, None], SAMPLES).min(axis=0)
        return derivative(reach.any(axis=0), least, len(self.layer.input_shape) == 1)

    def _any(self, units):
        return self.mask["weight"][:, units].any(axis=1)


class _Function(_Rule):
    """An activation: what counts is whether σ and σ' are 0 at 0."""

    def signal(self, z):
        at_zero, self.slope = _at_zero(self.layer)
        return z._replace(live=z.live | at_zero)

    def backward(self, d):
        z = self.x
        if "weight" in self.mask:  # PReLU's slopes
            found = self.sum(d, z)
            shared = len(self.mask["weight"]) == 1
            self.gradient["weight"] = found.any(keepdims=True) if shared else found
        # Sums of σ'(z) dE/da are only 0 where σ'(z) is the same for all that are added.
        level = np.where(z.differs, FREE, np.where(z.varies & (d.level == TOTAL), FREE, d.level))
        return derivative(d.live & (z.live | self.slope), level, d.flat & ~z.varies)


class _Softmax(_Rule):
    """Softmax or its logarithm, which are not 0 at 0; what varies at one unit varies at all.

    A single unit is always 1, or 0 as a logarithm. That dE/dx is 0 where all units are equal and
    have the same dE/dy is not seen: such units count as alive.
    """

    def signal(self, x):
        several = len(x.live) > 1
        found = (np.full_like(a, several and a.any()) for a in x)
        always = several or not isinstance(self.layer, layers.LogSoftmax)
        return Signal(*found)._replace(live=np.full_like(x.live, always))

    def backward(self, d):
        # Each dE/dx is a sum of all dE/dy, with factors that are the same where the signal is.
        x, level = self.x, d.level.min()
        kept = not x.differs.any() and (level != TOTAL or not x.varies.any())
        live = np.full_like(d.live, len(d.live) > 1 and d.live.any())
        return derivative(live, level if kept else FREE, d.flat.all() and not x.varies.any())


class _Norm(_Rule):
    """Batch normalization: x̂ is 0 where x does not vary, and dE/dx sums to 0."""

    def signal(self, x):
        scale, shift = self.mask["weight"], self.mask["bias"]
        varies = scale & x.varies
        live = varies | shift
        return Signal(live, varies, scale & x.differs, scale & x.depends, live)

    def backward(self, d):
        x = self.x
        self.gradient["weight"] = self.sum(d, x._replace(live=x.varies))
        self.gradient["bias"] = self.sum(d)
        flat = d.flat & ~x.varies | (len(self.layer.input_shape) == 1)
        own = np.where(flat, SAMPLES, TOTAL)
        level = np.where(x.differs, own, np.maximum(own, d.level))
        return derivative(d.live & self.mask["weight"], level, flat)


class _SampleNorm(_Rule):
    """Normalization within each sample, whose groups of channels share a mean and a deviation.

    A group of one channel, or of copies of one, is normalized by what varies in the image: x̂ is 0
    where nothing does, and dE/dx where dE/dy is the same at all positions. Both are 0 where each
    pixel is normalized by itself. Which of the K groups are copies, an array of bool, may be given.
    """

    def __init__(self, layer, copies=None):
        super().__init__(layer)
        shape, groups = layer.input_shape, layer._groups
        if copies is None:
            copies = np.full(groups, groups == shape[0])
        self.alone = self._spread(copies) & layer.centred
        self.vector = np.prod(shape[1:]) == 1
        self.inside = not (self.vector or layer.each_pixel)  # positions are normalized together
        # Whether positions have parameters of their own, and whether these are different ones.
        self.each = any(p.value.ndim > 1 for p in self.parameters.values())
        rows = (p.value.reshape(shape[0], -1) for p in self.parameters.values())
        self.uneven = self.each and any(np.ptp(row, axis=1).any() for row in rows)

    def signal(self, x):
        self.scale, shift = self._of_channels("weight", True), self._of_channels("bias", False)
        if self.layer.centred:
            # At one pixel units that 0 has become differ where each was dropped by chance.
            unequal = self._any(x.apart | (x.differs if self.layer.each_pixel else x.varies))
            own = x._replace(live=x.varies & self.inside)
            x_hat = Signal(
                *(np.where(self.alone, a, self._any(b) & unequal) for a, b in zip(own, x))
            )
        else:
            x_hat = Signal(*(self._any(a) & x.live for a in x))
        y = Signal(*(a & self.scale & x_hat.live for a in x_hat))
        self.x_hat, live = x_hat, y.live | shift
        return y._replace(live=live, varies=y.varies | (live & self.uneven), apart=live)

    def backward(self, d):
        x, live = self.x, d.live & self.scale
        flat = d.flat & (not self.uneven)
        if self.layer.centred:
            through = np.where(self.alone, live & ~flat & self.inside, self._any(live))
        else:
            through = live | x.live & self._any(live & x.live)
        # The same linear map of the derivatives in all samples keeps a sum of 0 over them.
        least = self._least(np.where(live, d.level, SAMPLES))
        moving = self._any(x.varies) | self.uneven
        kept = np.where((least == TOTAL) & moving, FREE, least)
        level = np.where(self._any(x.differs), FREE, kept)
        # The mean of a channel alone is taken out of each image.
        level = np.where(self.alone, np.maximum(level, TOTAL), level)
        self._learn(d)
        alike = self.layer.each_pixel and d.flat.all() and not x.varies.any()
        return derivative(through, level, np.full(len(through), self.vector or alike))

    def _learn(self, d):
        """The gradients of the parameters; those of each position sum over the samples alone."""
        level = np.where((d.level == TOTAL) & self.each, FREE, d.level)
        d = d._replace(level=level)
        taken = self.alone & d.flat & (not self.each)  # the mean over an image of x̂ is 0
        scales = self.sum(d, self.x_hat) & ~taken
        for name, found in (("weight", scales), ("bias", self.sum(d))):
            if name in self.mask:
                rows = found.reshape(-1, *[1] * (self.mask[name].ndim - 1))
                self.gradient[name] = np.broadcast_to(rows, self.mask[name].shape).copy()
                self.uneven = self.uneven or (self.each and bool(found.any()))

    def _of_channels(self, name, without):
        """Where any of a channel's parameters is not 0."""
        if name not in self.mask:
            return np.full(self.layer.input_shape[0], without)
        return self.mask[name].reshape(len(self.mask[name]), -1).any(axis=1)

    def _any(self, units):
        return self._spread(units.reshape(self.layer._groups, -1).any(axis=1))

    def _least(self, units):
        return self._spread(units.reshape(self.layer._groups, -1).min(axis=1))

    def _spread(self, groups):
        return np.repeat(groups, self.layer.input_shape[0] // len(groups))


class _Pool(_Rule):
    """Pooling keeps the sum of all derivatives, but not where in the image they are."""

    def backward(self, d):
        if isinstance(self.layer, layers.MaxPool2d):  # its place differs as the signal does
            return derivative(d.live, np.where(self.x.differs, np.minimum(d.level, TOTAL), d.level))
        # Each window hands on all of its derivative, but for what lies in a padding that counts.
        lost = (d.level == TOTAL) & (any(self.layer.padding) and self.layer.count_include_pad)
        flat = isinstance(self.layer, layers.GlobalAvgPool2d)
        return derivative(d.live, np.where(lost, FREE, d.level), flat)


class _Upsample(_Rule):
    """Upsampling keeps sums; blocks of copies are all alike, bilinear means at the border not."""

    def backward(self, d):
        return d if self.layer.mode == "nearest" else derivative(d.live, d.level)


class _Dropout(_Rule):
    """Dropout: masks differ from sample to sample."""

    def signal(self, x):
        if not self.layer.p:
            return x
        return x._replace(varies=x.varies | x.live, differs=x.differs | x.live)

    def backward(self, d):
        whole = isinstance(self.layer, layers.Dropout2d)  # channels
        return derivative(d.live, FREE, d.flat & whole) if self.layer.p else d


class _Pad(_Rule):
    """Zeros around images; what is cut off is missing in the sums."""

    def signal(self, x):
        return x._replace(varies=x.varies | x.live)

    def backward(self, d):
        return derivative(d.live, np.where(d.level == TOTAL, FREE, d.level), d.flat)


class _Factors(_Rule):
    """Every channel times its own number."""

    def signal(self, x):
        return Signal(*(a & self.mask["weight"] for a in x))

    def backward(self, d):
        self.gradient["weight"] = self.sum(d, self.x)
        return derivative(d.live & self.mask["weight"], d.level, d.flat)


class _Gate(_Rule):
    """Everything times one number."""

    def signal(self, x):
        return Signal(*(a & self.mask["scalar"] for a in x))

    def backward(self, d):
        self.gradient["scalar"] = self.sum(d, self.x).any(keepdims=True)
        return derivative(d.live & self.mask["scalar"], d.level, d.flat)


class _Shift(_Rule):
    """Everything plus one number."""

    def signal(self, x):
        return x._replace(live=x.live | self.mask["scalar"])

    def backward(self, d):
        self.gradient["scalar"] = self.sum(d).any(keepdims=True)
        return d


class _Flatten(_Rule):
    """A channel becomes all its pixels."""

    def signal(self, x):
        self.size = self.layer.output_shape[0] // len(x.live)
        return Signal(*(np.repeat(a, self.size) for a in x))

    def backward(self, d):
        live, level, flat = (a.reshape(-1, self.size) for a in d)
        return derivative(live.any(axis=1), level.min(axis=1), (self.size == 1) & flat.all(axis=1))


class _Sum(_Rule):
    """A sum of branches."""

    def signal(self, *inputs):
        return Signal(*map(np.logical_or.reduce, zip(*inputs)))

    def backward(self, d):
        return [d for _ in self.inputs]


class _Concat(_Sum):
    """Branches side by side."""

    def signal(self, *inputs):
        x = Signal(*map(np.concatenate, zip(*inputs)))
        return x._replace(apart=x.live)  # what 0 has become may differ from branch to branch

    def backward(self, d):
        ends = np.cumsum([len(x.live) for x in self.inputs])[:-1]
        return [Derivative(*parts) for parts in zip(*(np.split(a, ends) for a in d))]


class _Product(_Rule):
    """A signal times another, or each channel times a number of its own for each sample."""

    def signal(self, *inputs):
        a, b = inputs
        live = a.live & b.live
        return Signal(*(live & (one | other) for one, other in zip(a, b)))

    def backward(self, d):
        first, gate = (self._part(d, other) for other in reversed(self.inputs))
        if np.prod(self.layer.branches[1].output_shape[1:]) < np.prod(self.layer.output_shape[1:]):
            # A sum over the positions: what was 0 over all is 0 over the samples.
            gate = derivative(gate.live, np.where(gate.level == TOTAL, SAMPLES, gate.level), True)
        return [first, gate]

    def _part(self, d, other):
        # A sum stays 0 if all that is added has the same factor.
        level = np.where(other.varies & (d.level == TOTAL), FREE, d.level)
        level = np.where(other.differs, FREE, level)
        return derivative(d.live & other.live, level, d.flat & ~other.varies)


class _Unknown(_Sum):
    """A layer of another kind: passes everything on, and all its parameters learn."""

    def __init__(self, layer):
        super().__init__(layer, {parameter.name: parameter for parameter in layer.parameters()})

    def signal(self, *inputs):
        found = (any(a.any() for a in parts) for parts in zip(*inputs))
        return Signal(*(np.full(self.layer.output_shape[0], a) for a in found))

    def backward(self, d):
        live = d.live.any()
        self.gradient = {name: np.full_like(mask, live) for name, mask in self.mask.items()}
        return [derivative(np.full(len(x.live), live), FREE) for x in self.inputs]


KINDS: dict[type[_Rule], Any] = {  # the first that fits
    _Weights: WEIGHTS, _Rule: layers.Identity,
    _Function: layers.Activation, _Softmax: (layers.Softmax, layers.LogSoftmax),
    _Upsample: layers.Upsample, _Norm: layers.BatchNorm, _SampleNorm: SampleNorm,
    _Dropout: layers.Dropout, _Pad: layers.ZeroPad2d, _Factors: layers.LayerScale,
    _Pool: (layers.AvgPool2d, layers.MaxPool2d), _Flatten: layers.Flatten, _Gate: Scale,
    _Shift: Shift, _Sum: (Residual, Branches),
}  # fmt: skip


def rule_of(layer: layers.Layer, copies: np.ndarray | None = None) -> _Rule:
    """The rule of a layer; `copies` are what is known of the groups of a `SampleNorm`.

    A rule has ``forward(*signals)``, ``backward(derivative)``, which returns a derivative, or a
    list of one for each of several inputs, and ``gradients()``, which yields each parameter with
    two arrays of bool: where it is not 0, which whoever takes a step changes, and where its
    gradient was not 0 in the last backward pass.
    """
    if copies is not None:
        return _SampleNorm(layer, copies)
    if isinstance(layer, Branches) and layer.join != "add":
        return (_Concat if layer.join == "concat" else _Product)(layer)
    kind = next((kind for kind, known in KINDS.items() if isinstance(layer, known)), _Unknown)
    return kind(layer)


def _at_zero(layer):
    """Whether σ(0), and σ'(0), is not 0."""
    forward, backward = LOOPS[layer.function]
    z, a, dz = np.zeros((3, 1, 1, LANES), layer.dtype)
    weight = layer.own_parameters().get("weight")  # PReLU's slopes
    alpha = np.atleast_1d(layer.alpha if weight is None else weight.value[:1]).astype(layer.dtype)
    forward(z, a, alpha)
    backward(z, a, np.ones_like(dz), dz, alpha)
    return a.any(), dz.any()
