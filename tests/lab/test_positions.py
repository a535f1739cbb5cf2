"""Theory behind average pooling: beside neural-tangents, plain loops and wide networks."""

import json

import numpy as np
import pytest

from minicnn import Sequential
from minicnn.lab.forward_theory import from_batch
from minicnn.lab.theory import _Tape
from minicnn.layers import (
    GELU,
    AvgPool2d,
    Conv2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    LeakyReLU,
    ReLU,
    Residual,
    Tanh,
)
from tests.lab import neural_tangents as nt

CLOSE = 1e-6  # the expansion in Hermite polynomials is cut; closed forms agree to 1e-12
WIDTH = 4  # which the expectation does not depend on
CONSTANTS = json.loads(nt.CONSTANTS.read_text())


def made(spec, init, bias):
    """The layer of minicnn that a line of `neural_tangents.NETWORKS` is."""
    kind, *settings = spec
    weights = (
        {"init": init, "bias_init": f"normal:{bias}"} if bias else {"init": init, "bias": False}
    )
    if kind == "conv":
        size, stride, padding = settings
        return Conv2d(WIDTH, size, stride=stride, padding=padding, **weights)
    if kind == "residual":
        body, shortcut = ([made(part, init, bias) for part in branch] for branch in settings)
        return Residual(Sequential(*body), Sequential(*shortcut) if shortcut else None)
    simple = {
        "average": AvgPool2d, "global": GlobalAvgPool2d, "flatten": Flatten, "relu": ReLU,
        "gelu": GELU, "leaky-relu": LeakyReLU, "tanh": Tanh,
    }  # fmt: skip
    return Dense(WIDTH, **weights) if kind == "dense" else simple[kind](*settings)


def fields(name):
    init, bias, specs = nt.NETWORKS[name]
    model = Sequential(*(made(spec, init, bias) for spec in specs))
    model.initialize((2, 9, 9), seed=0)
    tape = _Tape()
    tape.forward(model, from_batch(nt.images()))
    return model, [tape._outputs[layer].field for layer in model.layers]


@pytest.mark.parametrize("name", nt.NETWORKS)
def test_all_products_of_samples_are_those_of_neural_tangents(name):
    model, found = fields(name)
    for layer, field, expected in zip(model.layers, found, CONSTANTS[name]):
        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        gap = np.abs(field.pairs.mean((2, 3)) - expected) / scale
        assert gap.max() < CLOSE, layer.name
        assert field.moment == pytest.approx(np.trace(expected) / len(expected), rel=CLOSE)
