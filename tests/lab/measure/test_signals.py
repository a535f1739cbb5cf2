"""Signals: the twin computes the model's numbers, and the model does not notice."""

import numpy as np
import pytest

from minicnn import Sequential, lanes
from minicnn.data.batches import Batches
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError
from minicnn.lab.measure.signals import Signals, leaves, select
from minicnn.layers import (
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    MaxPool2d,
    PReLU,
    ReLU,
)
from minicnn.losses import MeanSquaredError, SoftmaxCrossEntropy
from minicnn.models import Residual, zoo
from minicnn.training.callbacks.profile import Profile
from tests.training.toys import dense_model, trainer

SHAPE = (2, 6, 6)


def mixed(**settings):
    """Every kind of layer that keeps something: statistics, random numbers, slopes, blocks."""
    body = Sequential(Conv2d(6, 3, padding=1), BatchNorm(), ReLU(), Conv2d(6, 3, padding=1))
    model = Sequential(
        Conv2d(4, 3, padding=1), ReLU(), MaxPool2d(2), Residual(body), ReLU(),
        PReLU(per_channel=True), GlobalAvgPool2d(), Dropout(0.3), Dense(3),
    )  # fmt: skip
    model.initialize(SHAPE, seed=3, **settings)
    return model


def batch(samples=20, seed=0, shape=SHAPE):
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((samples, *shape)).astype(np.float32)
    return images, rng.integers(0, 3, samples)


def recorded(signals, images, labels, **settings):
    found = {}

    def visit(layer, x, y, dx, dy):
        grads = {name: p.grad.copy() for name, p in layer.own_parameters().items()}
        found[layer.name] = (x, y, dx, dy, grads)

    return found, signals.record(images, labels, visit, **settings)


def own_gradients(model, images, labels, loss, training):
    scores = model.forward(lanes.pack(images, model.dtype), training, len(images))
    value, gradient = loss(scores, labels)
    scores = lanes.unpack(scores, len(images))
    model.backward(gradient)
    return value, scores, {p.name: p.grad.copy() for p in model.parameters()}


def test_the_twin_computes_the_models_loss_scores_and_gradients():
    model, (images, labels) = mixed(dtype=np.float64), batch()
    found, result = recorded(Signals(model), images, labels, training=False)
    loss, scores, gradients = own_gradients(model, images, labels, SoftmaxCrossEntropy(), False)
    assert result.loss == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(result.scores, scores, rtol=1e-12, atol=1e-12)
    seen = {f"{n}.{k}": grad for n, (*_, grads) in found.items() for k, grad in grads.items()}
    assert seen.keys() == gradients.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(seen[name], gradient, rtol=1e-9, atol=1e-12, err_msg=name)


def test_every_leaf_is_visited_the_last_first_and_hands_its_output_on():
    model, (images, labels) = mixed(), batch()
    found, result = recorded(Signals(model), images, labels)
    names = [layer.name for layer in leaves(model)]
    parameters = [p.name for p in model.parameters()]
    assert [p.name for p in Signals(model).twin.parameters()] == parameters
    # The shortcut of a block goes back after the body that stands before it.
    assert sorted(found) == sorted(names) and next(iter(found)) == names[-1]
    assert list(found)[-1] == names[0]
    np.testing.assert_array_equal(found["0.conv2d"][0], images)
    np.testing.assert_array_equal(found[names[-1]][1], result.scores)
    for first, second in [("0.conv2d", "1.relu"), ("1.relu", "2.maxpool2d"), ("4.relu", "5.prelu")]:
        np.testing.assert_array_equal(found[first][1], found[second][0])
        np.testing.assert_array_equal(found[first][3], found[second][2])


def test_outputs_are_those_of_the_layers_own_equations():
    found, _ = recorded(Signals(mixed()), *batch())
    x, y, dx, dy, _ = found["1.relu"]
    assert (x < 0).any()
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    np.testing.assert_array_equal(dx, np.where(x > 0, dy, 0))


