"""Branches: what each gives, side by side or added, and the sum of what comes back."""

import numpy as np
import pytest

from minicnn import lanes, optimizers
from minicnn.errors import ArgumentError
from minicnn.kernels.channels import channel_products
from minicnn.layers import (
    AvgPool2d,
    Conv2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    Identity,
    ReLU,
    Sigmoid,
    Tanh,
    Upsample,
)
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.models import Branches, Sequential
from minicnn.training.step import TrainingStep
from tests.kernels.conv.test_correlate import assert_close, with_one_and_two_threads
from tests.layers.cases import Case, run

SHAPE = (3, 4, 5)


def branches():
    return [Conv2d(4, 3, padding=1), Identity(), Sequential(Conv2d(2, 1), Tanh())]


def each(x, deltas, model):
    """What the branches give alone, with the weights that they have in `model`."""
    found, parameters = [], iter(model.parameters())
    for branch, delta in zip(branches(), deltas):
        alone = Case(lambda branch=branch: branch, SHAPE).built()
        for mine in alone.parameters():
            mine.value[...] = next(parameters).value
        found.append(run(alone, x, delta))
    return found


def test_concatenation_puts_channels_side_by_side_and_adds_what_comes_back():
    case = Case(lambda: Branches(*branches()), SHAPE)
    model, (x, delta) = case.built(), case.batch(20)
    assert model.output_shape == (4 + 3 + 2, 4, 5)
    found, alone = run(model, x, delta), each(x, np.split(delta, [4, 7], axis=1), model)
    np.testing.assert_array_equal(found["y"], np.concatenate([r["y"] for r in alone], axis=1))
    assert_close(found["dx"], sum(r["dx"] for r in alone), 1e-14)
    gradients = [v for r in alone for name, v in r.items() if name.startswith("d ")]
    ours = [v for name, v in found.items() if name.startswith("d ")]
    for mine, theirs in zip(ours, gradients, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_sum_adds_the_outputs_and_hands_delta_to_every_branch():
    def same():
        return [Conv2d(3, 3, padding=1), Identity(), Tanh()]

    case = Case(lambda: Branches(*same(), join="add"), SHAPE)
    model, (x, delta) = case.built(), case.batch(20)
    found = run(model, x, delta)
    conv = Case(lambda: same()[0], SHAPE).built()
    for mine, theirs in zip(conv.parameters(), model.parameters(), strict=True):
        mine.value[...] = theirs.value
    alone = run(conv, x, delta)
    assert_close(found["y"], alone["y"] + x + np.tanh(x), 1e-14)
    assert_close(found["dx"], alone["dx"] + delta + delta * (1 - np.tanh(x) ** 2), 1e-13)


@pytest.mark.parametrize("shape", [(4, 3, 5), (4, 1, 1), (4,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_is_numpys_and_its_gradients_the_other_factor(shape, dtype):
    """The second factor has the signal's shape, or one number for each channel."""
    squeeze = {
        (4, 3, 5): [Tanh()], (4, 1, 1): [AvgPool2d((3, 5))], (4,): [GlobalAvgPool2d()],
    }[shape]  # fmt: skip
    case = Case(lambda: Branches(Identity(), Sequential(*squeeze), join="multiply"), (4, 3, 5))
    x, delta = case.batch(20)
    found = run(case.built(dtype), x, delta)
    if shape == (4, 3, 5):
        gate, back = np.tanh(x), delta * x * (1 - np.tanh(x) ** 2)
    else:
        gate = x.mean((2, 3), keepdims=True)
        back = (delta * x).sum((2, 3), keepdims=True) / 15
    tolerance = 1e-14 if dtype == np.float64 else 1e-6
    assert_close(found["y"], x * gate, tolerance)
    assert_close(found["dx"], delta * gate + back, 4 * tolerance)


def test_large_images_are_summed_in_parts():
    rng = np.random.default_rng(0)
    x, delta = rng.uniform(size=(2, 3, 2, 2000, 16)).astype(np.float32)
    sums = np.full((3, 2, 16), np.nan, np.float32)
    channel_products(x, delta, sums)
    exact = np.sum(x.astype(float) * delta, axis=2)
    np.testing.assert_allclose(sums, exact, rtol=2e-5)


def test_products_have_the_same_bits_on_one_and_two_threads():
    case = Case(lambda: squeeze_and_excitation(), (6, 5, 4))
    x, delta = case.batch(37)

    def results():
        found = run(case.built(np.float32), x, delta)
        return [found[name] for name in sorted(found)]

    for one, two in zip(*with_one_and_two_threads(results)):
        np.testing.assert_array_equal(one, two)


def squeeze_and_excitation():
    """Hu et al. 2018: a channel times what a small network makes of all channels' means."""
    squeeze = Sequential(GlobalAvgPool2d(), Dense(2), Tanh(), Dense(6), Sigmoid())
    return Branches(Identity(), squeeze, join="multiply")


def test_squeeze_and_excitation_trains_in_a_replay():
    """The third step is a replay; without it, a step by hand gives the same weights."""
    x = lanes.pack(np.random.default_rng(0).normal(size=(20, 3, 6, 6)), np.float64)
    labels, weights = np.arange(20) % 4, []
    for replayed in (True, False):
        layers = Conv2d(6, 3), squeeze_and_excitation(), Flatten(), Dense(4)
        model, loss = Sequential(*layers), SoftmaxCrossEntropy()
        model.initialize((3, 6, 6), 0, np.float64)
        optimizer = optimizers.create("sgd", model.parameters(), lr=0.1, momentum=0.9)
        step = TrainingStep(model, loss, optimizer)
        for _ in range(5):
            if replayed:
                step(x, labels)
            else:
                _, gradient = loss(model.forward(x, True, 20), labels)
                model.backward(gradient)
                optimizer.step()
        weights.append(model.state_dict())
    for name, array in weights[0].items():
        np.testing.assert_allclose(array, weights[1][name], rtol=1e-12, atol=1e-14)


def test_products_that_do_not_fit():
    def built(*branches, shape=(4, 3, 5)):
        Sequential(Branches(*branches, join="multiply")).initialize(shape)

    told = r"gives \(4, 3, 5\) and branch 1 .* must be alike, or the second one number for each of"
    for gate in (Conv2d(3, 1), Conv2d(4, 2), Sequential(GlobalAvgPool2d(), Dense(5))):
        with pytest.raises(ArgumentError, match=told):
            built(Identity(), gate)
    with pytest.raises(ArgumentError, match="one number for each of the 4 channels"):
        built(GlobalAvgPool2d(), Identity())
    with pytest.raises(ArgumentError, match="multiplies two branches, got 3"):
        Branches(Identity(), Tanh(), Tanh(), join="multiply")


def test_upsampling_copies_pixels_and_sums_blocks():
    case = Case(lambda: Upsample((2, 3)), (2, 3, 2))
    model, (x, delta) = case.built(), case.batch(20)
    found = run(model, x, delta)
    np.testing.assert_array_equal(found["y"], x.repeat(2, axis=2).repeat(3, axis=3))
    blocks = delta.reshape(20, 2, 3, 2, 2, 3).sum(axis=(3, 5))
    assert_close(found["dx"], blocks, 1e-15)


def test_the_bits_do_not_depend_on_threads_or_on_fusion():
    x = np.random.default_rng(0).normal(size=(20, *SHAPE)).astype(np.float32)

    def trained(fuse):
        inner = Branches(Sequential(Conv2d(4, 3, padding=1), ReLU()), Identity())
        model = Sequential(Conv2d(3, 1), ReLU(), inner, ReLU(), Conv2d(2, 1), Flatten(), Dense(3))
        model.initialize(SHAPE, input_gradient=True, fuse=fuse)
        return run(model, x, np.ones((20, 3), np.float32))

    one, two = with_one_and_two_threads(lambda: trained(True))
    for other in (two, trained(False)):
        for name, array in one.items():
            np.testing.assert_array_equal(array, other[name], err_msg=name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Branches(Tanh()), "at least two branches, got 1"),
        (lambda: Branches(Tanh(), [Tanh()]), "Branches takes layers.*Sequential"),
        (lambda: Branches(Tanh(), Tanh(), join="sum"), "unknown join 'sum'.*add, concat"),
        (lambda: Upsample(0), "Upsample: scale_factor must be an integer of at least 1"),
        (lambda: Upsample(2, "bicubic"), "unknown mode of Upsample 'bicubic'.*bilinear, nearest"),
        (lambda: Upsample(2, align_corners=True), "align_corners is for mode"),
        (lambda: Upsample(1.5), "Upsample: scale_factor must be an integer"),
    ],
)
def test_settings_that_cannot_be(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            lambda: Branches(Conv2d(2, 3), Identity()),
            r"0.branches: branch 0 \(0.branches.0.conv2d\) gives \(2, 2, 3\) and branch 1"
            r" \(0.branches.1.identity\) gives \(3, 4, 5\): .* alike in height and width",
        ),
        (
            lambda: Branches(Identity(), Conv2d(2, 1), join="add"),
            r"gives \(3, 4, 5\) and branch 1 .* gives \(2, 4, 5\): to be joined by 'add' they must",
        ),
        (lambda: Branches(Identity(), Flatten()), r"gives \(3, 4, 5\) and .* gives \(60,\)"),
        (lambda: Sequential(Flatten(), Upsample(2)), r"needs images \(C, H, W\)"),
    ],
)
def test_shapes_that_do_not_fit(layer, message):
    with pytest.raises(ArgumentError, match=message):
        Sequential(layer()).initialize(SHAPE)


def test_a_branch_that_stands_in_two_places_is_refused():
    shared = Tanh()
    with pytest.raises(ArgumentError, match="one place only"):
        Sequential(Branches(shared, shared))
