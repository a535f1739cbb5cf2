"""The random numbers that layers draw in training, as dropout does, kept and given back."""

from collections.abc import Iterator
from contextlib import contextmanager

from numpy.random import BitGenerator, Generator

from minicnn.checks import takes
from minicnn.layers.counter_rng import CounterRNG
from minicnn.models.sequential import Sequential, initialized


@takes(model=initialized)
def generators(model: Sequential) -> dict[str, BitGenerator | CounterRNG]:
    """What layers draw from, each its ``rng``, by the layers' names; each has a ``state``."""
    found = {layer.name: getattr(layer, "rng", None) for layer in model.all_layers()}
    found = {n: r.bit_generator if isinstance(r, Generator) else r for n, r in found.items()}
    return {n: rng for n, rng in found.items() if isinstance(rng, (BitGenerator, CounterRNG))}


@contextmanager
def unchanged(model: Sequential) -> Iterator[None]:
    """A block of code after which the layers draw what they would have drawn without it."""
    kept = [(rng, rng.state) for rng in generators(model).values()]
    try:
        yield
    finally:
        for rng, state in kept:
            rng.state = state
