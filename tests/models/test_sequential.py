"""Sequential: seeds, names, the two passes, predictions, the summary and saved states."""

import re

import numpy as np
import pytest

from minicnn import gradcheck, lanes
from minicnn.errors import ArgumentError
from minicnn.layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool2d,
    PReLU,
    ReLU,
    Tanh,
)
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.models import Residual, Sequential, zoo
from tests.kernels.conv.test_correlate import DTYPES


def small(activation=ReLU, **settings):
    """A convolution, a block, a nested Sequential and a dense layer, for (2, 8, 6)."""
    return Sequential(
        Conv2d(4, 3, padding=1, **settings), activation(), MaxPool2d(2),
        Residual(Sequential(Conv2d(4, 3, padding=1, bias=False), BatchNorm(), activation())),
        Sequential(Flatten(), Dense(9), activation(), Dropout(0.2)),
        Dense(3),
    )  # fmt: skip


def initialized(model, seed=0, shape=(2, 8, 6), **settings):
    model.initialize(shape, seed, **settings)
    return model


def images(samples, shape=(2, 8, 6), seed=1, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=(samples, *shape)).astype(dtype)


def step(model, x, labels):
    """Loss, dE/dx and all gradients of a training step; copies."""
    scores = model.forward(lanes.pack(x, model.dtype), True, len(x))
    value, delta = SoftmaxCrossEntropy()(scores, labels)
    dx = model.backward(delta)
    gradients = {p.name: p.grad.copy() for p in model.parameters()}
    return value, None if dx is None else lanes.unpack(dx, len(x)), gradients


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


# Names, shapes and seeds.


def test_names_say_where_a_parameter_stands():
    model = initialized(small())
    assert model.output_shape == (3,)
    assert [p.name for p in model.parameters()] == [
        "0.conv2d.weight", "0.conv2d.bias",
        "3.residual.0.0.conv2d.weight",
        "3.residual.0.1.batchnorm.weight", "3.residual.0.1.batchnorm.bias",
        "4.1.dense.weight", "4.1.dense.bias", "5.dense.weight", "5.dense.bias",
    ]  # fmt: skip
    names = [layer.name for layer in model.all_layers()]
    assert names[:4] == ["0.conv2d", "1.relu", "2.maxpool2d", "3.residual"]
    assert not any(isinstance(layer, Sequential) for layer in model.all_layers())


@pytest.mark.parametrize("name", ["lenet5", "resnet14", "plain7", "mlp:20x3"])
def test_a_seed_gives_the_same_weights_again_and_another_seed_others(name):
    first, again, other = (
        initialized(zoo.build(name), seed, (1, 12, 12)).state_dict() for seed in (3, 3, 4)
    )
    assert_same(again, first)
    for parameter in first:
        if parameter.endswith("weight") and first[parameter].ndim > 1:
            assert (first[parameter] != other[parameter]).all()


def test_a_generator_may_be_the_seed():
    one, other = (initialized(small(), seed) for seed in (5, np.random.default_rng(5)))
    assert_same(one.state_dict(), other.state_dict())


def test_initialize_draws_everything_anew():
    model = initialized(small())
    start = model.state_dict()
    step(model, images(20), np.arange(20) % 3)  # moves running averages
    for parameter in model.parameters():
        parameter.value += 1
    assert_same(initialized(model).state_dict(), start)


@pytest.mark.parametrize(
    "change",
    [
        {"layer": Conv2d(4, 3, init="zeros"), "changed": {"1.conv2d.weight"}},
        {"layer": Conv2d(4, (3, 3), bias=False), "changed": {"1.conv2d.bias"}},
        {"layer": Residual(Conv2d(4, 3), AvgPool2d(3, 1)), "changed": None},
        {"layer": Conv2d(4, 3), "changed": set(), "more": [ReLU(), Dense(7)]},
    ],
)
def test_a_change_in_one_layer_leaves_the_numbers_of_the_others(change):
    def state(layer, more=()):
        model = Sequential(
            Conv2d(4, 3), layer, Residual(Conv2d(5, 1)), Flatten(), Dense(6), *more
        )  # fmt: skip
        return initialized(model).state_dict()

    plain, changed = state(Conv2d(4, 3)), state(change["layer"], change.get("more", ()))
    for name in plain:
        if not name.startswith("1."):
            np.testing.assert_array_equal(changed[name], plain[name], err_msg=name)
    if change["changed"] is not None:
        inside = {name for name in plain if name.startswith("1.")}
        same = {n for n in inside & set(changed) if np.array_equal(plain[n], changed[n])}
        assert inside - same == change["changed"]


