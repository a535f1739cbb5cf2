"""Signals that the backward pass computes again: the same bits, in less memory."""

import numpy as np
import pytest

from minicnn import lanes
from minicnn.layers import (
    BatchNorm,
    Conv2d,
    Dense,
    Flatten,
    GroupNorm,
    Hardswish,
    LayerNorm2d,
    ReLU,
    ReLU6,
    SiLU,
)
from minicnn.models import Residual, Sequential, zoo
from minicnn.plan import OFTEN, ONCE
from minicnn.plan.recompute import Recomputed, spares_lanes


def units(active, normal=BatchNorm):
    return lambda: Sequential(
        Conv2d(8, 3, padding=1, bias=False), normal(), active(),
        Residual(Sequential(Conv2d(8, 3, padding=1, groups=8), normal(), active(), active())),
        Conv2d(8, 1), normal(), Flatten(), normal(), active(), Dense(4), active(),
    )  # fmt: skip


MODELS = {
    "relu": units(ReLU), "relu6": units(ReLU6), "silu": units(SiLU), "hardswish": units(Hardswish),
    "within a sample": units(SiLU, lambda: GroupNorm(2)),
    "at each pixel": lambda: Sequential(
        Conv2d(8, 3, padding=1), LayerNorm2d(), SiLU(),
        Residual(Sequential(Conv2d(8, 3, padding=1, groups=8), LayerNorm2d(), SiLU())),
        Conv2d(8, 1), LayerNorm2d(), ReLU6(), Flatten(), Dense(4),
    ),
    "resnet8": lambda: zoo.build("resnet8", classes=4),
    "densenet7": lambda: zoo.build("densenet7", classes=4),
}  # fmt: skip


def initialized(make, **settings):
    model = make()
    model.initialize((3, 12, 12), seed=1, input_gradient=True, **settings)
    return model


def gradients(model, samples, backward):
    """Of one pass: the scores, dE/dx and all dE/dw; and the running averages after it."""
    rng = np.random.default_rng(samples)
    x = lanes.pack(rng.standard_normal((samples, 3, 12, 12)).astype(model.dtype))
    dy = lanes.pack(rng.standard_normal((samples, 4)).astype(model.dtype))
    scores = model.run(x, True, samples, backward=backward).copy()
    dx = model.backward(dy).copy()
    return [scores, dx, *(p.grad.copy() for p in model.parameters())], model.state_dict()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("fuse", [True, False])
def test_recomputed_signals_have_the_same_bits(name, fuse):
    for samples in (3, 19):
        recomputed, kept = (
            gradients(initialized(MODELS[name], fuse=fuse), samples, mode) for mode in (ONCE, OFTEN)
        )
        for own, other in zip(recomputed[0], kept[0]):
            np.testing.assert_array_equal(own, other)
        for key, value in kept[1].items():
            np.testing.assert_array_equal(recomputed[1][key], value, err_msg=key)


@pytest.mark.parametrize("name", MODELS)
def test_what_memory_holds_changes_nothing(name):
    """A signal that is read without being computed again would be NaN."""
    model = initialized(MODELS[name])
    clean, _ = gradients(model, 3, ONCE)
    for block in model.plan().memory._blocks:
        block.fill(np.nan)
    dirty, _ = gradients(model, 3, ONCE)
    for own, other in zip(clean, dirty):
        np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize("active", ["relu", "relu6", "silu", "hardswish"])
def test_one_array_is_kept_of_convolution_normalization_and_activation(active):
    """The slots in use when the forward pass has ended hold no other signal of that size."""
    layers = {"relu": ReLU, "relu6": ReLU6, "silu": SiLU, "hardswish": Hardswish}[active]
    model = Sequential(
        *(part for _ in range(5) for part in (Conv2d(4, 3, padding=1), BatchNorm(), layers())),
        Flatten(), Dense(4),
    )  # fmt: skip
    model.initialize((3, 12, 12))
    signal = lanes.LANES * 4 * 12 * 12
    for samples, most in ((3, 5), (16, 10 if active.startswith("relu") else 15)):
        memory = model.plan().memory
        x = lanes.pack(np.ones((samples, 3, 12, 12), np.float32))
        model.run(x, True, samples, backward=ONCE)
        free = sum(stop - start for _, start, stop in memory._free)
        used = sum(block.size for block in memory._blocks) - free
        first = lanes.LANES * 3 * 14 * 14  # of the first convolution, the input within zeros
        assert most * signal <= used <= most * signal + first + 2 * lanes.LANES * 4
    # The last batch normalization is computed again, and so the activation that Dense reads.


def test_all_is_given_back_after_the_backward_pass():
    for name, make in MODELS.items():
        model = make()
        model.initialize((3, 12, 12))
        x = lanes.pack(np.ones((3, 3, 12, 12), np.float32))
        y = model.run(x, True, 3, backward=ONCE)
        model.backward(np.ones_like(y))
        memory = model.plan().memory
        free = sum(stop - start for _, start, stop in memory._free)
        held = sum(block.size for block in memory._blocks) - free
        assert held <= y.size, name  # the scores, which the caller may still read


def test_only_batches_that_leave_lanes_empty_are_computed_again():
    x = lanes.zeros((2, 3, 4, 4, 16), np.float32)
    assert [spares_lanes(x, n) for n in (17, 24, 25, 32, None)] == [True, True, False, False, False]


def test_what_nobody_reads_on_the_way_back_is_not_computed_again():
    """A sum reads neither of its inputs, and the model's output is the caller's."""
    model = Sequential(Residual(Sequential(Conv2d(3, 1), BatchNorm())), BatchNorm(), SiLU())
    model.initialize((3, 4, 4))
    plan = model.plan()
    steps, output = plan._steps, plan.graph.output.index
    assert Recomputed(steps, output, True, True).readers == {}


def test_a_layer_with_a_method_of_others_is_not_computed_again():
    model = initialized(MODELS["silu"])
    calls, layer = [], model.layers[1]
    original = layer.forward

    def forward(*arguments):
        calls.append(1)
        original(*arguments)

    layer.forward = forward
    found, _ = gradients(model, 3, ONCE)
    assert len(calls) == 1
    del layer.forward
    plain, _ = gradients(initialized(MODELS["silu"]), 3, ONCE)
    for own, other in zip(found, plain):
        np.testing.assert_array_equal(own, other)
