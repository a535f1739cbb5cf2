"""Tied units: the classes that are found are those that training keeps, no more and no fewer."""

import numpy as np
import pytest

from minicnn import lanes, optimizers
from minicnn.errors import ArgumentError
from minicnn.lab.symmetry.certificate import certify
from minicnn.lab.symmetry.tied_units import Network, clusters
from minicnn.layers import (
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    GroupNorm,
    Identity,
    InstanceNorm2d,
    LayerNorm,
    LayerNorm2d,
    LayerScale,
    LogSoftmax,
    MaxPool2d,
    NumpyLayer,
    PReLU,
    ReLU,
    RMSNorm,
    Softmax,
    Tanh,
    Upsample,
    ZeroPad2d,
)
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.models import Branches, Residual, Sequential, zoo

CLASSES = 3
RULES = {
    "sgd": {"lr": 0.05, "momentum": 0}, "adam": {"lr": 0.01},
    "momentum and decay": {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01},
    "adagrad": {"lr": 0.05}, "nadam": {"lr": 0.01}, "lion": {"lr": 0.01, "weight_decay": 0.1},
    "dampening": {"lr": 0.05, "momentum": 0.9, "dampening": 0.5},
}  # fmt: skip


def classes(model, tolerance=0.0):
    """By layer, the classes of more than one unit."""
    found = {}
    for name, labels in Network(model).refine(tolerance).units().items():
        groups = [tuple(np.flatnonzero(labels == n)) for n in range(labels.max() + 1)]
        found[name] = [group for group in groups if len(group) > 1]
    return found


def initialized(*layers, shape=(2, 6, 6), fuse=False):
    model = Sequential(*layers)
    model.initialize(shape, seed=1, dtype=np.float64, fuse=fuse)
    return model


def train(model, steps=4, rule="sgd", seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(20, *model.input_shape))
    labels = rng.integers(0, CLASSES, 20)
    settings = RULES[rule]
    name = rule if rule in optimizers.OPTIMIZERS else "sgd"
    optimizer = optimizers.create(name, model.parameters(), **settings)
    loss, packed = SoftmaxCrossEntropy(), lanes.pack(x, np.float64)
    for _ in range(steps):
        _, delta = loss(model.forward(packed, True, len(x)), labels)
        model.backward(delta)
        optimizer.step()


def by_signal(model):
    """By layer with weights, the classes of units whose outputs are equal on fresh images."""
    rng, found = np.random.default_rng(9), {}
    x = rng.normal(size=(10, *model.input_shape))
    for layer in model.all_layers():
        if any(p.value.ndim > 1 for p in layer.own_parameters().values()):

            def watched(x, y, ctx, layer=layer):
                type(layer).forward(layer, x, y, ctx)
                rows = np.moveaxis(lanes.unpack(y, ctx.samples), 1, 0).reshape(y.shape[1], -1)
                labels = clusters(rows, 1e-9 * np.abs(rows).max())
                groups = [tuple(np.flatnonzero(labels == n)) for n in range(labels.max() + 1)]
                found[layer.name] = [group for group in groups if len(group) > 1]

            layer.forward = watched
    model.forward(lanes.pack(x, np.float64), True, len(x))
    for layer in model.all_layers():
        vars(layer).pop("forward", None)
    return found


def tie(model, name, units, incoming=True, outgoing=True, bias=True):
    """Make units of a dense or convolution layer copies of the first of them."""
    layers = [layer for layer in model.all_layers() if layer.own_parameters()]
    index = [layer.name for layer in layers].index(name)
    own = layers[index].own_parameters()
    after = next(a for a in layers[index + 1 :] if isinstance(a, (Conv2d, Dense)))
    weight = after.own_parameters()["weight"].value
    columns = weight.reshape(len(weight), layers[index].output_shape[0], -1)
    for unit in units[1:]:
        if incoming:
            own["weight"].value[unit] = own["weight"].value[units[0]]
        if outgoing:
            columns[:, unit] = columns[:, units[0]]
        own["bias"].value[unit] = own["bias"].value[units[0]] + (not bias)


