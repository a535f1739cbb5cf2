"""Theory behind average pooling: beside neural-tangents, plain loops and wide networks."""

import json

import numpy as np
import pytest

from minicnn import Sequential, lanes
from minicnn.lab.theory import pooled_pairs
from minicnn.lab.theory.finite_width import law
from minicnn.lab.theory.forward import ROUGH, ROUGHEST, forward
from minicnn.lab.theory.pooled_maps import AveragePooling
from minicnn.lab.theory.prediction import _Tape
from minicnn.lab.theory.signal import from_batch
from minicnn.layers import (
    GELU,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Tanh,
)
from minicnn.layers.scalars import Scale
from minicnn.models import Residual
from minicnn.plan import trace
from tests.lab.theory import neural_tangents as nt

CLOSE = 1e-6  # the expansion in Hermite polynomials is cut; closed forms agree to 1e-12
WIDTH = 4  # which the expectation does not depend on
CONSTANTS = json.loads(nt.CONSTANTS.read_text())


def made(spec, init, bias, width=WIDTH):
    """The layer of minicnn that a line of `neural_tangents.NETWORKS` is."""
    kind, *settings = spec
    weights = (
        {"init": init, "bias_init": f"normal:{bias}"} if bias else {"init": init, "bias": False}
    )
    if kind == "conv":
        size, stride, padding = settings
        return Conv2d(width, size, stride=stride, padding=padding, **weights)
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
    graph = trace(model)
    signals = _Tape(graph).forward(from_batch(nt.images()))
    return model, [signals[graph.of(layer)][0].field for layer in model.layers]


@pytest.mark.parametrize("name", nt.NETWORKS)
def test_all_products_of_samples_are_those_of_neural_tangents(name):
    model, found = fields(name)
    for layer, field, expected in zip(model.layers, found, CONSTANTS[name]):
        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        gap = np.abs(field.pairs.mean((2, 3)) - expected) / scale
        assert gap.max() < CLOSE, layer.name
        assert field.moment == pytest.approx(np.trace(expected) / len(expected), rel=CLOSE)


