import numpy as np
import pytest

from minicnn import Sequential, lanes
from minicnn.errors import ArgumentError
from minicnn.lab.measure.signals import Signals
from minicnn.lab.theory.prediction import predict, second_moments
from minicnn.layers import Conv2d, Dense, Flatten, NumpyLayer, ReLU, Tanh
from minicnn.layers.scalars import Scale
from minicnn.models import zoo
from tests import alone

N = 16


def images(size=8, channels=1):
    """Smooth images with a common part, as natural ones have, of second moment about 1."""
    rng = np.random.default_rng(0)
    coarse = rng.standard_normal((N, channels, size // 2, size // 2)) + 0.5
    return np.kron(coarse, np.ones((2, 2))).astype(np.float32)


LABELS = np.arange(N) % 10


def model(name, activation="relu", init="msra", seed=0, size=8):
    net = zoo.build(name, activation=activation, init=init)
    net.initialize((1, size, size), seed=seed)
    return net


def measured(net, x):
    """Second moments of outputs, deltas and weight gradients by the layer's name."""
    found = {"output": {}, "delta": {}, "gradient": {}}

    def visit(layer, inputs, y, dx, dy):
        found["output"][layer.name] = np.square(y, dtype=np.float64).mean()
        found["delta"][layer.name] = np.square(dy, dtype=np.float64).mean()
        if isinstance(layer, Conv2d | Dense):
            grad = layer.own_parameters()["weight"].grad
            found["gradient"][layer.name] = np.square(grad, dtype=np.float64).mean()

    Signals(net).record(x, LABELS, visit)
    return found


@pytest.mark.parametrize(
    "name, activation, init",
    [
        ("plain6", "relu", "msra"), ("plain6", "tanh", "orthogonal"), ("lenet5", "tanh", "xavier"),
        ("mlp:60x3", "sigmoid", "lecun"), ("mlp:60x3", "elu", "normal:0.05"),
        ("lenet5", "leaky-relu:0.2", "msra"), ("resnet8", "relu", "msra"),
    ],
)  # fmt: skip
def test_real_networks_lie_within_the_interval(name, activation, init):
    size = 12 if name == "lenet5" else 8
    x, scores = images(size), []
    predictions = predict(model(name, activation, init, size=size), x, LABELS)
    for seed in range(4):
        seen = measured(model(name, activation, init, seed, size), x)
        for p in predictions:
            if p.name in seen["output"]:
                scores += [p.output.z(seen["output"][p.name]), p.delta.z(seen["delta"][p.name])]
            if p.name in seen["gradient"]:
                scores.append(p.gradients["weight"].z(seen["gradient"][p.name]))
    scores = np.array(scores)
    assert np.mean(np.abs(scores) > 4) <= 0.01
    # no wider than needed, and no narrower
    assert 0.4 < np.sqrt(np.mean(scores**2)) < 1.8


@pytest.mark.parametrize("activation, init", [("relu", "msra"), ("tanh", "xavier")])
def test_means_over_seeds_are_met_far_below_one_draws_interval(activation, init):
    x, seeds = images(), 40
    predictions = predict(model("mlp:60x2", activation, init), x, LABELS)
    seen = [measured(model("mlp:60x2", activation, init, seed), x) for seed in range(seeds)]
    for of in ("output", "delta"):
        expected = second_moments(predictions, of)
        for name, moment in expected.items():
            draws = np.array([s[of][name] for s in seen if name in s[of]])
            # orders above the first in 1 / width are left out: 5 % at this width
            assert abs(draws.mean() / moment.value - 1) < 4 * moment.error / seeds**0.5 + 0.05


def test_vgg_b_with_a_fixed_deviation_loses_its_gradient():
    """He et al., ICCV 2015, §2.2: N(0, .01²) lets the deviation of the gradient shrink by
    5.9 · 4.2² · 2.9² · 2.1⁴ = 1.7e4 from conv10 to conv2, beside their initialization."""
    moments = {}
    for init in ("normal:0.01", "msra:fan_out"):
        layers = []
        for channels in (64, 64, 128, 128, 256, 256, 512, 512, 512, 512):
            layers += [Conv2d(channels, 3, padding=1, init=init), ReLU()]
        net = Sequential(*layers, Flatten(), Dense(10, init="normal:0.01"))
        net.initialize((1, 2, 2), seed=0)
        x = np.random.default_rng(0).standard_normal((4, 1, 2, 2)).astype(np.float32)
        delta = second_moments(predict(net, x), "delta")
        moments[init] = delta["1.relu"].value / delta["18.conv2d"].value
    ratio = (moments["msra:fan_out"] / moments["normal:0.01"]) ** 0.5
    exact = np.prod([(2 / (9 * d)) ** 0.5 / 0.01 for d in (64, 128, 128, 256, 256, *[512] * 4)])
    assert ratio == pytest.approx(exact, rel=0.01)
    assert abs(ratio / 1.7e4 - 1) < 0.05


def test_glorot_deltas_fade_while_weight_gradients_stay_flat():
    width = 400
    layers = []
    for _ in range(5):
        layers += [Dense(width, init=f"uniform:-{width**-0.5},{width**-0.5}"), Tanh()]
    net = Sequential(Flatten(), *layers, Dense(10, init="xavier"))
    net.initialize((1, 20, 20), seed=0)
    x = np.random.default_rng(0).standard_normal((N, 1, 20, 20)).astype(np.float32)
    predictions = predict(net, x, LABELS)
    deltas = [p.delta.value for p in predictions if p.kind == "Dense"][:-1]
    ratios = np.sqrt(np.divide(deltas[:-1], deltas[1:]))
    # Lower down tanh bends: its slope is below 1.
    assert abs(ratios[-1] - 3**-0.5) < 0.005 and (np.diff(ratios) > 0).all()
    assert abs(np.prod(ratios[1:]) ** (1 / 3) - 3**-0.5) < 0.03
    weights = [p.gradients["weight"].value for p in predictions if p.kind == "Dense"][1:-1]
    assert (max(weights) / min(weights)) ** 0.5 < 1.2


def test_zeros_promise_zero_and_only_the_last_bias_learns():
    predictions = predict(model("mlp:20,20", init="zeros"), images(), LABELS)
    gradients = [p.gradients for p in predictions if p.gradients]
    assert all(g["weight"].value == 0 for g in gradients)
    assert [g["bias"].value > 0 for g in gradients] == [False, False, True]
    assert all(p.output.value == 0 for p in predictions[1:])


def test_weights_with_a_mean_promise_nothing_from_there_on():
    net = Sequential(Flatten(), Dense(5, init="xavier"), ReLU(), Dense(10, init="constant:0.1"))
    net.initialize((1, 8, 8), seed=0)
    predictions = predict(net, images(), LABELS)
    assert list(second_moments(predictions)) == ["0.flatten", "1.dense", "2.relu"]
    assert second_moments(predictions, "delta") == second_moments(predictions, "gradient") == {}
    assert predictions[3].output.z(5.0) == 0


def test_every_layer_has_its_record_in_order():
    net = model("resnet8")
    predictions = predict(net, images(), LABELS)
    assert [p.name for p in predictions] == [layer.name for layer in net.all_layers()]
    with_weights = [p.name for p in predictions if "weight" in p.gradients]
    assert "5.residual.shortcut" in with_weights and "bias" not in predictions[0].gradients


def test_the_weights_are_not_looked_at():
    first, second = (predict(model("plain4", seed=seed), images(), LABELS) for seed in (0, 1))
    assert first == second


def test_labels_matter_for_sums_over_samples_only():
    drawn, given = predict(model("mlp:20"), images()), predict(model("mlp:20"), images(), LABELS)
    assert drawn[-1].delta.value == pytest.approx(given[-1].delta.value, rel=0.1)
    alike = predict(model("mlp:20"), images(), 0 * LABELS)
    assert alike[-1].gradients["bias"].value > 3 * given[-1].gradients["bias"].value


class Odd(NumpyLayer):
    def forward(self, x):
        return x

    def backward(self, dy):
        return dy


def test_what_cannot_be_is_refused():
    with pytest.raises(ArgumentError, match="initialize"):
        predict(zoo.build("lenet5"), images())
    net = model("mlp:20")
    with pytest.raises(ArgumentError, match=r"\(N, 1, 8, 8\)"):
        predict(net, images(10))
    with pytest.raises(ArgumentError, match="16 images came with 3 labels"):
        predict(net, images(), LABELS[:3])
    with pytest.raises(ArgumentError, match="from 0 to 9"):
        predict(net, images(), LABELS + 9)
    with pytest.raises(ArgumentError, match="unknown signal"):
        second_moments([], "loss")
    image = Sequential(Conv2d(3, 3))
    image.initialize((1, 8, 8))
    with pytest.raises(ArgumentError, match="vector of scores"):
        predict(image, images())


def constant_net(bias):
    layers = [Dense(400, init="lecun", bias_init=f"constant:{bias}"), ReLU()]
    net = Sequential(Flatten(), *layers, Dense(400, bias_init=f"constant:{bias}"), ReLU(), Dense(5))
    return net


@pytest.mark.parametrize("bias", [-0.5, 0.0, 0.5])
def test_the_mean_of_a_bias_is_counted(bias):
    x = images()
    net, ratios = constant_net(bias), []
    net.initialize(x.shape[1:])
    predictions = {p.name: p for p in predict(net, x, LABELS % 5)}
    for seed in range(6):
        net = constant_net(bias)
        net.initialize(x.shape[1:], seed=seed, fuse=False, input_gradient=True)
        found, y = [], lanes.pack(x)
        for layer in net.layers:
            y = alone.forward(layer, y)
            moment = np.square(lanes.unpack(y, N), dtype=np.float64).mean()
            found.append(moment / predictions[layer.name].output.value)
        ratios.append(found[1:])
    np.testing.assert_allclose(np.mean(ratios, axis=0), 1, atol=0.12)


def test_square_orthogonal_weights_keep_delta_whatever_the_depth():
    layers = [Dense(64, init="orthogonal") for _ in range(60)]
    net = Sequential(Flatten(), *layers, Dense(10))
    net.initialize((1, 8, 8))
    deltas = [p.delta.value for p in predict(net, images(), LABELS)][1:-1]
    np.testing.assert_allclose(deltas, deltas[-1], rtol=1e-9)


def test_delta_orthogonal_convolutions_keep_what_is_known_of_the_signal():
    layers = [Conv2d(16, 3, padding=1, init="delta-orthogonal") for _ in range(20)]
    net = Sequential(*layers, Flatten(), Dense(10))
    net.initialize((16, 8, 8))
    found = predict(net, images(channels=16), LABELS)[:20]
    assert max(p.output.error for p in found) == pytest.approx(found[0].output.error, abs=1e-3)


def test_gates_scale_delta_on_its_way_back():
    # Scores are as large with a gate of 2 and weights of half the size behind it.
    halved = Dense(10, init="variance-scaling:0.25")
    net = Sequential(Flatten(), Dense(30), Scale(2.0), halved)
    net.initialize((1, 8, 8))
    plain = Sequential(Flatten(), Dense(30), Dense(10, init="variance-scaling:1"))
    plain.initialize((1, 8, 8))
    gated, ungated = (predict(model, images(), LABELS)[1].delta.value for model in (net, plain))
    assert gated == pytest.approx(ungated)
