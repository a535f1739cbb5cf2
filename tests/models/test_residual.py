"""Residual blocks: the sum of two ways, and the shortcut that is made where one is needed."""

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.layers import Conv2d, Dense, Flatten, MaxPool2d, ReLU, Tanh
from minicnn.models import Residual, Sequential
from tests.kernels.conv.test_correlate import assert_close
from tests.layers.cases import Case, run


def body():
    return Sequential(Conv2d(3, 3, padding=1), Tanh())


def test_identity_adds_the_input():
    whole, alone = Case(lambda: Residual(body()), (3, 4, 5)), Case(body, (3, 4, 5))
    x, delta = whole.batch(20)
    model, block = whole.built(), alone.built()
    for mine, theirs in zip(model.parameters(), block.parameters(), strict=True):
        mine.value[...] = theirs.value
    found, expected = run(model, x, delta), run(block, x, delta)
    np.testing.assert_array_equal(found["y"], expected["y"] + x)
    np.testing.assert_array_equal(found["dx"], expected["dx"] + delta)


@pytest.mark.parametrize(
    ("size", "stride"), [((4, 4), 1), ((5, 4), 2), ((7, 9), (2, 3)), ((6, 6), (1, 2))]
)
def test_projection_has_the_bodys_channels_and_size_and_no_bias(size, stride):
    model = Sequential(Residual(Conv2d(4, 3, padding=1, stride=stride)))
    model.initialize((2, *size), seed=1, dtype=np.float64, input_gradient=True)
    weight, bias, projection = model.parameters()
    assert projection.value.shape == (4, 2, 1, 1) and projection.decay
    assert projection.name == "0.residual.shortcut.weight"
    weight.value[...] = bias.value[...] = 0
    x = np.random.default_rng(0).normal(size=(5, 2, *size))
    rows, columns = (stride, stride) if isinstance(stride, int) else stride
    expected = np.einsum("oc,ncij->noij", projection.value[:, :, 0, 0], x[:, :, ::rows, ::columns])
    assert_close(model.predict(x), expected, 1e-14)


def test_given_shortcut_takes_the_place_of_the_identity():
    case = Case(lambda: Residual(Dense(6), shortcut=Dense(6, bias=False)), (6,))
    x, delta = case.batch(20)
    model = case.built()
    weight, bias, around = (p.value for p in model.parameters())
    found = run(model, x, delta)
    assert_close(found["y"], x @ (weight + around).T + bias, 1e-12)
    assert_close(found["dx"], delta @ (weight + around), 1e-12)


def test_projection_draws_by_its_own_initializer_and_from_its_own_generator():
    """Another body leaves the shortcut's numbers alone, and the other way round."""
    plain, zero = (
        Case(lambda init=init: Residual(Conv2d(4, 1, init=init)), (2, 3, 3)).make()
        for init in ("msra", "zeros")
    )
    for layer in (plain, zero):
        layer.build((2, 3, 3), np.random.default_rng(0))
    np.testing.assert_array_equal(plain.parameters()[2].value, zero.parameters()[2].value)
    made = Residual(Conv2d(4, 1), init="constant:0.5")
    made.build((2, 3, 3), np.random.default_rng(0))
    np.testing.assert_array_equal(made.parameters()[0].value, plain.parameters()[0].value)
    assert (made.parameters()[2].value == 0.5).all()


def test_building_again_for_another_input():
    """A projection that one input needs, another may not."""
    model = Sequential(Residual(Conv2d(4, 1, bias=False)))
    counts, names = [], []
    for channels in (2, 4, 2, 3):
        model.initialize((channels, 3, 3))
        counts.append(sum(p.size for p in model.parameters()))
        names.append(model.parameters()[-1].name)
    assert counts == [16, 16, 16, 24]
    assert [name.split(".")[2] for name in names] == ["shortcut", "0", "shortcut", "shortcut"]


def test_input_gradient_is_skipped_where_nobody_reads_it():
    model = Sequential(Residual(Sequential(Conv2d(4, 3, padding=1), Tanh())), ReLU())
    model.initialize((2, 4, 4))
    y = model.forward(np.ones((1, 2, 4, 4, 16), np.float32))
    assert model.backward(y) is None


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Residual(Dense(3)), (5,), r"residual: the body turns \(5,\) into \(3,\): give a shortcut"),
        (Residual(Flatten()), (2, 3, 3), r"residual: the body turns .* into \(18,\)"),
        (
            Residual(Conv2d(3, 2)), (3, 5, 5),
            r"residual: the body gives \(3, 4, 4\) and the shortcut \(3, 3, 3\)",
        ),
        (
            Residual(Conv2d(3, 1), MaxPool2d(2)), (3, 4, 4),
            r"residual: the body gives \(3, 4, 4\) and the shortcut \(3, 2, 2\)",
        ),
    ],
)  # fmt: skip
def test_ways_that_do_not_meet(layer, shape, message):
    with pytest.raises(ArgumentError, match=message):
        layer.build(shape, np.random.default_rng(0))


@pytest.mark.parametrize("given", [(3,), (None,), (ReLU(), "identity"), ([ReLU()],)])
def test_what_is_no_layer(given):
    with pytest.raises(ArgumentError, match="Residual takes layers, got"):
        Residual(*given)


def test_initializer_that_is_unknown():
    with pytest.raises(ArgumentError, match="unknown initializer 'msr'. Did you mean 'msra'"):
        Residual(ReLU(), init="msr")
