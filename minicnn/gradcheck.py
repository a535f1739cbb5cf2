"""Gradient check: every gradient of a layer, a model or a loss against central differences.

For a function f and a small step h, in float64::

    (f(x + h v) - f(x - h v)) / (2 h)  =  <grad f(x), v>  +  O(h²)

v is every unit vector in turn while an array is small, and a random direction once it is
large. A layer is turned into a scalar function by a fixed random weighting of its
outputs, E = <y, r>, so that dE/dy = r.

Examples
--------
>>> from minicnn import gradcheck
>>> from minicnn.layers import Conv2d
>>> report = gradcheck.check_layer(Conv2d(3, 3, padding=1), (2, 5, 4))
>>> report.worst < 1e-7
True
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from minicnn import checks, lanes
from minicnn.errors import ArgumentError
from minicnn.kinks import worst_at_kinks
from minicnn.layers import Layer
from minicnn.models import Sequential

STEP = 1e-5
MOST_NUMBERS = 2**22  # of an input
SMALL = 256  # elements up to which every one is checked
DIRECTIONS = 8  # random directions of a larger array
WRONG = 1e-4  # a disagreement that no rounding explains
ROUNDING = WRONG * STEP  # a disagreement of what should be the same number
SIZES = (1, 5, 16, 17)  # samples of a loss's batches: with and without spare lanes


@dataclass
class Report:
    """What a gradient check found.

    Attributes
    ----------
    worst : float
        Largest relative disagreement: ``|a - n|`` over the largest ``|n|`` of the same
        array, or over a floor where all of its gradients are so small that rounding rules.
    where : str
        Which array, and which element or direction, disagrees most.
    analytic, numeric : float
        The two derivatives there.
    arrays : dict of str to float
        The largest relative disagreement of each array.
    """

    worst: float = 0.0  # the largest disagreement
    where: str = ""  # which array, and which element or direction, disagrees most
    analytic: float = 0.0  # what the backward pass gives there
    numeric: float = 0.0  # what central differences give there
    arrays: dict[str, float] = field(default_factory=dict)  # the largest disagreement of each

    def __str__(self) -> str:
        return (
            f"worst relative disagreement {self.worst:.2e} at {self.where}:"
            f" backward gives {self.analytic:.10g}, central differences {self.numeric:.10g}"
        )


@checks.takes(
    value=partial(checks.check_callable, arguments=0),
    arrays=checks.check_dict,
    gradients=checks.check_dict,
    rng=checks.check_generator,
    step=checks.check_positive,
)
def check_function(
    value: Callable[[], float],
    arrays: dict[str, np.ndarray],
    gradients: dict[str, np.ndarray],
    rng: np.random.Generator | None = None,
    step: float = STEP,
) -> Report:
    """Hold gradients against central differences of any scalar function.

    Parameters
    ----------
    value : callable
        ``value() -> float``, a function of the arrays' present contents.
    arrays : dict of str to ndarray
        float64 arrays that `value` reads; changed during the check and restored.
    gradients : dict of str to ndarray
        The gradient claimed for each array, of the same shape.
    rng : numpy.random.Generator, optional
        Draws the directions.
    step : float
        The h of the difference quotient.

    Returns
    -------
    Report

    Raises
    ------
    ArgumentError
        If an array is not of float64, or its gradient is missing or has another shape.
    """
    if arrays.keys() != gradients.keys():
        raise ArgumentError(
            f"check_function: arrays {list(arrays)} need a gradient each, got {list(gradients)}."
        )
    rng = checks.make_rng(0 if rng is None else rng)
    report = Report(worst=-1.0)
    # A difference quotient is off by the rounding of E over h; where all gradients are so
    # small that this would be more than 1e-8 of them, that is what they are compared with.
    size = abs(checks.check_number(value(), "check_function: what value() returns"))
    floor = np.finfo(float).eps * size / step / 1e-8 + 1e-8
    for name, array in arrays.items():
        gradient = checks.check_numbers(gradients[name], f"{name}: its gradient")
        real = isinstance(array, np.ndarray) and array.dtype == np.float64
        if not (real and array.flags.writeable) or gradient.shape != array.shape:
            raise ArgumentError(
                f"{name}: expected a float64 array that can be written, and a gradient of its"
                f" shape, got {checks.described(array)} and {gradient.shape}."
            )
        found = []
        for label, direction in _directions(array, rng):
            numeric = _difference_quotient(value, array, direction, step)
            here = direction != 0  # NaN elsewhere is another element's mistake
            found.append((label, float(np.sum(gradient[here] * direction[here])), numeric))
        scale = max([abs(numeric) for _, _, numeric in found] + [floor])
        for label, analytic, numeric in found:
            _note(report, name, label, analytic, numeric, scale)
    return report


@checks.takes(
    layer=Layer,
    samples=checks.check_count,
    seed=checks.check_seed,
    x=checks.check_numbers,
    training=checks.check_flag,
    step=checks.check_positive,
)
def check_layer(
    layer: Layer,
    input_shape: Sequence[int],
    samples: int = 3,
    seed: int = 0,
    x: np.ndarray | None = None,
    training: bool = True,
    step: float = STEP,
) -> Report:
    """Check both gradients of a layer or model: of its input and of its parameters.

    The layer is built anew, in float64, with weights and biases drawn from the seed. If all is
    right for random numbers, a single layer is also tried on an input with ties and zeros
    (:mod:`minicnn.kinks`), unless an input is given.

    Parameters
    ----------
    layer : Layer
        Any layer; also a Sequential.
    input_shape : tuple of int
        Of one sample.
    samples : int
        How many samples are in the batch; spare lanes are there on purpose.
    seed : int
        Of weights, input, weighting and directions.
    x : ndarray, shape (samples, *input_shape), optional
        The input, where it has to keep away from kinks; standard normal by default.
    training : bool
        The mode of the forward pass. Dropout draws anew in every pass: check it with False.
    step : float
        The h of the difference quotient.
    """
    rng = checks.make_rng(seed)
    drawn = x is None
    if x is not None:
        x = np.array(x, np.float64)
        samples = len(x) if x.ndim else 0
        if samples == 0:
            raise ArgumentError(f"check_layer: x must hold samples, got shape {x.shape}.")
    input_shape = checks.check_shape(input_shape, "check_layer: input_shape", "such as (1, 28, 28)")
    if samples * math.prod(input_shape) > MOST_NUMBERS:
        raise ArgumentError(
            f"check_layer: {samples} samples of {input_shape} would take hours: give at most"
            f" {MOST_NUMBERS} numbers; a few small samples show as much."
        )
    model = Sequential(layer)
    model.initialize(input_shape, seed, np.float64, input_gradient=True)
    for parameter in model.parameters():
        # Zero biases and equal slopes would hide mistakes.
        parameter.value += 0.1 * rng.standard_normal(parameter.value.shape)
    x = rng.standard_normal((samples, *input_shape)) if x is None else x
    weighting = rng.standard_normal((len(x), *model.output_shape))
    packed = lanes.pack(x, np.float64)

    def value():
        lanes.pack(x, np.float64, out=packed)
        y = model.forward(packed, training, len(x))
        return float(np.sum(lanes.unpack(y, len(x)) * weighting))

    value()
    dx = lanes.unpack(model.backward(lanes.pack(weighting, np.float64)), len(x))
    gradients = {"input": dx} | {p.name: p.grad.copy() for p in model.parameters()}
    arrays = {"input": x} | {p.name: p.value for p in model.parameters()}
    report = check_function(value, arrays, gradients, rng, step)
    if drawn and report.worst <= WRONG and not layer.children():
        kink = worst_at_kinks(model, samples, training, seed, step)
        if kink is not None:
            report.worst, report.where, report.analytic, report.numeric = kink
            report.arrays["input"] = report.worst
    return report


@checks.takes(
    loss=partial(checks.check_callable, arguments=2),
    scores=checks.check_numbers,
    labels=checks.check_numbers,
    seed=checks.check_seed,
    step=checks.check_positive,
)
def check_loss(
    loss: Callable[..., Any],
    scores: np.ndarray,
    labels: np.ndarray,
    seed: int = 0,
    step: float = STEP,
) -> Report:
    """Check the gradient that a loss gives for its scores.

    If it is right for the given batch, batches of 1, 5, 16 and 17 of its samples are tried, too.
    Lanes without a sample hold random numbers, as a model leaves them: the value must not depend
    on them, and the gradient must be 0 there.

    Parameters
    ----------
    loss : callable
        ``loss(scores, labels) -> (value, gradient)``, both arrays in lanes.
    scores : ndarray, shape (N, K)
    labels : ndarray, shape (N,)
        Or whatever the loss takes as its target, a row for each sample.

    Returns
    -------
    Report
        Of the first batch that is wrong, or the one with the largest disagreement.
    """
    scores, labels = np.array(scores, np.float64), np.asarray(labels)
    if not scores.ndim or not labels.ndim or len(scores) != len(labels) or not len(scores):
        raise ArgumentError(
            "check_loss: scores and labels must have a row for each sample, got shapes"
            f" {scores.shape} and {labels.shape}."
        )
    report = _check_batch(loss, scores, labels, seed, step)
    for size in SIZES:
        if report.worst > WRONG:
            break
        rows = np.arange(size) % len(scores)
        other = _check_batch(loss, scores[rows], labels[rows], seed, step)
        if other.worst > report.worst:
            report, report.where = other, f"{other.where} of {size} samples"
    return report


def _check_batch(loss, scores, labels, seed, step):
    samples, rng = len(scores), checks.make_rng(seed)
    packed, first = lanes.pack(scores, np.float64), (samples - 1) % lanes.LANES + 1
    plain = loss(packed, labels)
    if not isinstance(plain, tuple) or len(plain) != 2:
        raise ArgumentError(
            f"check_loss: loss must return its value and a gradient, got {checks.shown(plain)}."
        )
    plain = float(checks.check_number(plain[0], "check_loss: the value of the loss"))
    noise = rng.standard_normal(packed[-1, :, first:].shape)

    def filled():
        lanes.pack(scores, np.float64, out=packed)
        packed[-1, :, first:] = noise
        return loss(packed, labels)

    value, gradient = filled()
    spare, gradient = gradient[-1, :, first:].copy(), lanes.unpack(gradient, samples)
    report = check_function(
        lambda: float(filled()[0]), {"scores": scores}, {"scores": gradient}, rng, step
    )
    if spare.size:
        most, scale = float(spare.flat[np.abs(spare).argmax()]), np.abs(gradient).max() or 1.0
        _note(report, "the gradient in spare lanes", "", most, 0.0, scale, ROUNDING)
        other, scale = float(value), abs(plain) or 1.0
        _note(report, "the value with other spare lanes", "", other, plain, scale, ROUNDING)
    return report


def _note(report, array, place, found, wanted, scale, least=-1.0):
    """Add to a report a number that should be another one."""
    error = abs(found - wanted) / scale
    error = np.inf if np.isnan(error) else error
    report.arrays[array] = max(report.arrays.get(array, 0.0), error)
    if error > max(report.worst, least):
        report.worst, report.where = error, f"{array}{place}"
        report.analytic, report.numeric = found, wanted


def _directions(array, rng):
    """Every unit vector of a small array, some random directions of a large one."""
    if array.size <= SMALL:
        for index in np.ndindex(array.shape):
            direction = np.zeros(array.shape)
            direction[index] = 1.0
            yield f"[{', '.join(map(str, index))}]", direction
    else:
        for number in range(DIRECTIONS):
            direction = rng.standard_normal(array.shape)
            yield f" along random direction {number}", direction / np.linalg.norm(direction)


def _difference_quotient(value, array, direction, step):
    kept = array.copy()
    try:
        array[...] = kept + step * direction
        above = value()
        array[...] = kept - step * direction
        below = value()
    finally:
        array[...] = kept
    return (above - below) / (2 * step)