def test_both_dtypes_start_from_the_same_numbers():
    single, double = (initialized(small(), dtype=dtype).state_dict() for dtype in DTYPES)
    for name in single:
        np.testing.assert_array_equal(single[name], double[name].astype(single[name].dtype))


# The two passes.


def test_nested_layers_do_what_a_flat_list_does():
    def layers():
        return [Conv2d(3, 3), ReLU(), MaxPool2d(2), Flatten(), Dense(4), Tanh(), Dense(3)]

    flat = initialized(Sequential(*layers()))
    parts = layers()
    deep = initialized(Sequential(Sequential(*parts[:2], Sequential(parts[2])), *parts[3:5],
                                  Sequential(*parts[5:])))  # fmt: skip
    for mine, theirs in zip(deep.parameters(), flat.parameters(), strict=True):
        mine.value[...] = theirs.value
    x, labels = images(20), np.arange(20) % 3
    np.testing.assert_array_equal(deep.predict(x), flat.predict(x))
    for mine, theirs in zip(step(deep, x, labels)[2].values(), step(flat, x, labels)[2].values()):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    "make",
    [
        small,
        lambda: Sequential(Flatten(), Dense(3)),
        lambda: Sequential(ReLU(), Conv2d(2, 3), Flatten(), Dense(3)),
        lambda: Sequential(Sequential(Conv2d(2, 3)), ReLU(), Flatten(), Dense(3)),
        lambda: Sequential(Residual(Conv2d(3, 3, padding=1)), Flatten(), Dense(3)),
    ],
)
def test_the_first_layers_dx_is_skipped_unless_asked_for(make):
    x, labels = images(20), np.arange(20) % 3
    _, nothing, gradients = step(initialized(make()), x, labels)
    _, dx, same = step(initialized(make(), input_gradient=True), x, labels)
    assert nothing is None and dx.shape == x.shape and dx.any()
    assert_same(gradients, same)


@pytest.mark.parametrize("activation", [Tanh, PReLU])
def test_gradients_of_a_whole_model_and_its_loss_are_difference_quotients(activation):
    model = Sequential(
        Conv2d(3, 3), activation(), AvgPool2d(2), Residual(Conv2d(4, 1, bias=False)),
        BatchNorm(), activation(), Flatten(), Dense(3),
    )  # fmt: skip
    initialized(model, dtype=np.float64, input_gradient=True)
    x, labels = images(6, dtype=np.float64), np.arange(6) % 3

    def value():
        scores = model.forward(lanes.pack(x, np.float64), True, len(x))
        return SoftmaxCrossEntropy()(scores, labels)[0]

    _, dx, gradients = step(model, x, labels)
    arrays = {"input": x} | {p.name: p.value for p in model.parameters()}
    report = gradcheck.check_function(value, arrays, {"input": dx} | gradients)
    assert report.worst < (1e-7 if activation is Tanh else 1e-6), report


# Predictions.


@pytest.mark.parametrize("batch_size", [1, 15, 16, 17, 256])
def test_predictions_depend_neither_on_the_batch_size_nor_on_the_neighbours(batch_size):
    model = initialized(small())
    step(model, images(40), np.arange(40) % 3)
    x = images(37)
    whole = model.predict(x, batch_size=37)
    scores = model.predict(x, batch_size)
    assert scores.shape == (37, 3) and scores.dtype == np.float32
    np.testing.assert_array_equal(scores, whole)
    np.testing.assert_array_equal(model.predict(x[5:6], batch_size), whole[5:6])
    before = model.state_dict()
    assert model.predict(x[:0], batch_size).shape == (0, 3)
    assert_same(model.state_dict(), before)