def conv_net():
    return initialized(
        Conv2d(6, 3, padding=1), Tanh(), MaxPool2d(2), Conv2d(8, 3, padding=1), Tanh(), Flatten(),
        Dense(9), PReLU(per_channel=True), Dense(CLASSES),
    )  # fmt: skip


NAMES = ["0.conv2d", "3.conv2d", "6.dense"]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", NAMES)
def test_units_whose_all_weights_match_stay_tied_to_the_last_bit(name, rule):
    model = conv_net()
    assert not any(classes(model).values())
    tie(model, name, (1, 4, 5))
    tie(model, name, (0, 2))
    expected = {n: [] for n in classes(model)} | {name: [(0, 2), (1, 4, 5)]}
    if name == "6.dense":
        expected["7.prelu"] = expected[name]
    assert classes(model) == expected
    train(model, 6, rule)
    assert classes(model) == expected
    assert by_signal(model)[name] == expected[name]


@pytest.mark.parametrize("missing", ["incoming", "outgoing", "bias"])
@pytest.mark.parametrize("name", NAMES)
def test_one_mismatch_is_enough_and_training_tells(name, missing):
    model = conv_net()
    tie(model, name, (1, 4), **{missing: False})
    assert not classes(model)[name]
    train(model)
    assert not by_signal(model)[name] and not classes(model)[name]


def test_another_slope_is_a_mismatch():
    model = conv_net()
    tie(model, "6.dense", (1, 4))
    model.layers[7].own_parameters()["weight"].value[4] = 0.3
    assert not classes(model)["6.dense"]


def test_columns_match_only_at_the_same_position_of_a_flattened_image():
    model = conv_net()
    tie(model, "3.conv2d", (1, 4))
    weight = model.layers[6].own_parameters()["weight"].value.reshape(9, 8, -1)
    assert classes(model)["3.conv2d"] == [(1, 4)]
    weight[:, 4] = weight[:, 4, ::-1]
    assert not classes(model)["3.conv2d"]


def test_sums_over_a_class_are_what_must_match():
    """Units 0 and 1 are tied, so that units of the next layer see only the sums 4 and 4."""
    model = initialized(Dense(4), Tanh(), Dense(3), Tanh(), Dense(CLASSES), shape=(5,))
    first, second, last = (p.value for p in model.parameters()[::2])
    first[1] = first[0]
    second[:, :2] = [[1, 3], [2, 2], [3, 1]]
    second[:, 2:] = second[0, 2:]
    last[:] = last[:, :1]
    assert classes(model)["2.dense"] == [(0, 1, 2)] and classes(model)["0.dense"] == [(0, 1)]
    train(model, 5)
    assert by_signal(model)["2.dense"] == [(0, 1, 2)]
    assert by_signal(model)["0.dense"] == [(0, 1)]
    assert classes(model, 1e-12)["2.dense"] == [(0, 1, 2)]
    second[0, 0] += 0.1
    assert not classes(model)["2.dense"] and not classes(model)["0.dense"]


@pytest.mark.parametrize("name", ["lenet5", "plain6", "resnet8", "mlp:9x3"])
@pytest.mark.parametrize("init", ["constant:0.05", "identity", "hadamard", "msra"])
def test_architectures(name, init):
    """What is tied at the start has equal signals after some steps.

    The opposite is not tested for `identity` and `hadamard`, many of whose units stay 0 for long.
    """
    model = zoo.build(name, CLASSES, "tanh", init)
    model.initialize((1, 12, 12), seed=1, dtype=np.float64, fuse=False)
    expected = classes(model)
    sparse = init in ("identity", "hadamard")
    assert any(expected.values()) == (sparse and name != "mlp:9x3" or init == "constant:0.05")
    train(model, 1 if init == "hadamard" else 3)  # ties of sums alone: rounding grows behind a norm
    for layer, found in by_signal(model).items():
        if sparse:
            assert all(any(set(a) <= set(b) for b in found) for a in expected[layer])
        else:
            assert found == expected[layer], layer
    tolerant = classes(model, 1e-9)
    assert tolerant == expected


