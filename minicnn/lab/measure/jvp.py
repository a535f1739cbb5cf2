"""Tangents: forward mode, how a small change of a layer's input changes its output.

Each layer's rule is made of the layer's own passes, so it is as exact as they are. Layers
that work on every number alone have ``J = Jᵀ``, as softmax has: their backward pass computes
``J t``. Layers that are linear but for a bias compute it as their forward pass without the bias.
Normalizations within a sample have the symmetric Jacobian A of x_hat, and scales behind it.

For the package itself: it checks nothing of what it is handed.
"""

import numpy as np

from minicnn import layers
from minicnn.errors import ArgumentError
from minicnn.lab.theory.pooled_maps import windows
from minicnn.layers import scalars
from minicnn.layers.group_norm import SampleNorm
from minicnn.layers.views import joined, times
from minicnn.plan import Plan, trace

SYMMETRIC = (
    layers.Activation, layers.BatchNorm, layers.Dropout, layers.LayerScale, layers.Softmax,
    scalars.Scale, scalars.Shift,
)  # fmt: skip
LINEAR = (
    layers.Dense, layers.Conv2d, layers.ConvTranspose2d, layers.AvgPool2d, layers.Flatten,
    layers.Upsample, layers.ZeroPad2d,
)  # fmt: skip


def push(layer: layers.Layer, x: np.ndarray, tangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``f(x)`` and ``J(x) t`` of a layer or model, in evaluation mode.

    Parameters
    ----------
    layer : Layer
        Built.
    x, tangent : ndarray, shape (G, *input_shape, 16)
        Where the derivative is taken, and the direction t; each lane has its own.

    Returns
    -------
    y, through : ndarray, shape (G, *output_shape, 16)

    Raises
    ------
    ArgumentError
        For a layer that is none of minicnn's own.
    """
    graph = trace(layer)
    return graph.forward((x, tangent), _push)[graph.output]


def _push(node, inputs):
    """The same for one node, of what each of its inputs has."""
    layer, (x, tangent) = node.layer, inputs[0]
    if len(inputs) > 1:
        values, tangents = zip(*inputs)
        if layer.join == "multiply":
            (signal, gate), (t, gate_t) = values, tangents
            return times(signal, gate), times(t, gate) + times(signal, gate_t)
        return joined(layer, values), joined(layer, tangents)
    plan = Plan(layer)
    if isinstance(layer, SYMMETRIC):
        return plan.forward(x), plan.backward(tangent)
    if isinstance(layer, layers.LogSoftmax):
        y = plan.forward(x)
        return y, tangent - np.sum(np.exp(y) * tangent, axis=1, keepdims=True)
    if isinstance(layer, SampleNorm):
        return plan.forward(x), _normalized(layer, plan, tangent)
    if isinstance(layer, layers.MaxPool2d):
        return plan.forward(x), _at_maxima(layer, x, tangent)
    if isinstance(layer, LINEAR):
        return plan.forward(x), _without_bias(layer, tangent)
    raise ArgumentError(
        f"{layer.name}: J v is known of minicnn's own layers only, not of {type(layer).__name__}:"
        " ask for the dense Jacobian, by dense() or without a count."
    )


def _without_bias(layer, x):
    bias, plan = layer.own_parameters().get("bias"), Plan(layer)
    if bias is None:
        return plan.forward(x)
    kept = bias.value.copy()
    bias.value[...] = 0
    y = plan.forward(x)
    bias.value[...] = kept
    return y


def _normalized(layer, plan, tangent):
    """``gamma A t``, where the backward pass computes ``A gamma t``."""
    gamma = layer.own_parameters().get("weight")
    if gamma is None:
        return plan.backward(tangent)
    kept = gamma.value.copy()
    gamma.value[...] = 1
    through = plan.backward(tangent)
    gamma.value[...] = kept
    return through * kept.reshape(*kept.shape, *[1] * (through.ndim - 1 - kept.ndim))


def _at_maxima(pool, x, tangent):
    """The direction's number where the image has its maximum, the first of equals."""
    places = windows(pool)
    outside = places < 0  # also where a window has more pixels than the image

    def seen(images, value):
        flat = np.moveaxis(images.reshape(*images.shape[:2], -1, images.shape[-1]), 2, 3)
        return np.where(outside, value, flat[..., places])

    first = seen(x, -np.inf).argmax(axis=-1)[..., None]
    found = np.take_along_axis(seen(tangent, 0), first, axis=-1)[..., 0]
    found = np.ascontiguousarray(np.moveaxis(found, 2, 3))
    return found.reshape(len(x), *pool.output_shape, x.shape[-1])
