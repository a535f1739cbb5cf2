"""Joins in theory: channels of several kinds side by side, and sums, beside measured networks."""

import numpy as np
import pytest

from minicnn import Sequential, lanes
from minicnn.lab.measure import comparison
from minicnn.lab.measure.probes import probe
from minicnn.lab.theory.finite_width import UNKNOWN
from minicnn.lab.theory.forward import forward
from minicnn.lab.theory.joins import added, merged, regrouped
from minicnn.lab.theory.maps import from_images
from minicnn.lab.theory.pooled_maps import Upsampling
from minicnn.lab.theory.pooled_pairs import pooled
from minicnn.lab.theory.positions import Images
from minicnn.lab.theory.prediction import _Tape, predict
from minicnn.lab.theory.products import Copies, Mean
from minicnn.lab.theory.signal import Signal, from_batch
from minicnn.layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    Identity,
    MaxPool2d,
    NumpyLayer,
    ReLU,
    Sigmoid,
    Tanh,
    Upsample,
)
from minicnn.models import Branches, Residual, zoo
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


def test_products_of_branches_promise_nothing():
    gate = Sequential(GlobalAvgPool2d(), Dense(4), Sigmoid())
    model = built(Conv2d(4, 3), Branches(Identity(), gate, join="multiply"))
    graph = trace(model)
    found = _Tape(graph).forward(from_batch(batch()))[graph.output]
    assert isinstance(found, str) and "not their products" in found


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
            conv(300),
        ],
        "copies": lambda: [
            Branches(Sequential(conv(200, 2, stride=2), ReLU(), Upsample(2)), small),
            conv(200, 3, padding=1), AvgPool2d(2), GlobalAvgPool2d(),
        ],
    }[kind]())  # fmt: skip


@pytest.mark.parametrize(
    "kind", ["side by side", "activated", "sum of means", "three added", "a sum of sides", "copies"]
)
def test_means_over_weight_draws_are_met(kind):
    x = batch()
    mean, error = measured(lambda: wide(kind), x, seeds=16)
    signal = output(built(*wide(kind).layers), x)
    expected = signal.field.map.mean((1, 2))
    # What is asymptotic in 1 / width is off by some 1 %.
    assert np.all(np.abs(mean - expected) < 4.5 * error + 0.02 * expected)
    assert np.all(error < 0.1 * expected)


def images(size=8):
    """Smooth images with a common part, as natural ones have."""
    coarse = np.random.default_rng(0).standard_normal((N, 1, size // 2, size // 2)) + 0.5
    return np.kron(coarse, np.ones((2, 2))).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "activation", "init"),
    [
        ("inception", "relu", "msra"), ("densenet7", "relu", "msra"), ("densenet7", "elu", "lecun"),
        ("unet", "relu", "msra"), ("unet", "tanh", "xavier"),
    ],
)  # fmt: skip
def test_networks_with_joins_lie_within_the_interval(name, activation, init):
    x, predictions, z = images(), None, []
    for seed in range(3):
        model = zoo.build(name, activation=activation, init=init)
        model.initialize(x.shape[1:], seed=seed)
        predictions = predictions or predict(model, x, LABELS)
        scores = comparison.scores(probe(model, x, LABELS), predictions)
        z += [value for by_layer in scores.values() for value in by_layer.values()]
    assert [p.name for p in predictions] == [layer.name for layer in model.all_layers()]
    assert not any(p.reason or p.output == UNKNOWN or p.delta == UNKNOWN for p in predictions)
    assert np.mean(np.abs(z) > 4) <= 0.02
    assert 0.4 < np.sqrt(np.mean(np.square(z))) < 1.8


def test_a_sum_over_side_by_side_channels_is_exact():
    """Given images, one layer of weights: the mean over channels of whatever branch."""
    x = batch(3)
    branches = Branches(Identity(), Upsample(1), MaxPool2d(1))
    pairs = output(built(branches, Conv2d(7, 3, init="normal:0.1"), shape=(3, 6, 6)), x).field.pairs
    plain = output(built(Conv2d(7, 3, init="normal:0.1"), shape=(3, 6, 6)), x).field.pairs
    np.testing.assert_allclose(pairs[0, 1], 3 * plain[0, 1], rtol=0.03)
    branches = Branches(Identity(), Conv2d(5, 1, init="normal:0.5"))
    found = output(built(branches, Conv2d(4, 1, init="normal:0.1"), shape=(3, 6, 6)), x).field.map
    squares = np.square(x).sum(1)
    np.testing.assert_allclose(found, 0.01 * (squares + 5 * 0.25 * squares))


