"""Layers by themselves: their passes, by a plan of the one layer."""

from weakref import WeakKeyDictionary

from minicnn import Sequential
from minicnn.layers import ReLU
from minicnn.plan import Plan

PLANS = WeakKeyDictionary()


def _plan(layer):
    version, plan = PLANS.get(layer, (None, None))
    if version != layer.version:
        plan = Plan(layer)
        PLANS[layer] = layer.version, plan
    return plan


def forward(layer, x, training=False, samples=None):
    """y, in lanes, valid until the next call."""
    return _plan(layer).forward(x, training, samples)


def backward(layer, dy):
    """dE/dx, in lanes, valid until the next call."""
    return _plan(layer).backward(dy)


def before_a_relu(layer):
    """A model of the layer, with its parameters, and of a ReLU that it computes as well."""
    values = [p.value.copy() for p in layer.parameters()]
    model = Sequential(layer, ReLU())
    needed = layer.needs_input_gradient
    model.initialize(layer.input_shape, dtype=layer.dtype, input_gradient=needed)
    for parameter, value in zip(model.parameters(), values):
        parameter.value[...] = value
    return model
