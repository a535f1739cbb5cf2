"""Joins in theory: channels of several kinds side by side, and sums, beside measured networks."""

import numpy as np
import pytest

from minicnn import Sequential, lanes, zoo
from minicnn.lab import beside
from minicnn.lab.forward_theory import forward
from minicnn.lab.joins import added, merged, regrouped
from minicnn.lab.maps import from_images
from minicnn.lab.pooled_maps import Upsampling
from minicnn.lab.pooled_pairs import pooled
from minicnn.lab.positions import Images
from minicnn.lab.probes import probe
from minicnn.lab.products import Copies, Mean
from minicnn.lab.spread import UNKNOWN
from minicnn.lab.theory import _Tape, predict
from minicnn.lab.theory_signal import Signal, from_batch
from minicnn.layers import (
    AvgPool2d,
    BatchNorm,
    Branches,
    Conv2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    Identity,
    Layer,
    MaxPool2d,
    ReLU,
    Residual,
    Sigmoid,
    Tanh,
    Upsample,
)
from minicnn.plan import trace

N = 6
LABELS = np.arange(N) % 5


def batch(channels=2, size=6):
    return np.random.default_rng(0).standard_normal((N, channels, size, size)) + 0.3


def built(*layers, shape=(2, 6, 6), seed=0):
    model = Sequential(*layers)
    model.initialize(shape, seed=seed, fuse=False)
    return model


def output(model, x):
    """The signal behind a model, its parts merged."""
    graph = trace(model)
    parts = _Tape(graph).forward(from_batch(x))[graph.output]
    return merged(parts, [part.units for part in parts])


def measured(make, x, seeds):
    """E[y²] by sample of the models that `make` gives for each seed, and its standard error."""
    found = []
    for seed in range(seeds):
        model = make()
        model.initialize(x.shape[1:], seed=seed, fuse=False)
        y = lanes.unpack(model.forward(lanes.pack(x, np.float32)), len(x))
        found.append(np.square(y, dtype=np.float64).reshape(len(x), -1).mean(1))
    return np.mean(found, 0), np.std(found, 0, ddof=1) / np.sqrt(seeds)


def wide(kind):
    """Networks of 300 units or so in each branch; all weights of mean 0."""

    def conv(channels, size=1, **settings):
        return Conv2d(channels, size, init="msra", **settings)

    small = Conv2d(200, 1, init="normal:0.2")
    return Sequential(*{
        "side by side": lambda: [
            Branches(Sequential(conv(300), ReLU()), Sequential(small, Tanh()), Identity()),
            conv(300), ReLU(),
        ],
        "activated": lambda: [
            conv(200), Branches(Identity(), Sequential(ReLU(), conv(300, 3, padding=1))),
            Sigmoid(), conv(200),
        ],
        "sum of means": lambda: [
            conv(300), ReLU(), Residual(Sequential(conv(300), ReLU())), conv(300), ReLU(),
        ],
        "three added": lambda: [
            conv(300), Sigmoid(),
            Branches(Identity(), Sequential(conv(300), ReLU()), conv(300), join="add"), conv(300),
        ],
        "a sum of sides": lambda: [
            conv(300), ReLU(),
            Branches(
                Branches(conv(100), Sequential(small, ReLU())), Sequential(conv(300), ReLU()),
                join="add",
            ),
            Tanh(), conv(300),
        ],
        "copies": lambda: [
            Branches(Sequential(conv(200, 2, stride=2), ReLU(), Upsample(2)), small),
            conv(200, 3, padding=1), AvgPool2d(2), GlobalAvgPool2d(),
        ],
    }[kind]())  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    ["side by side", "activated", "sum of means", "three added", "a sum of sides", "copies"],
)
def test_means_over_weight_draws_are_met(kind):
    x = batch()
    mean, error = measured(lambda: wide(kind), x, seeds=16)
    signal = output(built(*wide(kind).layers), x)
    expected = signal.field.map.mean((1, 2))
    # What is asymptotic in 1 / width is off by some 1 %.
    assert np.all(np.abs(mean - expected) < 4.5 * error + 0.02 * expected)
    assert np.all(error < 0.1 * expected)