def test_each_part_is_normalized_with_its_own_deviation():
    branches = Branches(Conv2d(4, 1, init="normal:9"), Conv2d(6, 1, init="normal:0.01"))
    graph = trace(built(branches, BatchNorm()))
    parts = _Tape(graph).forward(from_batch(batch()))[graph.output]
    assert [part.units for part in parts] == [4, 6]
    assert parts[0].field.moment == pytest.approx(1)
    variance = 1e-4 * np.square(batch() - batch().mean((0, 2, 3), keepdims=True)).mean() * 2
    assert parts[1].field.moment == pytest.approx(variance / (variance + 1e-5), rel=1e-6)


def test_the_gradient_of_side_by_side_channels_goes_to_its_branch():
    """A branch that nothing is made of gets 0; the other one all of it."""
    net = built(
        Conv2d(6, 1, init="lecun"), Branches(Conv2d(5, 1, init="zeros"), Identity()), Tanh(),
        Flatten(), Dense(5, init="lecun"),
    )  # fmt: skip
    found = {p.name: p for p in predict(net, batch(), LABELS)}
    dense, tanh = found["4.dense"], found["2.tanh"]
    assert tanh.delta.value == pytest.approx(dense.delta.value * 5 / (11 * 36), rel=0.2)
    # where tanh is passed by 0 its slope is 1
    assert found["1.branches.0.conv2d"].delta.value == pytest.approx(tanh.delta.value, rel=0.2)
    assert found["1.branches.1.identity"].delta.value < found["1.branches.0.conv2d"].delta.value


@pytest.mark.parametrize("scale", [(2, 2), (1, 3)])
def test_copies_of_pixels_are_exact_both_ways(scale):
    """Beside the field and the products of the larger images themselves."""
    x = batch(size=4)
    layer = Upsample(scale)
    layer.build(x.shape[1:], np.random.default_rng(0))
    large = np.kron(x, np.ones(scale))
    copies = Upsampling(layer, from_images(x))
    for name in ("pairs", "same", "cross"):
        found, expected = (
            getattr(field, name) for field in (copies.forward(from_images(x)), from_images(large))
        )
        np.testing.assert_allclose(found, expected, atol=1e-12)
    source, exact = copies.products(Images(x)), Images(large)
    n, m = np.triu_indices(N)
    for d in [(0, 0), (1, -2), (-3, 4), (2, 0), (0, 5)]:
        given = [lambda e: Images(x).at(e, n, m, [])]
        np.testing.assert_allclose(source.at(d, n, m, given), exact.at(d, n, m, []), atol=1e-12)
    # a mean over blocks of copies is the image
    pool = AvgPool2d(scale)
    pool.build(large.shape[1:], np.random.default_rng(0))
    signal, _ = forward(pool, forward(layer, from_batch(x))[0])
    np.testing.assert_allclose(signal.field.pairs, from_images(x).pairs, atol=1e-12)
    # back: sums over blocks
    dy = np.random.default_rng(1).standard_normal(large.shape)
    dx = dy.reshape(N, 2, 4, scale[0], 4, scale[1]).sum((3, 5))
    back = copies.backward(from_images(dy))
    np.testing.assert_allclose(back.same, from_images(dx).same, atol=1e-12)
    np.testing.assert_allclose(copies.mean(x[:, 0]), large[:, 0])


def test_products_of_sides_and_of_sums_with_means():
    x, y = batch(3, 4), batch(2, 4)
    everyone = np.concatenate([x, y], 1)
    found = pooled(Mean([Images(x), Images(y)], [3 / 5, 2 / 5]), N)
    np.testing.assert_allclose(found, from_images(everyone).pairs)
    assert Copies(Images(x), (8, 8), (2, 2)).needs((3, 0)) == [(1, 0), (2, 0)]