def residual(norm=True):
    body = [Conv2d(6, 3, padding=1, init="constant:0.1"), BatchNorm(), Tanh()]
    body += [Conv2d(6, 3, padding=1, init="constant:0.1"), BatchNorm()]
    return initialized(
        Conv2d(6, 3, padding=1, init="constant:0.1"), Tanh(), Residual(Sequential(*body)), Tanh(),
        GlobalAvgPool2d(), Dense(CLASSES, init="constant:0.1"),
    )  # fmt: skip


def test_a_residual_sum_joins_the_units_of_both_branches():
    everything = [(0, 1, 2, 3, 4, 5)]
    inner, outer = "2.residual.0.0.conv2d", ("0.conv2d", "2.residual.0.3.conv2d")
    model = residual()
    assert all(found == everything for n, found in classes(model).items() if n != "5.dense")
    model.parameters()[1].value[2] = 0.5  # a bias before the block: seen behind it, too
    found = classes(model)
    assert all(found[name] == [(0, 1, 3, 4, 5)] for name in outer)
    assert found[inner] == everything
    train(model, 3)
    assert by_signal(model)["2.residual.0.3.conv2d"] == [(0, 1, 3, 4, 5)]
    model = residual()
    model.layers[2].body.layers[4].own_parameters()["bias"].value[0] = 1  # at the body's end
    assert all(classes(model)[name] == [(1, 2, 3, 4, 5)] for name in outer)
    model = residual()
    model.layers[2].body.layers[1].own_parameters()["weight"].value[0] = 2  # within the body
    assert classes(model)[inner] == [(1, 2, 3, 4, 5)]
    assert classes(model)["2.residual.0.1.batchnorm"] == [(1, 2, 3, 4, 5)]
    assert all(classes(model)[name] == everything for name in outer)


def test_groups_of_a_convolution():
    """Equal in weights, groups are tied to each other; behind units that differ they are not."""
    model = initialized(
        Conv2d(4, 1, init="constant:0.1"), Tanh(), Conv2d(6, 3, groups=2, init="constant:0.1"),
        Tanh(), GlobalAvgPool2d(), Dense(CLASSES, init="constant:0.1"),
    )  # fmt: skip
    assert classes(model)["0.conv2d"] == [(0, 1, 2, 3)]
    assert classes(model)["2.conv2d"] == [(0, 1, 2, 3, 4, 5)]
    model.parameters()[1].value[3] = 0.5  # an input of the second group
    assert classes(model)["2.conv2d"] == [(0, 1, 2), (3, 4, 5)]
    assert classes(model)["0.conv2d"] == [(0, 1)]
    train(model, 3)
    assert by_signal(model) == {n: c for n, c in classes(model, 1e-12).items() if "norm" not in n}
    assert by_signal(model)["2.conv2d"] == [(0, 1, 2), (3, 4, 5)]


def test_groups_that_see_different_numbers_of_tied_units():
    """All weights of the grouped convolution are 0, but the first group sees two of the class."""
    model = initialized(
        Conv2d(4, 1, init="constant:0.1"), Tanh(), Conv2d(6, 3, groups=2, init="zeros"),
        Tanh(), GlobalAvgPool2d(), Dense(CLASSES, init="constant:0.1"),
    )  # fmt: skip
    model.layers[-1].own_parameters()["weight"].value[0] = 0.3  # so that the rest learns at once
    assert classes(model)["2.conv2d"] == [(0, 1, 2, 3, 4, 5)]
    model.parameters()[1].value[3] = 0.5
    expected = {"0.conv2d": [(0, 1)], "2.conv2d": [(0, 1, 2), (3, 4, 5)], "5.dense": []}
    assert classes(model) == expected
    train(model, 12)
    assert by_signal(model) == expected