def test_predictions_are_the_forward_pass_in_evaluation():
    model, x = initialized(small(), dtype=np.float64), images(20)
    expected = lanes.unpack(model.forward(lanes.pack(x, np.float64), False, 20), 20)
    np.testing.assert_array_equal(model.predict(x), expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            np.zeros((3, 2, 8, 6), np.uint8),
            r"floating-point images, got uint8: normalize them.*\(images / 255 - mean",
        ),
        (np.zeros((3, 2, 8, 6), bool), "floating-point images, got bool"),
        (np.zeros((3, 2, 6, 8)), r"shape \(N, 2, 8, 6\), got \(3, 2, 6, 8\)"),
        (np.zeros((2, 8, 6)), r"shape \(N, 2, 8, 6\), got \(2, 8, 6\).*images\[None\]"),
        (np.zeros((3, 8, 6, 2)), r"got \(3, 8, 6, 2\).*images.transpose\(0, 3, 1, 2\)"),
        (np.ma.masked_equal(np.zeros((3, 2, 8, 6)), 0), "masked"),
        (np.float32(1), r"shape \(N, 2, 8, 6\), got \(\)"),
    ],
)
def test_images_that_do_not_fit(given, message):
    with pytest.raises(ArgumentError, match=message):
        initialized(small()).predict(given)


@pytest.mark.parametrize("batch_size", [0, -1, 1.5])
def test_batch_sizes_that_cannot_be(batch_size):
    with pytest.raises(ArgumentError, match="batch_size must be .*at least 1, got"):
        initialized(small()).predict(images(3), batch_size)


def test_a_model_without_weights():
    with pytest.raises(ArgumentError, match=r"no weights yet: call initialize\(input_shape\)"):
        small().predict(images(1))


# The summary.


@pytest.mark.parametrize("init", ["msra", "xavier:uniform", "truncated-normal:0.1", "zeros"])
def test_summary_shows_each_initializer_with_the_deviation_that_the_weights_have(init):
    model = initialized(zoo.build("lenet5", init=init), shape=(1, 28, 28))
    found = re.findall(r"(weight|bias): (\S+) \(([\d.e+-]+)\)", model.summary())
    assert len(found) == len(model.parameters()) == 10
    for (name, text, std), parameter in zip(found, model.parameters()):
        assert parameter.name.endswith(name)
        assert text.startswith("zeros" if name == "bias" else init.split(":")[0])
        mean_square = np.mean(parameter.value.astype(np.float64) ** 2)
        error = 5 * np.sqrt(2 / parameter.size) + 1e-3  # sampling, and four digits shown
        assert abs(mean_square - float(std) ** 2) <= error * float(std) ** 2, parameter


def test_summary_lists_layers_shapes_and_counts():
    model = initialized(small())
    lines = model.summary().splitlines()
    for layer in model.all_layers():
        (line,) = [line for line in lines if re.match(rf"{re.escape(layer.name)}( |$)", line)]
        assert layer.describe() in line and "x".join(map(str, layer.output_shape)) in line
        own = sum(p.size for p in layer.own_parameters().values())
        assert not own or re.search(rf" {own} ", line)
    total = sum(p.value.size for p in model.parameters())
    assert lines[-1].split() == ["total", str(total)]


# Saved states.


