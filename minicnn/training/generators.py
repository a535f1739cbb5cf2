"""The random numbers that layers draw in training, as dropout does, kept and given back."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from minicnn.checks import takes
from minicnn.models.sequential import Sequential, initialized


@takes(model=initialized)
def generators(model: Sequential) -> dict[str, np.random.Generator]:
    """What layers draw from, each its ``rng``, by the layers' names."""
    found = {layer.name: getattr(layer, "rng", None) for layer in model.all_layers()}
    return {n: rng for n, rng in found.items() if isinstance(rng, np.random.Generator)}


@contextmanager
def unchanged(model: Sequential) -> Iterator[None]:
    """A block of code after which the layers draw what they would have drawn without it."""
    kept = [(rng, rng.bit_generator.state) for rng in generators(model).values()]
    try:
        yield
    finally:
        for rng, state in kept:
            rng.bit_generator.state = state
