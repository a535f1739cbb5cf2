"""Fixup and ReZero: their weights, their scalars, and a network of blocks made of them."""

import numpy as np
import pytest

from minicnn import gradcheck, lanes, optimizers
from minicnn.errors import ArgumentError
from minicnn.initializers import MSRA, Fans, Zeros, from_string
from minicnn.lab.symmetry.gradient_front import verdict
from minicnn.layers import Conv2d, Dense, GlobalAvgPool2d, ReLU
from minicnn.layers.scalars import Scale, Shift
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.models import Residual, Sequential
from tests import alone
from tests.layers.cases import Case, run

CLASSES = 4


def resnet(init, blocks, channels=8):
    """As a recipe makes it: stem, blocks of two convolutions without normalization, scores."""
    init = from_string(init).of(blocks, 2)
    shift = [Shift] if init.name == "fixup" else []

    def conv(weights):
        shifts = [make() for make in shift]
        return [*shifts, Conv2d(channels, 3, padding=1, bias=False, init=weights)]

    def active():
        return [*(make() for make in shift), ReLU()]

    layers = [Conv2d(channels, 3, padding=1, bias=False, init=init.elsewhere), *active()]
    for _ in range(blocks):
        body = [*conv(init.inner), *active(), *conv(init.last), Scale(init.branch_gate)]
        layers += [Residual(Sequential(*body, *(make() for make in shift))), ReLU()]
    head = [GlobalAvgPool2d(), *(make() for make in shift), Dense(CLASSES, init=init.scores)]
    model = Sequential(*layers, *head)
    model.initialize((2, 8, 8), seed=0, dtype=np.float64)
    return model


@pytest.mark.parametrize(("blocks", "layers"), [(1, 2), (9, 2), (54, 2), (16, 3)])
def test_fixup_scales_the_std_by_its_rule(blocks, layers):
    init = from_string(f"fixup:{blocks},{layers}")
    ratio = init.variance(Fans(72, 50)) ** 0.5 / MSRA().variance(Fans(72, 50)) ** 0.5
    assert ratio == pytest.approx(blocks ** (-1 / (2 * layers - 2)), rel=1e-14)
    w = init((90, 72), Fans(72, 90), np.random.default_rng(0), np.float64)
    assert (w**2).mean() == pytest.approx(init.variance(Fans(72, 90)), rel=5 * (2 / w.size) ** 0.5)


def test_strings():
    for text in ("fixup:9.0,2.0", "fixup:uniform,9.0,2.0,slope=0.25", "rezero", "rezero:fan_out"):
        assert str(from_string(text)) == text
    assert from_string("fixup:blocks=9") == from_string("fixup").of(9, 2)
    assert from_string("rezero").of(9, 2) == from_string("rezero")
    assert from_string("fixup:9,3,uniform,slope=0.5").elsewhere == MSRA("fan_in", "uniform", 0.5)
    assert from_string("fixup").last == from_string("fixup").scores == Zeros()
    assert from_string("rezero:uniform").inner == MSRA("fan_in", "uniform")
    for text in ("fixup:0.5", "fixup:9,1"):
        with pytest.raises(ArgumentError, match="at least 1 block and 2 layers a block"):
            from_string(text)


@pytest.mark.parametrize("init", ["fixup", "rezero"])
@pytest.mark.parametrize("blocks", [1, 6])
def test_every_block_starts_as_the_identity(init, blocks):
    model = resnet(init, blocks)
    x = lanes.pack(np.random.default_rng(0).normal(size=(20, 2, 8, 8)), np.float64)
    for layer in model.layers:
        y = alone.forward(layer, x, True, 20)
        if isinstance(layer, Residual):
            assert lanes.unpack(x, 20).min() >= 0  # after a ReLU, so that the next changes nothing
            np.testing.assert_array_equal(y, x)
        x = y.copy()


def test_which_weights_learn_first():
    """ReZero: its scalars; Fixup: the scores, then the last layers of branches, then the rest."""
    steps = verdict(resnet("rezero", 2)).first_step
    for name, step in steps.items():
        inside = "residual" in name and "scale" not in name
        assert step == 1 + inside, name
    found = verdict(resnet("fixup", 2))
    assert found.kind == "free"
    for name, step in found.first_step.items():
        last = "residual" in name and name.split(".")[3] in ("5", "7")
        inner = "residual" in name and not last
        if name.endswith("weight"):
            assert step == (1 if "dense" in name else 2 if not inner else 3), name


def train(model, steps, lr):
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(32, 2, 8, 8)), rng.integers(0, CLASSES, 32)
    x += 0.5 * np.cos(labels[:, None, None, None] * np.arange(8))
    optimizer = optimizers.create("sgd", model.parameters(), lr=lr, momentum=0.9)
    loss, packed, values = SoftmaxCrossEntropy(), lanes.pack(x, np.float64), []
    for _ in range(steps):
        value, delta = loss(model.forward(packed, True, 32), labels)
        values.append(value)
        model.backward(delta)
        optimizer.step()
    return values


@pytest.mark.parametrize("init", ["fixup", "rezero"])
def test_deep_networks_without_normalization_learn(init):
    losses = train(resnet(init, 12), 40, 0.02)
    assert losses[-1] < 0.8 * losses[0]
    assert max(losses) < 1.5 * losses[0]


CASES = {
    "gate": Case(lambda: Scale(0.7), (3, 2, 2)), "closed gate": Case(Scale, (5,)),
    "shift": Case(Shift, (3, 2, 2)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_gradients_of_the_scalars_are_difference_quotients(case):
    report = gradcheck.check_layer(case.make(), case.shape, samples=5)
    assert report.worst < 1e-7, report
    assert set(report.arrays) == {"input", *(p.name for p in case.built().parameters())}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("samples", [3, 21])
def test_spare_lanes_change_nothing(case, samples):
    x, delta = case.batch(samples)
    found, expected = (run(case.built(), x, delta, spare=s) for s in (7.5, None))
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_scalars():
    model = Sequential(Scale(2), Shift())
    model.initialize((3,), dtype=np.float64, input_gradient=True)
    assert [p.value.tolist() for p in model.parameters()] == [[2.0], [0.0]]
    assert [p.name for p in model.parameters()] == ["0.scale.scalar", "1.shift.scalar"]
    assert not any(p.decay for p in model.parameters())
    model.parameters()[1].value[:] = 0.5
    np.testing.assert_array_equal(model.predict(np.full((2, 3), 3.0)), 6.5)
    assert "from 2" in model.summary()
    for bad in (np.inf, "a", None):
        with pytest.raises(ArgumentError, match="Scale: start must be a finite number"):
            Scale(bad)