def batch(samples=4, size=8):
    """Images as unlike as can be: constant, noise, blocks, half of each."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((size, size))
    blocks = 3 * np.kron(rng.standard_normal((2, 2)), np.ones((size // 2, size // 2)))
    half = 0.5 * np.where(np.arange(size) < size // 2, 1.0, noise)
    return np.stack([np.ones((size, size)), noise, blocks, half])[:samples, None]


def pooled_signal(*layers, x=None):
    x = batch() if x is None else x
    signal, shape = from_batch(x), x.shape[1:]
    for layer in layers:
        shape = layer.build(shape, np.random.default_rng(0))
        signal, _ = forward(layer, signal)
    return signal


@pytest.mark.parametrize(
    "dilation, groups, init",
    [(1, 1, "msra"), (2, 1, "msra"), (1, 2, "msra"), (1, 1, "delta-orthogonal")],
)
def test_pooling_of_a_convolution_is_the_sum_over_its_window(dilation, groups, init):
    """Everything is linear: E[y y'] is also what the pooled convolution of the images has."""
    x = np.random.default_rng(1).standard_normal((3, 2, 8, 7))
    conv = Conv2d(4, 3, stride=2, padding=1, dilation=dilation, groups=groups, init=init)
    found = pooled_signal(conv, AvgPool2d((2, 3), stride=1, padding=(1, 1)), x=x).field.pairs
    rows, columns = conv.output_shape[1:]
    total = np.zeros(found.shape)
    taps = [(1, 1)] if init == "delta-orthogonal" else list(np.ndindex(3, 3))
    border = np.pad(x, ((0, 0), (0, 0), (1, 3), (1, 3)))
    for u, v in taps:
        at = border[:, :, u * dilation :: 2, v * dilation :: 2][:, :, :rows, :columns]
        wide = np.pad(at, ((0, 0), (0, 0), (1, 1), (1, 1)))
        mean = sum(
            wide[:, :, i : i + found.shape[2], j : j + found.shape[3]]
            for i in range(2)
            for j in range(3)
        )
        total += np.einsum("nchw,mchw->nmhw", mean, mean) / 36
    fan = 9 * 2 / groups
    second = 2 / fan if init == "msra" else law(conv).second * 9
    np.testing.assert_allclose(found, total * second / groups, atol=1e-12)


def test_blocks_and_each_sample_alone_give_the_same(monkeypatch):
    signal = pooled_signal(Conv2d(4, 3, padding=1), ReLU(), Conv2d(4, 3, stride=2), LeakyReLU(0.3))
    source = AveragePooling(built(GlobalAvgPool2d(), (4, 3, 3)), signal.field).products(
        signal.source
    )
    whole = pooled_pairs.pooled(source, 4)
    monkeypatch.setattr(pooled_pairs, "BLOCK", 1)
    np.testing.assert_array_equal(pooled_pairs.pooled(source, 4), whole)
    _, _, all_pairs = pooled_pairs._plan(source, alike=False)
    own = pooled_pairs.pooled(source, 4, budget=9 * all_pairs)  # ten pairs
    np.testing.assert_allclose(own, np.einsum("nnhw->nhw", whole), rtol=1e-12)
    assert pooled_pairs.pooled(source, 4, budget=all_pairs) is None


def built(layer, shape):
    layer.build(shape, np.random.default_rng(0))
    return layer


def test_what_cannot_be_afforded_widens_the_interval(monkeypatch):
    layers = Conv2d(64, 3, padding=1), ReLU(), GlobalAvgPool2d()
    exact = pooled_signal(*layers)
    monkeypatch.setattr(pooled_pairs, "BUDGET", 0)
    scaled = pooled_signal(*layers)
    assert scaled.carried == pytest.approx(exact.carried + ROUGHEST**2)
    assert (exact.rough, scaled.rough) == (0, ROUGH)
    # the mean over samples of products went through ReLU
    assert 0.005 < abs(scaled.field.moment / exact.field.moment - 1) < ROUGHEST


def test_scores_beyond_the_budget_keep_each_sample_exact(monkeypatch):
    layers = Conv2d(64, 3, padding=1), ReLU(), GlobalAvgPool2d()
    exact = pooled_signal(*layers).field
    source = pooled_signal(*layers[:2]).source
    pooling = AveragePooling(layers[2], pooled_signal(*layers[:2]).field).products(source)
    monkeypatch.setattr(pooled_pairs, "BUDGET", 4 * pooled_pairs._plan(pooling, alike=True)[2])
    alone = pooled_signal(*layers).field
    np.testing.assert_allclose(alone.map, exact.map, rtol=1e-12)
    size = np.sqrt(alone.map[:, None] * alone.map)
    assert np.all(np.abs(alone.pairs) <= size * (1 + 1e-12))
    assert np.abs(alone.pairs - exact.pairs).max() > 1e-3


@pytest.mark.parametrize(
    "layers",
    [
        [("conv", 3, 1, 1), nt.RELU, nt.GLOBAL],
        [("conv", 3, 1, 1), nt.RELU, ("average", 3, 2, 1), ("conv", 3, 1, 1), nt.TANH, nt.GLOBAL],
    ],
)
def test_wide_networks_have_these_second_moments_sample_by_sample(layers):
    """Finite width adds 1 / width in expectation; the rest is within 4.5 standard errors."""
    width, seeds, x = 512, 12, batch()
    model = Sequential(*(made(spec, "msra", 0.0, width) for spec in layers))
    measured = []
    for seed in range(seeds):
        model.initialize((1, 8, 8), seed=seed, fuse=False)
        y = lanes.unpack(model.forward(lanes.pack(x, np.float32)), len(x))
        measured.append(np.square(y, dtype=np.float64).mean(1))
    mean, error = np.mean(measured, 0), np.std(measured, 0, ddof=1) / np.sqrt(seeds)
    graph = trace(model)
    (signal,) = _Tape(graph).forward(from_batch(x))[graph.output]
    expected = signal.field.map[:, 0, 0]
    assert np.all(np.abs(mean - expected) < 4.5 * error + expected * 4 / width)
    assert np.all(error < 0.1 * expected)


def test_maxima_have_a_mean_and_so_pass_a_relu():
    """conv, pool, ReLU is conv, ReLU, pool: taking maxima for centred would halve them."""
    after, before = (
        pooled_signal(Conv2d(8, 3, padding=1), *order, x=batch()).field.moment
        for order in ([MaxPool2d(2), ReLU()], [ReLU(), MaxPool2d(2)])
    )
    assert after == pytest.approx(before, rel=0.05)


def test_means_of_an_activation_have_its_mean():
    relu = pooled_signal(Conv2d(8, 3, padding=1), ReLU())
    behind, _ = forward(built(AvgPool2d(2), (8, 8, 8)), relu)
    expected = relu.mean.reshape(4, 4, 2, 4, 2).mean((2, 4))
    np.testing.assert_allclose(behind.mean, expected)
    # means of rectified numbers are no Gaussian ones, which the interval has to allow for
    tanh, _ = forward(built(Tanh(), (8, 4, 4)), behind)
    assert tanh.carried > 0.1 and pooled_signal(Conv2d(8, 3), Tanh()).carried < 0.1


def test_batch_norm_and_maxima_are_known_not_quite():
    for layer in (BatchNorm(), MaxPool2d(2)):
        near = pooled_signal(Conv2d(8, 3, padding=1), layer, Conv2d(8, 1), ReLU(), AvgPool2d(2))
        assert not near.products.exact and near.carried >= ROUGHEST**2
    assert pooled_signal(Conv2d(8, 3), Dropout(0.5), Scale(0.5), AvgPool2d(2)).products.exact


def test_dropout_and_gates_pass_products():
    x = batch()
    plain, dropped = (
        pooled_signal(*layers, GlobalAvgPool2d(), x=x).field.pairs
        for layers in ([], [Dropout(0.5), Scale(2.0)])
    )
    squares = np.square(x).mean((1, 2, 3)) / 64  # E[x²] is counted twice, off the diagonal once
    expected = 4 * (plain + np.diag(squares)[:, :, None, None])
    np.testing.assert_allclose(dropped, expected)