def test_inputs_and_scores_are_never_tied():
    model = initialized(Conv2d(3, 3, init="constant:0.1"), Flatten(), Dense(3, init="zeros"))
    assert classes(model) == {"0.conv2d": [(0, 1, 2)], "2.dense": []}


def test_softmax_keeps_ties():
    model = initialized(
        Conv2d(6, 3), Softmax(), Conv2d(5, 3), LogSoftmax(), Flatten(), Dense(CLASSES)
    )
    tie(model, "0.conv2d", [1, 4])
    tie(model, "2.conv2d", [0, 3])
    expected = {"0.conv2d": [(1, 4)], "2.conv2d": [(0, 3)], "5.dense": []}
    assert {name: found for name, found in classes(model).items() if name in expected} == expected
    train(model)
    assert {name: found for name, found in by_signal(model).items()} == expected


def test_dropout_unties():
    parts = [Dense(9, init="constant:0.1"), Tanh()]
    for p, tied in ((0.0, [tuple(range(9))]), (0.5, [])):
        model = initialized(*parts, Dropout(p), Dense(CLASSES, init="constant:0.1"), shape=(4,))
        assert classes(model)["0.dense"] == tied
        train(model, 2)
        assert by_signal(model)["0.dense"] == tied
        parts = [Dense(9, init="constant:0.1"), Tanh()]


@pytest.mark.parametrize("name", ["inception", "densenet7", "unet"])
@pytest.mark.parametrize("init", ["zeros", "constant:0.1", "msra"])
def test_networks_of_branches_keep_the_ties_that_are_found(name, init):
    """Sigmoid units are not 0 at 0, so a network of zeros learns, and learns ties."""
    model = zoo.build(name, CLASSES, "sigmoid" if init == "zeros" else "tanh", init)
    model.initialize((1, 8, 8), seed=1, dtype=np.float64)
    found = {n: c for n, c in classes(model).items() if "norm" not in n}
    train(model, 3)
    assert by_signal(model) == found
    assert any(found.values()) == (init != "msra")


@pytest.mark.parametrize("groups", [1, 2])
def test_units_of_transposed_convolutions_are_tied_as_those_of_others(groups):
    """Weights lie (in, out / groups, kh, kw): copies 0 and 1 of four, before and behind it."""
    model = initialized(
        Conv2d(4, 3), Tanh(), ConvTranspose2d(4, 2, 2, groups=groups), Tanh(), Conv2d(3, 3),
        Tanh(), GlobalAvgPool2d(), Dense(CLASSES),
    )  # fmt: skip
    first, up, last = (model.layers[n].own_parameters() for n in (0, 2, 4))
    for parameter in (*first.values(), up["bias"], up["weight"]):
        parameter.value[1] = parameter.value[0]
    assert classes(model)["0.conv2d"] == [(0, 1)] and not classes(model)["2.convtranspose2d"]
    up["weight"].value[:2, 1] = up["weight"].value[:2, 0]
    if groups == 1:
        up["weight"].value[2:, 1] = up["weight"].value[2:, 0]
    assert not classes(model)["2.convtranspose2d"]  # what reads them is not
    last["weight"].value[:, 1] = last["weight"].value[:, 0]
    train(model)
    found = {name: tied for name, tied in classes(model).items() if tied}
    assert found == {"0.conv2d": [(0, 1)], "2.convtranspose2d": [(0, 1)]}
    assert by_signal(model)["2.convtranspose2d"] == [(0, 1)]
    (row,) = (row for row in certify(model).layers if row.layer == "2.convtranspose2d")
    assert (row.units, row.distinct, row.rank) == (4, 3, 3)


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_units_and_their_gates_are_tied_together(rule):
    """Of four channels 0 and 1 are copies, and so must their gates be."""
    for gates, stays in (([(0, 1)], [(0, 1)]), ([], [])):
        model = initialized(
            Conv2d(4, 3),
            Branches(
                Identity(), Sequential(GlobalAvgPool2d(), Dense(3), Tanh(), Dense(4)),
                join="multiply",
            ),
            Conv2d(3, 3), Tanh(), GlobalAvgPool2d(), Dense(CLASSES),
        )  # fmt: skip
        inner = model.layers[1].branches[1].layers
        first, squeeze, excite, after = (
            layer.own_parameters()
            for layer in (model.layers[0], inner[1], inner[3], model.layers[2])
        )
        for parameter in first.values():
            parameter.value[1] = parameter.value[0]
        for weight in (squeeze["weight"].value, after["weight"].value):
            weight[:, 1] = weight[:, 0]
        for one, other in gates:
            for parameter in excite.values():
                parameter.value[other] = parameter.value[one]
        assert classes(model)["0.conv2d"] == stays
        train(model, rule=rule)
        assert by_signal(model)["0.conv2d"] == stays