def test_parts_are_cut_and_merged_where_branches_differ():
    fields = [from_images(batch(1) * factor) for factor in (1.0, 2.0, 3.0)]
    parts = [Signal(f, units, own=0.1) for f, units in zip(fields, (4, 2, 2))]
    again = regrouped(parts, [4, 2, 2], [2, 2, 4])
    assert [part.units for part in again[:2]] == [2, 2] and again[0].own == pytest.approx(0.2)
    assert again[2].field.moment == pytest.approx((4 + 9) / 2 * fields[0].moment)
    assert regrouped(parts, [4, 2, 2], [4, 2, 2]) == parts


class Odd(NumpyLayer):
    def forward(self, x):
        return x

    def backward(self, dy):
        return dy


@pytest.mark.parametrize(
    ("layers", "unknown", "reason"),
    [
        ([Odd()], "0.odd", "no layer Odd"),
        ([Conv2d(4, 1, init="constant:1")], "0.conv2d", "have a mean, 1,"),
        ([Conv2d(4, 1), Residual(Tanh())], "1.residual", "hang on the same numbers"),
        ([Residual(Sequential(Conv2d(2, 1), ReLU()))], "0.residual", "hang on the same numbers"),
        (
            [Branches(Conv2d(4, 1), Conv2d(4, 1)), Conv2d(4, 1, groups=2)], "1.conv2d",
            "channels of different branches",
        ),
        ([Conv2d(4, 1), Upsample(11)], "1.upsample", "4096 pixels, and these are 4356"),
    ],
)  # fmt: skip
def test_where_nothing_is_promised_it_says_why(layers, unknown, reason):
    model = Sequential(*layers, Flatten(), Dense(5))
    model.initialize((2, 6, 6))
    x = batch().astype(np.float32)
    predictions = predict(model, x, LABELS)
    lost = [p.name for p in predictions if p.output == UNKNOWN]
    assert {unknown, predictions[-2].name, predictions[-1].name} <= {*lost}
    for p in predictions:
        assert p.delta == UNKNOWN and reason in p.reason and p.reason.startswith(unknown)
    text = comparison.table(probe(model, x, LABELS), predictions)
    assert text.endswith(f"no theory: {predictions[-1].reason}")


def test_what_stands_beside_an_unknown_branch_keeps_its_promise():
    net = built(Branches(Sequential(Odd(), ReLU()), Conv2d(3, 1)), Flatten(), Dense(5))
    known = {p.name: p.output != UNKNOWN for p in predict(net, batch(), LABELS)}
    assert known["0.branches.1.conv2d"] and not known["0.branches.0.1.relu"]
    assert not known["0.branches"] and not known["2.dense"]


def test_means_of_branches_that_are_added_count():
    """E[(a + b)²] = E[a²] + E[b²] + 2 E[a] E[b] for independent a and b, beside draws."""
    x = np.random.default_rng(2).standard_normal((N, 2, 2, 2))
    a, b = (output(built(Conv2d(400, 1), ReLU(), shape=(2, 2, 2), seed=s), x) for s in (0, 1))
    rng, pairs = np.random.default_rng(3), 0
    flat = x.transpose(0, 2, 3, 1).reshape(-1, 2)
    for _ in range(40):
        w = rng.standard_normal((2, 2, 5000))  # msra: variance 2 / 2
        y = np.maximum(flat @ w[0], 0) + np.maximum(flat @ w[1], 0)
        pairs = pairs + y @ y.T / 5000 / 40
    total = added(a, b)
    pairs = pairs.reshape(N, 4, N, 4)
    expected = np.einsum("npmp->nmp", pairs).reshape(N, N, 2, 2)
    np.testing.assert_allclose(total.field.pairs, expected, rtol=0.05, atol=0.02)
    # and at two positions, of one sample and of two
    a_mean, b_mean = (one.mean.reshape(N, 4) for one in (a, b))
    products = np.einsum("np,mq->nmpq", a_mean, b_mean) + np.einsum("np,mq->nmpq", b_mean, a_mean)
    everyone = np.arange(N)
    within, every = products[everyone, everyone].mean(0), products.sum((0, 1))
    between = (every - N * within) / (N * (N - 1))
    for name, wanted in (("same", within), ("cross", between)):
        parts = [getattr(one.field, name).reshape(4, 4) for one in (a, b)]
        found = getattr(total.field, name).reshape(4, 4)
        np.testing.assert_allclose(found, parts[0] + parts[1] + (wanted + wanted.T) / 2)
