"""The gradient front and the verdict, held against real trainings step by step."""

import itertools
import json

import numpy as np
import pytest

from minicnn import lanes, optimizers
from minicnn.errors import ArgumentError
from minicnn.lab.symmetry.gradient_front import first_steps, verdict
from minicnn.layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Dropout,
    Dropout2d,
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
    ReLU,
    RMSNorm,
    Softmax,
    Upsample,
    ZeroPad2d,
    activations,
)
from minicnn.layers.scalars import Scale, Shift
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.models import Branches, Residual, Sequential, zoo

CLASSES = 4
STEPS = 8


def dense_net(activation, zero, layers=4, init="msra"):
    """Weight layers on 20 features, of which those in `zero` start at 0."""
    inits = ["zeros" if i in zero else init for i in range(layers)]
    parts = []
    for one in inits[:-1]:
        parts += [Dense(12, init=one), activations.from_string(activation)]
    return initialized(Sequential(*parts, Dense(CLASSES, init=inits[-1])), (20,))


def initialized(model, shape):
    model.initialize(shape, seed=1, dtype=np.float64)
    return model


def data(shape, balanced, samples=24):
    rng = np.random.default_rng(0)
    labels = np.arange(samples) % CLASSES
    if not balanced:
        labels = np.minimum(labels, rng.integers(0, CLASSES, samples))
    return rng.normal(size=(samples, *shape)), labels


def training(model, balanced=False, steps=STEPS, lr=0.5):
    """Full-batch steps; each parameter's largest gradient at each, and the scores afterwards."""
    x, labels = data(model.input_shape, balanced)
    optimizer = optimizers.create("sgd", model.parameters(), lr=lr, momentum=0)
    loss, packed = SoftmaxCrossEntropy(), lanes.pack(x, np.float64)
    largest = {p.name: [] for p in model.parameters()}
    for _ in range(steps):
        _, delta = loss(model.forward(packed, True, len(x)), labels)
        model.backward(delta)
        for p in model.parameters():
            largest[p.name].append(np.abs(p.grad).max())
        optimizer.step()
    return largest, lanes.unpack(model.forward(packed, True, len(x)), len(x))


def check(model, balanced=False, exact=True, lr=0.5, note=""):
    """Hold the prediction against a training: to the bit, or where sums cancel, to rounding."""
    steps, sees = first_steps(model, balanced)
    largest, scores = training(model, balanced, STEPS if exact else 3, lr)
    for name, found in largest.items():
        first = steps[name] or len(found) + 1
        message = (note, name, steps[name], found)
        if exact:
            assert not any(found[: first - 1]), message
            assert all(found[first - 1 :]), message
        else:  # behind a norm rounding is multiplied by 1 / sqrt(eps) = 316, and by that again
            assert max(found[: first - 1], default=0) < 1e-8, message
            assert found[first - 1 :] == [] or max(found[first - 1 :]) > 1e-25, message
            assert first > 1 or found[0] > 1e-8, message  # not yet made of what has just moved
    varies = np.ptp(scores, axis=0).max() > 1e-15
    if exact and (varies or not note or len(note) < 4):  # through all zeros it comes too faint
        assert sees == varies, note


SUBSETS = [set(s) for n in range(5) for s in itertools.combinations(range(4), n)]


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "prelu:channel", "elu", "gelu"])
def test_any_zero_layers_wake_up_when_predicted_or_never(activation, balanced):
    for zero in SUBSETS:
        check(dense_net(activation, zero), balanced, exact=not balanced, note=zero)


