"""How a plan calls a layer: with arrays in lanes, or with ordinary ones that it packs and checks.

For the package itself: it checks nothing of what it is handed.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minicnn import lanes
from minicnn.checks import described, is_third_party
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context
from minicnn.layers.numpy_layer import NumpyLayer

PASSES = {"forward", "backward"}


def check_passes(layer: Layer) -> None:
    """Raise an ArgumentError if a layer's passes do not take what a plan calls them with."""
    if not is_third_party(type(layer)):
        return
    arguments = {"forward": ("x", "y", "ctx"), "backward": ("x", "y", "dy", "dx", "ctx")}
    if isinstance(layer, NumpyLayer):
        arguments = {"forward": ("x",), "backward": ("dy",)}
    for name, wanted in arguments.items():
        try:
            inspect.signature(getattr(layer, name)).bind(*wanted)
        except TypeError:
            raise layer.error(
                f"{name} must take ({', '.join(wanted)}): a Layer fills arrays in lanes, a"
                " NumpyLayer returns ordinary ones."
            ) from None


def runs_python(layer: Layer) -> bool:
    """Whether a layer works outside of the kernels, or somebody has put a method in its place.

    If one pass does, both are called: the way back needs what the layer has kept of this batch.
    """
    return layer.in_python or not PASSES.isdisjoint(vars(layer))


def forward_of(layer: Layer, x: Any, y: Array, ctx: Context) -> Callable[[], None]:
    """A call without arguments that fills `y`."""
    if isinstance(layer, NumpyLayer):
        return partial(_ordinary_forward, layer, x, y, ctx)
    return partial(layer.forward, x, y, ctx)


def backward_of(
    layer: Layer, x: Any, y: Array, dy: Array, dx: Any, ctx: Context
) -> Callable[[], None]:
    """A call without arguments that fills `dx` and the gradients of the parameters."""
    if isinstance(layer, NumpyLayer):
        return partial(_ordinary_backward, layer, dy, dx, ctx)
    return partial(layer.backward, x, y, dy, dx, ctx)


def _ordinary_forward(layer, x, y, ctx):
    layer.training = ctx.training
    result = layer.forward(lanes.unpack(x, ctx.samples))
    lanes.pack(_checked(layer, "forward", result, ctx.samples, layer.output_shape), out=y)


def _ordinary_backward(layer, dy, dx, ctx):
    result = layer.backward(lanes.unpack(dy, ctx.samples))
    if dx is not None:
        lanes.pack(_checked(layer, "backward", result, ctx.samples, layer.input_shape), out=dx)


def _checked(layer, name, result, samples, shape):
    wanted = (samples, *shape)
    fits = isinstance(result, np.ndarray) and result.shape == wanted
    if not fits or result.dtype != layer.dtype or np.ma.isMaskedArray(result):
        got = "None: is the return missing?" if result is None else f"{described(result)}."
        raise layer.error(f"{name} must return a {layer.dtype} array of shape {wanted}, got {got}")
    return result