def test_a_state_that_is_saved_comes_back():
    trained, other = initialized(small()), initialized(small(), seed=1)
    step(trained, images(40), np.arange(40) % 3)
    saved = trained.state_dict()
    assert "3.residual.0.1.batchnorm.running_var" in saved
    assert len(saved) == len(trained.parameters()) + 2
    x = images(20, seed=2)
    scores = trained.predict(x)
    other.load_state_dict(saved)
    np.testing.assert_array_equal(other.predict(x), scores)
    assert_same(other.state_dict(), saved)
    # Copies: what is changed afterwards changes neither side.
    for array in saved.values():
        array[...] = 7
    np.testing.assert_array_equal(other.predict(x), scores)
    other.parameters()[0].value += 1
    np.testing.assert_array_equal(trained.predict(x), scores)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.pop("5.dense.bias"), "not in both .*: 5.dense.bias"),
        (lambda s: s.update(more=np.zeros(1)), "not in both .*: more"),
        (lambda s: s.update({"5.dense.bias": np.zeros(4)}), r"5.dense.bias: .*\(3,\).*\(4,\)"),
        (lambda s: s.update({"5.dense.bias": np.zeros((3, 1))}), r"5.dense.bias: .*\(3, 1\)"),
        (lambda s: s.update({"5.dense.bias": np.array(list("abc"))}), "5.dense.bias"),
        (lambda s: s.update({"5.dense.bias": [1.0, 2.0]}), "5.dense.bias"),
        (lambda s: s.clear(), "not in both"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(spoil, message):
    model = initialized(small())
    before, state = model.state_dict(), initialized(small(), seed=1).state_dict()
    spoil(state)
    with pytest.raises(ArgumentError, match=message):
        model.load_state_dict(state)
    assert_same(model.state_dict(), before)


# What cannot be a model.


@pytest.mark.parametrize("given", [3, None, "relu", ReLU, [ReLU()]])
def test_what_is_no_layer(given):
    with pytest.raises(ArgumentError, match="Sequential takes layers, got"):
        Sequential(Dense(3), given)


@pytest.mark.parametrize(
    "twice",
    [
        lambda layer: Sequential(layer, Dense(3), layer),
        lambda layer: Sequential(layer, Dense(3), Sequential(layer)),
        lambda layer: Sequential(Sequential(layer), Sequential(Sequential(layer))),
        lambda layer: Sequential(layer, Residual(Sequential(Dense(3), layer))),
        lambda layer: Sequential(Residual(Dense(3), shortcut=layer), layer),
        lambda layer: Sequential(Residual(layer, shortcut=layer)),
    ],
)
def test_a_layer_in_two_places(twice):
    """Also where blocks are nested: the second place would overwrite what the first has kept."""
    with pytest.raises(ArgumentError, match="one place only: make a second one"):
        twice(ReLU()).initialize((3,))


def test_an_error_names_the_layer_where_it_stands():
    model = Sequential(Conv2d(4, 3), Residual(Sequential(ReLU(), Conv2d(4, 9))), Flatten())
    with pytest.raises(ArgumentError, match=r"^1.residual.0.1.conv2d: .*\(4, 6, 6\)"):
        model.initialize((1, 8, 8))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: x.astype(np.float64),
        lambda x: x[:, :, ::2],
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[..., :8],
        lambda x: x[0],
    ],
    ids=["dtype", "shape", "not contiguous", "lanes", "dimensions"],
)
def test_arrays_that_the_kernels_cannot_read(spoil):
    """They check nothing: what does not fit would be read and written out of bounds."""
    model = initialized(Sequential(Conv2d(3, 3, padding=1), ReLU()))
    x = lanes.pack(np.zeros((20, *model.input_shape), np.float32))
    scores = model.forward(x, True, 20)
    with pytest.raises(ArgumentError, match="expected samples in lanes, float32"):
        model.forward(spoil(x), True, 20)
    with pytest.raises(ArgumentError, match="expected samples in lanes, float32"):
        model.backward(spoil(np.zeros_like(scores)))


@pytest.mark.parametrize("columns", [80, 100])
def test_the_summary_fits_the_terminal(columns, monkeypatch):
    model = initialized(
        Sequential(
            Conv2d(4, 3, init="truncated-normal:0.0123456,mean=0.0123456"),
            Conv2d(4, (3, 2), stride=(1, 2), padding=(2, 1), dilation=(2, 1), groups=4),
        )
    )
    monkeypatch.setenv("COLUMNS", str(columns))
    text = model.summary()
    assert max(map(len, text.splitlines())) <= columns
    for word in ("truncated-normal:0.0123456,mean=0.0123456", "4x6x4", "total"):
        assert word in text


@pytest.mark.parametrize("given", [dict.items, lambda state: list(state.items()),
                                   lambda state: (pair for pair in state.items())])  # fmt: skip
def test_a_state_may_be_given_as_pairs(given):
    model, state = initialized(small()), initialized(small(), seed=1).state_dict()
    model.load_state_dict(given(state))
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


@pytest.mark.parametrize("given", [None, 5, ["0.weight"], lambda: {}])
def test_a_state_that_is_none(given):
    with pytest.raises(ArgumentError, match="a state is a dict of arrays by name"):
        initialized(small()).load_state_dict(given)