def test_a_block_sum_does_not_spoil_what_its_body_gave():
    found, _ = recorded(Signals(mixed(dtype=np.float64)), *batch())
    body, shortcut = found["3.residual.0.3.conv2d"][1], found["3.residual.shortcut"][1]
    total = found["4.relu"][0]
    assert np.abs(shortcut).max() > 0.1
    np.testing.assert_allclose(body + shortcut, total, rtol=1e-12)


def test_weight_gradients_follow_from_the_signals():
    found, _ = recorded(Signals(mixed(dtype=np.float64)), *batch())
    x, _, _, dy, grads = found["8.dense"]
    np.testing.assert_allclose(grads["weight"], dy.T @ x, rtol=1e-10, atol=1e-14)


def test_the_twin_follows_parameters_and_running_statistics():
    model, (images, labels) = mixed(dtype=np.float64), batch()
    signals = Signals(model)
    before = recorded(signals, images, labels, training=False)[1].loss
    for parameter in model.parameters():
        parameter.value *= 1.5
    for layer in model.all_layers():
        for array in layer.state().values():
            array += 0.5
    after = recorded(signals, images, labels, training=False)[1].loss
    fresh = own_gradients(model, images, labels, SoftmaxCrossEntropy(), False)[0]
    assert abs(after - before) > 1e-3
    assert after == pytest.approx(fresh, rel=1e-12)


def everything(model):
    """All that a model holds, by name."""
    held = {**model.state_dict()}
    held |= {f"{p.name} grad": p.grad.copy() for p in model.parameters()}
    for layer in model.all_layers():
        for name, value in vars(layer).items():
            if isinstance(value, np.ndarray):
                held[f"{layer.name} {name}"] = value.copy()
    return held


def test_nothing_of_the_model_changes():
    model, (images, labels) = mixed(), batch()
    own_gradients(model, images, labels, SoftmaxCrossEntropy(), True)
    before, keys = everything(model), [set(vars(layer)) for layer in model.all_layers()]
    dropout = model.layers[7].rng.state
    signals = Signals(model)
    recorded(signals, *batch(30, seed=1))
    signals.outputs(next(iter(Batches(Dataset(images, labels), 20))), lambda layer, y: None)
    after = everything(model)
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name], err_msg=name)
    assert keys == [set(vars(layer)) for layer in model.all_layers()]
    assert model.layers[7].rng.state == dropout


def test_what_a_visitor_keeps_stays():
    model = Sequential(Flatten(), Dense(1), ReLU(), Dense(3))  # of one feature: a view is handy
    model.initialize((2, 2, 2), seed=1)
    signals = Signals(model)
    found, _ = recorded(signals, *batch(7, shape=(2, 2, 2)))
    copies = {name: [a.copy() for a in arrays[:4]] for name, arrays in found.items()}
    recorded(signals, *batch(9, seed=5, shape=(2, 2, 2)))
    for name, arrays in copies.items():
        for kept, copied in zip(found[name], arrays):
            np.testing.assert_array_equal(kept, copied)


def test_what_is_seen_at_once_stands_for_the_signals():
    """The outputs are the same, in the order of the forward pass, and no signal is kept."""
    whole, outcome = recorded(Signals(mixed()), *batch())
    seen = []

    def see(layer, y):
        seen.append(layer.name)
        return y.sum()

    found, again = recorded(Signals(mixed()), *batch(), see=see)
    assert seen == list(found)[::-1] and found.keys() == whole.keys()
    assert again.loss == outcome.loss
    for name, (x, total, dx, dy, grads) in found.items():
        assert x is None and dx is None and total == whole[name][1].sum()
        np.testing.assert_array_equal(dy, whole[name][3])
        for key, grad in grads.items():
            np.testing.assert_array_equal(grad, whole[name][4][key])