@pytest.mark.parametrize(
    ("activation", "zero", "kind"),
    [
        ("relu", {0, 1, 2, 3}, "dead"), ("tanh", {0, 1, 2, 3}, "dead"),
        ("prelu", {0, 1, 2, 3}, "dead"), ("sigmoid", {0, 1, 2, 3}, "tied"),
        ("relu", {3}, "free"), ("tanh", {3}, "free"), ("sigmoid", {3}, "free"),
        ("relu", {0}, "dead"), ("relu", {1}, "dead"), ("relu", {2}, "dead"),
        ("tanh", {0}, "free"), ("tanh", {1}, "free"), ("tanh", {2}, "free"),
        ("tanh", {0, 1}, "blind"), ("tanh", {0, 2}, "blind"), ("tanh", {1, 2}, "blind"),
        ("sigmoid", {0}, "free"), ("sigmoid", {1}, "free"), ("sigmoid", {2}, "free"),
        ("sigmoid", {0, 1}, "tied"), ("sigmoid", {1, 2}, "tied"), ("sigmoid", {0, 2}, "free"),
        ("sigmoid", {1, 3}, "free"), ("relu", set(), "free"),
    ],
)  # fmt: skip
def test_the_table_of_zero_layers(activation, zero, kind):
    model = dense_net(activation, zero)
    found = verdict(model)
    assert found.kind == kind
    last = model.parameters()[-1].name
    if kind == "dead":
        assert [n for n, step in found.first_step.items() if step] == [last]
        assert f"what learns is {last}." in str(found)
    training(model, steps=30)
    ranks = [np.linalg.matrix_rank(p.value) for p in model.parameters() if p.value.ndim > 1]
    if kind == "tied":
        middle = {0, 1, 2, 3} if len(zero) == 4 else zero
        assert all(ranks[i] == 1 for i in middle)
    elif kind == "free":  # the last has as many rows as classes, whose gradients sum to 0
        assert min(ranks[:3]) > 10 and ranks[3] >= CLASSES - 1


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "prelu"])
def test_all_zero_on_balanced_classes_is_dead_even_for_sigmoid(activation):
    found = verdict(dense_net(activation, {0, 1, 2, 3}), balanced=True)
    assert found.kind == "dead" and not any(found.first_step.values())
    assert "nothing learns" in str(found)


@pytest.mark.parametrize("depth", [3, 4, 5, 6])
def test_the_front_descends_one_sigmoid_layer_a_step(depth):
    model = dense_net("sigmoid", set(range(depth)), depth)
    found = verdict(model)
    for layer, name in enumerate(found.weights, 1):
        assert found.first_step[name] == depth - layer + 1
    check(model, note=range(4))
    assert f"reaches the last weight at step {depth}" in str(found)


def constant(activation):
    return dense_net(activation, set(), init="constant:0.1")


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_constant_weights_are_tied(activation):
    found = verdict(constant(activation))
    assert found.kind == "tied" and found.asleep == ()
    assert found.tied == {f"{n}.dense": (12,) for n in (0, 2, 4)}


def images(*layers, shape=(2, 6, 6)):
    return initialized(Sequential(*layers), shape)


def block(init_1="msra", init_2="zeros", end=(), norm=True):
    layers = [Conv2d(6, 3, padding=1, init=init_1, bias=not norm), BatchNorm(), ReLU()]
    layers += [Conv2d(6, 3, padding=1, init=init_2, bias=not norm), BatchNorm(), *end]
    return Residual(Sequential(*(x for x in layers if norm or not isinstance(x, BatchNorm))))


def head(init="msra"):
    return [GlobalAvgPool2d(), Dense(CLASSES, init=init)]


def act(name):
    return activations.from_string(name)