NORMS = {
    "one group": lambda: GroupNorm(1), "layer": LayerNorm, "rms": RMSNorm, "pixels": LayerNorm2d,
    "instance": lambda: InstanceNorm2d(affine=True), "plain instance": InstanceNorm2d,
    "two groups": lambda: GroupNorm(2), "two plain groups": lambda: GroupNorm(2, affine=False),
}  # fmt: skip


def with_norm(name, pairs):
    """Units 0 to 2 of the first layer are one group of two, 3 to 5 the other."""
    model = initialized(
        Conv2d(6, 3, padding=1), NORMS[name](), Tanh(), LayerScale(0.5), ZeroPad2d(1), Conv2d(4, 3),
        Tanh(), GlobalAvgPool2d(), Dense(CLASSES),
    )  # fmt: skip
    first, second = (model.layers[n].own_parameters() for n in (0, 5))
    for pair in pairs:
        for parameter in first.values():
            parameter.value[list(pair)] = parameter.value[pair[0]]
        second["weight"].value[:, list(pair)] = second["weight"].value[:, pair[:1]]
    return model


@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize("name", NORMS)
def test_ties_across_groups_that_are_normalized_together(name, rule):
    """The groups' moments are the same only if they hold as many units of each class."""
    many = "two" in name
    whole = [(0, 3), (1, 4), (2, 5)]
    for pairs, stay in (([(0, 1)], [(0, 1)]), ([(0, 3)], [] if many else [(0, 3)]), (whole, whole)):
        model = with_norm(name, pairs)
        found = classes(model)
        assert found["0.conv2d"] == found["3.layerscale"] == stay
        own = [found[n] for n in found if "norm" in n]
        assert own == ([] if "plain" in name else [stay])
        train(model, rule=rule)
        assert by_signal(model)["0.conv2d"] == stay
        assert classes(model, 1e-9)["0.conv2d"] == stay


@pytest.mark.parametrize("name", ["layer", "instance", "rms"])
def test_parameters_of_a_norm_untie_the_units_that_they_belong_to(name):
    model = with_norm(name, [(0, 1), (2, 3, 4)])
    weight = model.layers[1].own_parameters()["weight"].value
    weight.reshape(6, -1)[3, -1] += 0.5  # one pixel's, where it has one
    assert classes(model)["0.conv2d"] == [(0, 1), (2, 4)]
    model.layers[3].own_parameters()["weight"].value[0] = 2
    assert classes(model)["0.conv2d"] == [(2, 4)]


@pytest.mark.parametrize(
    ("groups", "pair", "stays"),
    [
        (1, (1, 2), True),
        (2, (0, 1), True),
        (2, (1, 2), False),
        (4, (1, 2), True),
        (8, (1, 2), True),
    ],
)
def test_features_of_flattened_units_that_are_normalized_in_groups(groups, pair, stays):
    """Of four units with eight pixels each; a group is all, two, one or half of them."""
    model = initialized(
        Conv2d(4, 5), Flatten(), GroupNorm(groups), Tanh(), Dense(CLASSES), shape=(2, 8, 6)
    )
    columns = model.layers[-1].own_parameters()["weight"].value.reshape(CLASSES, 4, 8)
    columns[:, pair[1]] = columns[:, pair[0]]
    for parameter in model.layers[0].own_parameters().values():
        parameter.value[pair[1]] = parameter.value[pair[0]]
    assert classes(model)["0.conv2d"] == ([pair] if stays else [])
    train(model)
    assert by_signal(model)["0.conv2d"] == ([pair] if stays else [])