def test_only_the_chosen_layers_are_visited():
    model, (images, labels) = mixed(), batch()
    found, _ = recorded(Signals(model), images, labels, layers=["4.relu", "8.dense"])
    assert set(found) == {"4.relu", "8.dense"}
    assert [layer.name for layer in select(model, "8.dense")] == ["8.dense"]


def test_outputs_need_no_labels_and_come_first_to_last():
    model, (images, labels) = mixed(), batch()
    names, signals = [], Signals(model)
    parts = Batches(Dataset(images, labels), 20)
    signals.outputs(next(iter(parts)), lambda layer, y: names.append((layer.name, y)))
    assert names[0][0] == "0.conv2d" and names[-1][0] == "8.dense"
    np.testing.assert_allclose(names[-1][1], model.predict(images), rtol=1e-5, atol=1e-6)


def test_the_loss_may_be_another_and_stays_the_owners():
    model, (images, labels) = mixed(dtype=np.float64), batch()
    loss = MeanSquaredError()
    value, _, _ = own_gradients(model, images, labels, loss, False)
    kept, content = loss._kept, loss._kept.copy()
    result = recorded(Signals(model, loss), *batch(20, seed=4), training=False)[1]
    assert loss._kept is kept and np.array_equal(kept, content)
    result = recorded(Signals(model, loss), images, labels, training=False)[1]
    assert result.loss == pytest.approx(value, rel=1e-12)


def test_the_loss_of_a_sum_is_shown_as_the_mean():
    model, (images, labels) = mixed(dtype=np.float64), batch()
    results = [
        recorded(Signals(model, SoftmaxCrossEntropy(reduction=r)), images, labels, training=False)
        for r in ("mean", "sum")
    ]
    assert results[0][1].loss == pytest.approx(results[1][1].loss, rel=1e-13)


def test_a_twin_in_double_precision():
    model, (images, labels) = mixed(), batch()
    single, double = (recorded(Signals(model, dtype=d), images, labels) for d in (None, np.float64))
    assert single[0]["0.conv2d"][1].dtype == np.float32
    assert double[0]["0.conv2d"][1].dtype == np.float64
    np.testing.assert_allclose(single[0]["0.conv2d"][1], double[0]["0.conv2d"][1], atol=1e-5)


def test_what_single_precision_alone_can_do_is_done_otherwise_in_double():
    model = Sequential(Conv2d(8, 3, algorithm="winograd"), GlobalAvgPool2d(), Dense(3))
    model.initialize(SHAPE)
    images, labels = batch()
    losses = [Signals(model, dtype=d).record(images, labels, print, []).loss for d in "fd"]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert model.layers[0].algorithm == "winograd"


def test_a_watcher_of_the_model_is_not_copied():
    run = trainer(dense_model(8))
    profile = Profile()
    profile.on_train_begin(run)  # the model's layers now have clocks around them
    signals = Signals(run.model)
    images, labels = batch(shape=(1, 4, 4))
    recorded(signals, images, labels)
    assert all(not hasattr(layer, "_x") for layer in run.model.all_layers())
    assert profile._seconds == {}


def test_a_visitor_that_fails_leaves_the_twin_usable():
    signals = Signals(mixed())

    def fail(*arguments):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        signals.record(*batch(), fail)
    found, _ = recorded(signals, *batch())
    assert len(found) == len(leaves(signals.model))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda s: s.record(*batch(), print, layers=["8.dens"]), "Did you mean '8.dense'"),
        (lambda s: s.record(batch()[0], batch(19)[1], print), "a label for each of the 20"),
        (lambda s: s.record(batch()[0][:, :1], batch()[1], print), r"expected an array of shape"),
        (lambda s: s.record(batch()[0].astype(int), batch()[1], print), "normalize them"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ArgumentError, match=words):
        call(Signals(mixed()))


def test_a_model_without_weights_yet():
    with pytest.raises(ArgumentError, match="no weights yet"):
        Signals(zoo.build("lenet5"))
