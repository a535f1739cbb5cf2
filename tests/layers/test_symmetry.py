"""What zero and constant weights do to training, exactly; and one seed, one result.

Units whose incoming and outgoing weights are equal get equal gradients, for ever. The kernels
sum in an order that keeps such ties to the last bit, so these facts hold as equations.
"""

import numpy as np
import pytest

from minicnn import lanes, optimizers
from minicnn.layers import Dense, activations
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.models import Sequential, zoo
from tests.kernels.conv.test_correlate import with_one_and_two_threads


def data(samples, shape, classes=10, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, *shape)), rng.integers(0, classes, samples)


def train(model, x, labels, steps, lr=0.05, **settings):
    """Full-batch steps of plain SGD; yields the loss after each backward pass."""
    optimizer = optimizers.create("sgd", model.parameters(), lr=lr, **{"momentum": 0, **settings})
    loss, packed = SoftmaxCrossEntropy(), lanes.pack(x, model.dtype)
    for _ in range(steps):
        value, delta = loss(model.forward(packed, True, len(x)), labels)
        model.backward(delta)
        yield value
        optimizer.step()


def built(name, shape, **settings):
    model = zoo.build(name, **settings)
    model.initialize(shape, seed=1)
    return model


def matrices(model):
    """Every weight as out x rest."""
    return [p.value.reshape(len(p.value), -1) for p in model.parameters() if p.value.ndim > 1]


def dense_net(activation, inits):
    """Four weight layers on 20 features, each with its own initializer."""
    layers = []
    for init in inits[:-1]:
        layers += [Dense(12, init=init), activations.from_string(activation)]
    model = Sequential(*layers, Dense(4, init=inits[-1]))
    model.initialize((20,), seed=1, dtype=np.float64)
    return model


def awake(model):
    """The names of the parameters whose gradient is not exactly zero."""
    return {p.name for p in model.parameters() if p.grad.any()}


@pytest.mark.parametrize("activation", ["relu", "tanh", "prelu"])
@pytest.mark.parametrize("name", ["lenet5", "plain6", "mlp:20x3"])
def test_zero_weights_move_nothing_but_the_last_bias(name, activation):
    model = built(name, (1, 16, 16), activation=activation, init="zeros")
    last = model.parameters()[-1]
    start = model.state_dict()
    losses = []
    for value in train(model, *data(50, (1, 16, 16)), steps=20):
        losses.append(value)
        assert awake(model) == {last.name}
    assert losses[0] == pytest.approx(np.log(10), rel=1e-6)
    assert losses[-1] < losses[0]
    changed = {n for n, array in model.state_dict().items() if (array != start[n]).any()}
    assert changed == {last.name}


@pytest.mark.parametrize("activation", ["relu", "tanh", "prelu", "sigmoid"])
def test_zero_weights_on_balanced_classes_move_nothing_at_all(activation):
    """Four classes: the scores' gradient, 1/4 - 1 and 1/4, sums to exactly 0."""
    model = dense_net(activation, ["zeros"] * 4)
    for _ in train(model, data(16, (20,))[0], np.arange(16) % 4, steps=3):
        assert not awake(model) - {"6.dense.weight"}
        assert activation == "sigmoid" or not awake(model)
        assert np.abs(model.parameters()[-2].grad).max() < 1e-16


def test_zero_weights_with_sigmoid_wake_up_one_layer_a_step():
    """The last layer moves first, as sigmoid(0) is not 0; every weight stays of rank 1."""
    model = dense_net("sigmoid", ["zeros"] * 4)
    fronts = []
    for _ in train(model, *data(20, (20,), 4), steps=8, lr=1):
        fronts.append(len({name.split(".")[0] for name in awake(model)}))
    assert fronts[:5] == [1, 2, 3, 4, 4]
    for w in matrices(model)[:-1]:
        np.testing.assert_array_equal(w, np.broadcast_to(w[0], w.shape))
        assert w.any()


@pytest.mark.parametrize(
    ("activation", "zero", "what"),
    [
        ("relu", {3}, "all"), ("tanh", {3}, "all"), ("sigmoid", {3}, "all"),
        ("relu", {0}, "last bias"), ("relu", {1}, "last bias"),
        ("tanh", {1}, "all"), ("tanh", {0, 1}, "blind"), ("tanh", {0, 2}, "blind"),
        ("sigmoid", {1}, "all"), ("sigmoid", {1, 2}, "all"),
    ],
)  # fmt: skip
def test_some_layers_zero(activation, zero, what):
    """What wakes up: all weights, the last bias alone, or only what does not see the input."""
    model = dense_net(activation, ["zeros" if i in zero else "msra" for i in range(4)])
    x, labels = data(20, (20,), 4)
    for _ in train(model, x, labels, steps=6):
        pass
    scores = model.predict(x)
    blind = (scores == scores[0]).all()
    assert blind == (what != "all")
    if what == "all":
        assert awake(model) == {p.name for p in model.parameters()}
    else:
        assert (awake(model) == {"6.dense.bias"}) == (what == "last bias")
    ranks = [np.linalg.matrix_rank(w) for w in matrices(model)]
    if zero == {1, 2} and activation == "sigmoid":
        assert ranks[:3] == [12, 1, 1]  # trains, but both stay of rank 1
    elif what == "all":
        assert ranks[:3] == [12, 12, 12] and ranks[3] >= 3  # its gradient sums to 0 over classes


@pytest.mark.parametrize(
    ("name", "constant", "activation", "lr"),
    [
        ("lenet5", 0.1, "relu", 1e-4), ("lenet5", 0.03, "tanh", 1e-2),
        ("plain6", 0.02, "relu", 1e-2), ("plain6", 0.05, "tanh", 1e-2),
    ],
)  # fmt: skip
def test_constant_weights_train_as_a_net_of_width_one(name, constant, activation, lr):
    """All weights move, and stay of rank 1: their rows are equal to the last bit.

    So are the kernels of all input channels; of the last layer, whose outputs have labels of
    their own, the columns are.
    """
    shape = (1, 28, 28)
    model = built(name, shape, activation=activation, init=f"constant:{constant}")
    losses = list(train(model, *data(50, shape), steps=30, lr=lr))
    assert losses[-1] < losses[0]
    *hidden, last = (p.value for p in model.parameters() if p.value.ndim > 1)
    for w in hidden:
        assert (w != np.float32(constant)).any()
        tied = w[:1] if w.ndim == 2 else w[:1, :1]
        np.testing.assert_array_equal(w, np.broadcast_to(tied, w.shape))
    np.testing.assert_array_equal(last, np.broadcast_to(last[:, :1], last.shape))
    assert len(np.unique(last[:, 0])) > 1


def test_random_weights_stay_of_full_rank():
    model = built("lenet5", (1, 28, 28), init="msra")
    losses = list(train(model, *data(50, (1, 28, 28)), steps=30))
    assert losses[-1] < losses[0]
    for w in matrices(model):
        assert np.linalg.matrix_rank(w) == min(w.shape)


@pytest.mark.parametrize("name", ["lenet5", "resnet8", "plain6"])
def test_same_bits_with_one_and_two_threads(name):
    x, labels = data(40, (1, 16, 16))

    def result():
        model = built(name, (1, 16, 16))
        losses = list(train(model, x, labels, steps=4, momentum=0.9))
        return {"losses": np.array(losses), **model.state_dict()}

    one, two = with_one_and_two_threads(result)
    assert one["losses"][-1] != one["losses"][0]
    for key in one:
        np.testing.assert_array_equal(one[key], two[key], err_msg=key)