def joined(join):
    """Two branches behind one convolution, and layers that act on what they give together."""
    model = initialized(
        Conv2d(4, 3, padding=1), Tanh(),
        Branches(
            Sequential(MaxPool2d(2), Conv2d(6, 3, padding=1), Tanh(), Upsample(2)),
            Sequential(Conv2d(6, 1), Tanh()), join=join,
        ),
        BatchNorm(), PReLU(per_channel=True), Flatten(), Dense(CLASSES),
    )  # fmt: skip
    first, second = (model.layers[2].branches[n].layers[1 - n] for n in (0, 1))
    columns = model.layers[-1].own_parameters()["weight"].value.reshape(CLASSES, -1, 36)
    return model, first.own_parameters(), second.own_parameters(), columns


@pytest.mark.parametrize("rule", RULES)
def test_behind_a_concatenation_each_branch_has_its_own_ties(rule):
    model, first, second, columns = joined("concat")
    assert not any(classes(model).values())
    for own, units in ((first, [1, 4]), (second, [0, 2, 5])):
        for parameter in own.values():
            parameter.value[units] = parameter.value[units[0]]
    assert not any(classes(model).values())  # as the dense layer tells them apart
    columns[:, [1, 4]] = columns[:, [1]]
    columns[:, [6, 8, 11]] = columns[:, [6]]
    found = classes(model)
    assert found["3.batchnorm"] == found["4.prelu"] == [(1, 4), (6, 8, 11)]
    assert found["2.branches.0.1.conv2d"] == [(1, 4)]
    assert found["2.branches.1.0.conv2d"] == [(0, 2, 5)]
    train(model, rule=rule)
    assert classes(model) == found
    slopes = model.layers[4].own_parameters()["weight"].value
    slopes[4] += 1
    assert classes(model)["2.branches.0.1.conv2d"] == []
    assert classes(model)["2.branches.1.0.conv2d"] == [(0, 2, 5)]


def test_branches_that_are_added_must_both_be_tied():
    model, first, second, columns = joined("add")
    columns[:, [1, 4]] = columns[:, [1]]
    for n, own in enumerate((first, second)):
        for parameter in own.values():
            parameter.value[[1, 4]] = parameter.value[1]
        assert any(classes(model).values()) == n
    assert classes(model)["3.batchnorm"] == [(1, 4)]
    train(model)
    assert by_signal(model)["2.branches.0.1.conv2d"] == [(1, 4)]
    assert by_signal(model)["2.branches.1.0.conv2d"] == [(1, 4)]


def test_a_unit_that_stands_twice_in_a_concatenation():
    """And features behind Flatten, of which a unit has many, beside those of a dense layer."""
    model = initialized(
        Conv2d(4, 3, init="constant:0.1"), Tanh(),
        Branches(Identity(), Residual(Conv2d(4, 3, padding=1, init="constant:0.2"))),
        Branches(Flatten(), Sequential(Flatten(), Dense(5, init="constant:0.3"))),
        Dense(CLASSES, init="constant:0.1"),
    )  # fmt: skip
    weight = model.layers[-1].own_parameters()["weight"].value
    weight += np.arange(CLASSES)[:, None]  # so that all learn
    expected = {
        "0.conv2d": [(0, 1, 2, 3)], "2.branches.1.residual.0.conv2d": [(0, 1, 2, 3)],
        "3.branches.1.1.dense": [(0, 1, 2, 3, 4)], "4.dense": [],
    }  # fmt: skip
    assert classes(model) == expected
    weight[0, (4 + 2) * 16 + 5] += 1  # pixel 5 of the sum in channel 2
    weight[1, 8 * 16 + 3] += 1  # the dense layer's
    expected |= {n: [(0, 1, 3)] for n in list(expected)[:2]}
    expected["3.branches.1.1.dense"] = [(0, 1, 2, 4)]
    assert classes(model) == expected
    train(model)
    assert by_signal(model) == expected
    assert classes(model, 1e-12) == expected