NETS = {
    "conv": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]), act(a), MaxPool2d(2), Conv2d(8, 3, init=z[1]), act(a),
        Flatten(), Dense(CLASSES, init=z[2]),
    ),
    "average pooling": lambda a, z: images(
        Conv2d(6, 3, init=z[0]), act(a), AvgPool2d(2), Conv2d(8, 2, padding=1, init=z[1]), act(a),
        MaxPool2d(3), Flatten(), Dense(CLASSES, init=z[2]),
    ),
    "groups": lambda a, z: images(
        Conv2d(6, 3, groups=2, init=z[0]), act(a), Conv2d(9, 3, groups=3, init=z[1]), act(a),
        *head(z[2]),
    ),
    "norm of images": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]), BatchNorm(), act(a),
        Conv2d(6, 3, padding=1, init=z[1]), BatchNorm(), act(a), *head(z[2]),
    ),
    "norm of images without padding": lambda a, z: images(
        Conv2d(6, 3, init=z[0]), BatchNorm(), act(a), Conv2d(6, 3, init=z[1]), BatchNorm(), act(a),
        *head(z[2]),
    ),
    "norm of flattened images": lambda a, z: images(
        Conv2d(6, 3, init=z[0]), BatchNorm(), act(a), Conv2d(6, 2, init=z[1]), BatchNorm(), act(a),
        Flatten(), Dense(CLASSES, init=z[2]),
    ),
    "norm, average pooling": lambda a, z: images(
        Conv2d(6, 1, init=z[0]), BatchNorm(), act(a), AvgPool2d(2), Conv2d(6, 2, init=z[1]),
        BatchNorm(), act(a), Flatten(), Dense(CLASSES, init=z[2]),
    ),
    "norm of vectors": lambda a, z: images(
        Conv2d(6, 3, init=z[0]), Flatten(), BatchNorm(), act(a), Dense(9, init=z[1]), BatchNorm(),
        act(a), Dense(CLASSES, init=z[2]),
    ),
    "group norm": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]), GroupNorm(2, eps=0.1), act(a),
        Conv2d(6, 3, padding=1, init=z[1]), GroupNorm(3, eps=0.1, affine=False), act(a),
        *head(z[2]),
    ),
    "group norm without padding": lambda a, z: images(
        Conv2d(6, 3, init=z[0]), act(a), GroupNorm(1, eps=0.1), Conv2d(6, 3, init=z[1]), act(a),
        GroupNorm(3, eps=0.1), Flatten(), Dense(CLASSES, init=z[2]),
    ),
    "instance norm": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]), InstanceNorm2d(eps=0.1), act(a),
        Conv2d(6, 3, init=z[1]), InstanceNorm2d(eps=0.1, affine=True), act(a), *head(z[2]),
    ),
    "layer norm": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]), LayerNorm(eps=0.1), act(a),
        Conv2d(6, 3, init=z[1]), act(a), LayerNorm(eps=0.1), *head(z[2]),
    ),
    "layer norm of pixels": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]), LayerNorm2d(eps=0.1), act(a),
        Conv2d(6, 3, init=z[1]), act(a), LayerNorm2d(eps=0.1), *head(z[2]),
    ),
    "layer norm of pixels, batch norm": lambda a, z: images(
        Conv2d(6, 3, init=z[0]), act(a), ZeroPad2d(1), LayerNorm2d(eps=0.1, affine=False),
        Conv2d(6, 3, padding=1, init=z[1]), BatchNorm(eps=0.1), act(a), *head(z[2]),
    ),
    "layer norm of vectors": lambda a, z: images(
        Conv2d(6, 3, init=z[0]), Flatten(), LayerNorm(eps=0.1), act(a), Dense(9, init=z[1]), act(a),
        LayerNorm(eps=0.1, elementwise_affine=False), Dense(CLASSES, init=z[2]),
    ),
    "groups of vectors, norm": lambda a, z: images(
        Flatten(), Dense(12, init=z[0]), GroupNorm(4, eps=0.1), act(a),
        Dense(9, init=z[1]), GroupNorm(3, eps=0.1), act(a), Dense(CLASSES, init=z[2]),
    ),
    "RMS norm": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]), RMSNorm(eps=0.1), act(a), Conv2d(6, 3, init=z[1]),
        act(a), Flatten(), RMSNorm(eps=0.1), Dense(CLASSES, init=z[2]),
    ),
    "layer norm before batch norm": lambda a, z: images(
        Conv2d(6, 3, init=z[0]), act(a), Conv2d(6, 3, padding=1, init=z[1]), LayerNorm(eps=0.1),
        BatchNorm(eps=0.1), act(a), *head(z[2]),
    ),
    "group norm before batch norm": lambda a, z: images(
        Conv2d(6, 3, init=z[0]), act(a), Conv2d(6, 3, padding=1, init=z[1]),
        GroupNorm(2, eps=0.1), BatchNorm(eps=0.1), act(a), *head(z[2]),
    ),
    "vectors, layer norm before batch norm": lambda a, z: images(
        Flatten(), Dense(9, init=z[0]), act(a), Dense(12, init=z[1]), LayerNorm(eps=0.1),
        BatchNorm(eps=0.1), act(a), Dense(CLASSES),
    ),
    "padding before batch norm": lambda a, z: images(
        Conv2d(6, 3, init=z[0]), act(a), ZeroPad2d(1), BatchNorm(eps=0.1), act(a),
        Conv2d(6, 3, init=z[1]), ZeroPad2d((1, 0, 2, 0)), BatchNorm(eps=0.1), act(a), *head(z[2]),
    ),
    "layer scale": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]), act(a),
        Residual(Sequential(Conv2d(6, 3, padding=1, init=z[1]), LayerScale(0.1))), act(a),
        ZeroPad2d((1, 0, 2, -1)), Conv2d(4, 3), LayerScale(0.0), *head(z[2]),
    ),
    "residual": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]), act(a), block(init_2=z[1]), act(a), *head(z[2])
    ),
    "rezero": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]), act(a), block(z[1], "msra", [Scale()], norm=False),
        act(a), *head(z[2]),
    ),
    "fixup": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]), Shift(), act(a),
        block("msra", z[1], [Scale(1), Shift()], norm=False), act(a), Shift(), *head(z[2]),
    ),
    "branches": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]), act(a),
        Branches(
            Sequential(Conv2d(4, 1, init=z[1]), act(a)),
            Sequential(MaxPool2d(3, stride=1, padding=1), Conv2d(5, 3, padding=1), act(a)),
        ),
        Conv2d(4, 3, init=z[2]), act(a), *head(),
    ),
    "branches added": lambda a, z: images(
        Conv2d(6, 3, padding=1), act(a),
        Branches(
            Sequential(Conv2d(4, 1, init=z[0]), act(a)), Conv2d(4, 3, padding=1, init=z[1]),
            Sequential(Conv2d(4, 1, init=z[0]), act(a)), join="add",
        ),
        act(a), *head(z[2]),
    ),
    "transposed": lambda a, z: images(
        Conv2d(6, 3, stride=2, init=z[0]), act(a),
        ConvTranspose2d(4, 3, 2, 1, 1, groups=2, init=z[1]), act(a), *head(z[2]),
    ),
    "transposed before norm": lambda a, z: images(
        ConvTranspose2d(6, 2, 2, init=z[0]), BatchNorm(), act(a),
        ConvTranspose2d(4, 3, padding=1, init=z[1]), BatchNorm(), act(a), *head(z[2]),
    ),
    "upsampled": lambda a, z: images(
        Conv2d(6, 3, init=z[0]), act(a), Upsample(2), Conv2d(4, 3, init=z[1]), act(a),
        *head(z[2]),
    ),
    "norms around upsampling": lambda a, z: images(
        Conv2d(6, 3, init=z[0]), BatchNorm(), act(a), Upsample(2, "bilinear"),
        Conv2d(4, 1, init=z[1]), InstanceNorm2d(eps=0.1), act(a), Upsample((1, 2)), BatchNorm(),
        *head(z[2]),
    ),
    "norms around average pooling": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]), BatchNorm(), act(a),
        AvgPool2d(3, 2, 1, count_include_pad=False), Conv2d(4, 1, init=z[1]), BatchNorm(), act(a),
        AvgPool2d(2, 1, 1), BatchNorm(), *head(z[2]),
    ),
    "squeeze and excitation": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]), act(a),
        Branches(
            Identity(),
            Sequential(
                GlobalAvgPool2d(), Dense(3, init=z[1]), act(a), Dense(6, init=z[2]), act("sigmoid")
            ),
            join="multiply",
        ),
        Conv2d(4, 3), act(a), *head(),
    ),
    "branches multiplied": lambda a, z: images(
        Conv2d(6, 3, padding=1), act(a),
        Branches(
            Sequential(Conv2d(4, 1, init=z[0]), act(a)), Conv2d(4, 3, padding=1, init=z[1]),
            join="multiply",
        ),
        act(a), *head(z[2]),
    ),
    "norm in a dense block": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]),
        Branches(
            Identity(), Sequential(BatchNorm(), act(a), Conv2d(4, 3, padding=1, init=z[1])),
        ),
        BatchNorm(), act(a), *head(z[2]),
    ),
    "skip over scales": lambda a, z: images(
        Conv2d(6, 3, padding=1, init=z[0]), act(a),
        Branches(
            Identity(),
            Sequential(MaxPool2d(2), Conv2d(5, 3, padding=1, init=z[1]), act(a), Upsample(2)),
        ),
        Conv2d(4, 3, padding=1, init=z[2]), act(a), *head(),
    ),
    "vectors of branches": lambda a, z: images(
        Conv2d(6, 3, init=z[0]), act(a),
        Branches(Flatten(), Sequential(GlobalAvgPool2d(), Dense(7, init=z[1]), act(a))),
        Dense(CLASSES, init=z[2]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("name", NETS)
def test_networks_of_all_layers(name, activation, balanced):
    for inits in itertools.product(["msra", "zeros"], repeat=3):
        exact = not balanced and "norm" not in name and name != "residual"
        check(NETS[name](activation, inits), balanced, exact, lr=0.2, note=inits)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("name", ["inception", "densenet7", "unet"])
def test_networks_of_branches(name, activation):
    """All of it at 0, nothing, and each third layer alone."""

    def built(init):
        return initialized(zoo.build(name, CLASSES, activation, init), (1, 8, 8))

    exact = name != "densenet7"  # which has norms
    check(built("zeros"), exact=exact, note="zeros")
    weights = [p.name for p in built("msra").parameters() if p.value.ndim > 1]
    for zero in [None, *weights[::3]]:
        model = built("msra")
        for parameter in model.parameters():
            if parameter.name == zero:
                parameter.value[:] = 0
        check(model, exact=exact, lr=0.02, note=str(zero))


@pytest.mark.parametrize("zero", [None, 0, 1, 2])
def test_softmax_lets_everything_pass(zero):
    """But where units and their dE/dy are equal, as with two layers of zeros: that is not seen."""
    z = ["zeros" if layer == zero else "msra" for layer in range(3)]
    model = images(
        Conv2d(6, 3, padding=1, init=z[0]), Softmax(), LogSoftmax(), Conv2d(5, 3, init=z[1]),
        act("tanh"), Flatten(), Dense(CLASSES, init=z[2]),
    )  # fmt: skip
    check(model, lr=0.2, note=str(zero))


def test_dropout_lets_balanced_batches_move_the_last_weight():
    """It makes constant signals differ from sample to sample, so they do not cancel."""
    parts = [Dense(12, init="zeros"), act("sigmoid")]
    still = initialized(Sequential(*parts, Dense(CLASSES, init="zeros")), (20,))
    parts = [Dense(12, init="zeros"), act("sigmoid"), Dropout(0.5)]
    noisy = initialized(Sequential(*parts, Dense(CLASSES, init="zeros")), (20,))
    assert verdict(still, balanced=True).kind == "dead" != verdict(noisy, balanced=True).kind
    for model in (still, noisy):
        check(model, balanced=True, exact=False)


def test_single_units_count():
    """ReLU: a unit without incoming weights never learns, and what it feeds neither."""
    model = dense_net("relu", set())
    first, second = (p for p in model.parameters()[:4:2])
    first.value[3] = 0
    found = verdict(model)
    assert found.kind == "free"
    for _ in range(2):
        training(model)
        assert not first.value[3].any() and not first.grad[3].any()
        assert not second.grad[:, 3].any()
    second.value[5] = 0
    second.value[:, 5] = 0
    assert verdict(model).kind == "free"


def test_zoo():
    for name in ("lenet5", "resnet8", "plain6", "inception", "densenet7", "unet"):
        for init, kind in (("zeros", "dead"), ("msra", "free"), ("constant:0.1", "tied")):
            model = zoo.build(name, init=init)
            model.initialize((1, 16, 16))
            start = model.state_dict()
            found = verdict(model)
            assert found.kind == kind
            json.dumps(found.as_dict())
            for key, array in model.state_dict().items():
                np.testing.assert_array_equal(array, start[key])


def test_units_of_one_branch_count():
    """A unit of a branch that nothing reads gets no gradient, and its neighbours do."""
    model = NETS["skip over scales"]("relu", ["msra"] * 3)
    after = model.layers[3].own_parameters()["weight"]
    after.value[:, 6 + 2] = 0
    assert verdict(model).kind == "free"
    after.value[:, 6:] = 0  # the whole branch
    check(model, note="read from the second step on")
    model = NETS["skip over scales"]("relu", ["msra", "zeros", "msra"])
    own = model.layers[2].branches[1].layers[1].own_parameters()
    assert verdict(model).asleep == (own["weight"].name,)


class Square(NumpyLayer):
    """A layer that nobody knows."""

    def forward(self, x):
        self._x = x
        return np.square(x)

    def backward(self, dy):
        return 2 * self._x * dy


def test_a_layer_of_another_kind_is_taken_to_pass_everything():
    model = initialized(Sequential(Dense(9), Square(), Dense(CLASSES, init="zeros")), (20,))
    assert verdict(model).kind == "free"
    check(model)


def test_a_root_mean_square_hands_gradients_to_units_that_nothing_reads():
    """And a channel alone, whose mean over the image is taken, gets none."""
    model = initialized(
        Sequential(
            Branches(Dense(3), Dense(3)), RMSNorm(eps=0.1), Dense(CLASSES, init="msra")
        ), (9,)
    )  # fmt: skip
    model.layers[-1].own_parameters()["weight"].value[:, 3:] = 0
    assert set(verdict(model).first_step.values()) == {1}
    check(model)
    norm = InstanceNorm2d(eps=0.1, affine=True)
    model = images(Conv2d(6, 3), norm, Dropout2d(0.5), *head())
    norm.own_parameters()["bias"].value[:] = 1  # of x_hat the mean over the image is 0
    found = verdict(model)
    asleep = {name for name, step in found.first_step.items() if step is None}
    assert asleep == {"0.conv2d.weight", "0.conv2d.bias", "1.instancenorm2d.weight"}
    check(model, exact=False)


def test_copies_are_blind_at_each_pixel_whatever_varies_in_the_image():
    """Equal channels less their mean are 0 at every pixel, and so is what comes back."""
    model = images(
        Conv2d(6, 3, init="constant:0.1"), LayerNorm2d(), act("tanh"), MaxPool2d(2), *head()
    )  # fmt: skip
    model.layers[-1].own_parameters()["weight"].value[:] = np.arange(CLASSES)[:, None]
    found = verdict(model)
    assert found.kind == "blind" and found.collapsed
    asleep = {name for name, step in found.first_step.items() if step is None}
    assert {"0.conv2d.weight", "0.conv2d.bias", "1.layernorm2d.weight"} <= asleep
    check(model, exact=False)
    model.layers[0].own_parameters()["weight"].value[0] *= 2  # one that differs is enough
    assert verdict(model).first_step["0.conv2d.weight"] == 1
    check(model)


@pytest.mark.parametrize("kind", ["blind", "tied"])
def test_copies_that_a_norm_sees_alone_are_blind(kind):
    """Equal numbers less their mean are 0; of an image what varies over the positions is left."""
    if kind == "blind":
        model = images(
            Flatten(), Dense(6, init="constant:0.1"), LayerNorm(), act("tanh"),
            Dense(CLASSES, init="constant:0.1"),
        )  # fmt: skip
    else:
        model = images(
            Conv2d(6, 3, init="constant:0.1"), GroupNorm(2), act("tanh"), MaxPool2d(2),
            *head("constant:0.1"),
        )  # fmt: skip
    assert verdict(model).kind == kind
    model.parameters()[-2].value += np.arange(CLASSES)[:, None]  # so that scores differ
    assert verdict(model).kind == kind
    before = [p.value.copy() for p in model.parameters()[:2]]
    training(model, steps=3)
    moved = max(np.abs(p.value - old).max() for p, old in zip(model.parameters(), before))
    assert (moved < 1e-8) == (kind == "blind")
    if kind == "blind":  # with a word of its own for each unit nothing cancels
        model = images(Flatten(), Dense(6), LayerNorm(), Dense(CLASSES, init="constant:0.1"))
        assert verdict(model).kind == "free"


def test_models_that_cannot_be():
    with pytest.raises(ArgumentError, match="no weights yet"):
        verdict(Sequential(Dense(3)))
    with pytest.raises(ArgumentError, match="no weights to look at"):
        verdict(initialized(Sequential(ReLU()), (3,)))
