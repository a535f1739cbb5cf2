"""LSUV: scale each layer's weights until its output has variance 1 on a batch of images.

Layer after layer, from the images on, with all layers before it already scaled::

    repeat at most 5 times:  W = W / sqrt(Var y)   until |Var y - 1| <= tolerance

Var y is over the images, channels and positions of the layer's output y = W x + b. With b = 0
one pass is exact, so that a second only repairs rounding. The layers are those with a weight
of at least two axes, convolutions and dense layers, also inside residual blocks, but not the scales
of a normalization; the first, which sees the images, and the last, which gives the scores, are
scaled like the others. Mishkin & Matas, *All you need is a good init*, ICLR 2016 (arXiv
1511.06422), Algorithm 1.
"""

import copy
from typing import NamedTuple

import numpy as np

from minicnn import lanes
from minicnn.checks import check_count, check_generator, check_numbers, check_positive, takes
from minicnn.console import terminal
from minicnn.console.table import as_text
from minicnn.errors import ArgumentError
from minicnn.initializers import Orthogonal
from minicnn.layers import Dropout
from minicnn.layers.group_norm import SampleNorm
from minicnn.layers.views import joined
from minicnn.models.inference import check_images
from minicnn.models.sequential import Sequential, initialized
from minicnn.plan import NEVER, Plan, trace

ROUNDING = 16  # outputs that differ by so many units in the last place are the same number


class Scaled(NamedTuple):
    """What was done to one layer."""

    layer: str  # its name
    passes: int  # how often its weight was scaled
    before: float  # variance of its output with the weight as it was
    after: float  # variance of its output with the weight as it is now
    reached: bool  # whether `after` is 1 within the tolerance; a large bias can prevent it


class Report(list):
    """The layers in the order of the forward pass, as `Scaled`; prints as a table."""

    def __str__(self) -> str:
        header = ["layer", "passes", "variance before", "after", ""]
        rows = [
            [
                row.layer, str(row.passes), f"{row.before:.4g}", f"{row.after:.4g}",
                "" if row.reached else "not within the tolerance",
            ]
            for row in self
        ]  # fmt: skip
        return as_text(header, rows, terminal.width(), keys=1)


@takes(
    model=initialized,
    images=check_numbers,
    tolerance=check_positive,
    passes=check_count,
    rng=check_generator,
)
def lsuv(
    model: Sequential,
    images: np.ndarray,
    tolerance: float = 0.1,
    passes: int = 5,
    rng: np.random.Generator | None = None,
) -> Report:
    """Scale the weights of a model in place, as the module says, with a `Scaled` for each layer.

    Batch normalization uses the batch, as in training; dropout drops nothing. Nothing but the
    weights is changed, and if an error is raised not even these.

    Parameters
    ----------
    model : Sequential
        Initialized; as a rule with orthogonal weights, as by ``init="lsuv"``.
    images : ndarray, shape (N, *input_shape), float
        One batch, normalized as in training.
    tolerance : float
        Above 0.
    passes : int
        At most so many for a layer, at least 1.
    rng : numpy.random.Generator, optional
        If given, every weight is drawn anew first, orthogonal, as the paper has it; by default
        the weights are scaled as they are.

    Raises
    ------
    ArgumentError
        For a setting out of range, images that do not fit or none at all, a model without
        weights, and a layer whose output's variance is 0 or not finite, with the reason.
    """
    images = check_images(model, images)
    if not len(images):
        raise ArgumentError("lsuv needs a batch of images, got none.")
    # A twin, so that statistics, buffers and, after an error, weights stay as they are; and
    # unfused, so that each layer's output is what its equation says.
    twin = copy.deepcopy(model)
    weights = [weight for weight in map(_weight, twin.all_layers()) if weight]
    if not weights:
        raise ArgumentError("lsuv: the model has no weights to scale: add a Conv2d or a Dense.")
    if rng is not None:
        for weight in weights:
            weight.value[...] = Orthogonal()(weight.value.shape, None, rng, twin.dtype)
    pass_ = _Pass(len(images), tolerance, passes)
    with np.errstate(over="ignore", invalid="ignore"):
        trace(twin).forward(lanes.pack(images, twin.dtype), pass_.through)
    own = [weight for weight in map(_weight, model.all_layers()) if weight]
    for weight, scaled in zip(own, weights):
        weight.value[...] = scaled.value
    return pass_.report


def _weight(layer):
    """The weight that is scaled, or None; scales of channels and slopes have one axis only."""
    weight = None if isinstance(layer, SampleNorm) else layer.own_parameters().get("weight")
    return weight if weight is not None and weight.value.ndim > 1 else None


class _Pass:
    """One walk from the images to the scores, scaling on the way."""

    def __init__(self, samples, tolerance, passes):
        self.samples, self.tolerance, self.passes = samples, tolerance, passes
        self.report = Report()

    def through(self, node, inputs):
        """The output of a node whose weights are scaled."""
        layer, x = node.layer, inputs[0]
        if len(inputs) > 1:
            return joined(layer, inputs)
        if any(_weight(inside) for child in layer.children() for inside in child.walk()):
            raise ArgumentError(
                f"lsuv: {layer.name} has layers inside, and only those of Sequential, Residual and"
                " Branches can be taken one by one."
            )
        plan = Plan(layer)

        def forward():
            return plan.forward(x, not isinstance(layer, Dropout), self.samples, backward=NEVER)

        y = forward()
        return y if _weight(layer) is None else self._scale(layer, x, y, forward)

    def _scale(self, layer, x, y, forward):
        weight, done = _weight(layer).value, 0
        before = after = self._variance(layer, x, y)
        while abs(after - 1) > self.tolerance and done < self.passes:
            weight /= np.sqrt(after)
            done += 1
            y = forward()
            after = self._variance(layer, x, y)
        reached = bool(abs(after - 1) <= self.tolerance)
        self.report.append(Scaled(layer.name, done, before, after, reached))
        return y

    def _variance(self, layer, x, y):
        values = lanes.unpack(y, self.samples).astype(np.float64)
        variance = float(np.var(values))
        rounding = ROUNDING * np.finfo(y.dtype).eps * np.abs(values).max()
        if rounding * rounding < variance < np.inf:
            return variance
        x, weight = lanes.unpack(x, self.samples), _weight(layer).value
        what = "0" if np.isfinite(variance) else "not finite"
        raise ArgumentError(
            f"lsuv: the output of {layer.name} has a variance that is {what}:"
            f" {_reason(x, weight, variance)}."
        )


def _reason(x, weight, variance):
    """Why a layer's output cannot be scaled to variance 1."""
    if np.isfinite(variance):
        if not weight.any():
            return "its weights are all 0; start from orthogonal or msra"
        if not x.any():
            return (
                "its input is 0 for all images, as no unit before it is ever active; look at the"
                " biases and the images"
            )
        return "all its outputs are the same number; weights or images are all alike"
    if not np.isfinite(weight).all():
        return "some of its weights are not finite"
    if not np.isfinite(x).all():
        return "its input is not finite; look at the images, and at layers without a weight"
    return "the numbers overflow; start from smaller weights or images"