def test_a_layer_of_which_two_units_are_added_to_one():
    both = Branches(Identity(), Sequential(Tanh(), MaxPool2d(3, stride=1, padding=1)))
    model = initialized(
        Conv2d(3, 1, init="constant:0.1"), Tanh(),
        Branches(both, Conv2d(6, 1, init="constant:0.2"), join="add"),
        Conv2d(2, 1, init="constant:0.2"), Flatten(), Dense(CLASSES),
    )  # fmt: skip
    name = "2.branches.1.conv2d"
    assert classes(model)[name] == [(0, 1, 2), (3, 4, 5)]
    weight = model.layers[2].branches[1].own_parameters()["weight"].value
    weight[3:] += 0.1  # which tells the halves apart, but no two units of one
    assert classes(model)["0.conv2d"] == [(0, 1, 2)]
    train(model)
    assert classes(model, 1e-12)["0.conv2d"] == by_signal(model)["0.conv2d"] == [(0, 1, 2)]
    assert by_signal(model)[name] == [(0, 1, 2), (3, 4, 5)]
    weight[4] += 0.1
    assert classes(model, 1e-12)["0.conv2d"] == [(0, 2)]


class Odd(NumpyLayer):
    """Passes its input on; nobody knows it."""

    def forward(self, x):
        return x

    def backward(self, dy):
        return dy


def test_a_layer_of_another_kind_unties_both_its_ends():
    def net(*middle):
        parts = [Dense(5, init="constant:0.1"), *middle, Dense(4, init="constant:0.1"), ReLU()]
        return initialized(*parts, Dense(CLASSES, init="constant:0.1"), shape=(4,))

    assert classes(net())["0.dense"] == [(0, 1, 2, 3, 4)]
    found = classes(net(Odd()))
    assert found["0.dense"] == [] and found["2.dense"] == [(0, 1, 2, 3)]


def test_tolerance_is_relative_to_the_largest_number_of_the_layer():
    model = conv_net()
    tie(model, "6.dense", (1, 4))
    incoming = model.layers[6].own_parameters()["weight"].value
    incoming[4, 7] += 1e-6 * np.abs(incoming).max()
    assert not classes(model)["6.dense"] and not classes(model, 0.9e-6)["6.dense"]
    assert classes(model, 1.1e-6)["6.dense"] == [(1, 4)]
    for p in model.parameters():
        p.value *= 1e5
    assert not classes(model, 0.9e-6)["6.dense"]
    assert classes(model, 1.1e-6)["6.dense"] == [(1, 4)]


def test_clusters():
    rows = np.array([[1, 2], [0.0, 3], [1, 2 + 1e-6], [-0.0, 3], [5, 5], [1, 2]])
    np.testing.assert_array_equal(clusters(rows), [0, 1, 2, 1, 3, 0])
    np.testing.assert_array_equal(clusters(rows, 1e-5), [0, 1, 0, 1, 2, 0])
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 40, 300)
    rows = rng.normal(size=(40, 7))[kinds] + rng.uniform(-1e-9, 1e-9, (300, 7))
    labels = clusters(rows, 1e-8)
    assert ((labels[:, None] == labels) == (kinds[:, None] == kinds)).all()


def test_models_that_cannot_be():
    with pytest.raises(ArgumentError, match="no weights yet"):
        Network(Sequential(Dense(3)))
    with pytest.raises(ArgumentError, match="no weights to look at"):
        Network(initialized(ReLU()))
