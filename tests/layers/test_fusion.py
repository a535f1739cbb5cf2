"""Layers that do the work of a ReLU beside them: the numbers are those without."""

import numpy as np
import pytest

from minicnn import gradcheck, lanes
from minicnn.layers import AvgPool2d, BatchNorm, Conv2d, Dense, Flatten, MaxPool2d, ReLU
from minicnn.models import Residual, Sequential, zoo
from tests.kernels.conv.test_correlate import DTYPES
from tests.models.test_sequential import assert_same, images, initialized, step


@pytest.mark.parametrize("name", ["lenet5", "resnet8", "plain6", "vgg-small", "mlp:30,20"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_fused_layers_give_the_same_numbers(name, dtype):
    x, labels = images(20, (1, 16, 16), dtype=dtype), np.arange(20) % 10
    (value, dx, gradients), plain = (
        step(
            initialized(zoo.build(name), 0, (1, 16, 16), dtype=dtype, input_gradient=True, fuse=f),
            x, labels,
        )
        for f in (True, False)
    )  # fmt: skip
    assert value == plain[0]
    np.testing.assert_array_equal(dx, plain[1])
    assert_same(gradients, plain[2])


def relu_beside(*layers):
    return Sequential(*layers, Flatten(), Dense(3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: relu_beside(ReLU(), Conv2d(3, 3)),
        lambda: relu_beside(ReLU(), MaxPool2d(2), ReLU()),
        lambda: relu_beside(Conv2d(3, 3), ReLU(), ReLU(), MaxPool2d(2)),
        lambda: relu_beside(Conv2d(3, 3), ReLU(), Sequential(MaxPool2d(2))),
        lambda: relu_beside(Sequential(Conv2d(3, 3)), ReLU()),
        lambda: relu_beside(Conv2d(3, 3, stride=2, padding=1), ReLU(), MaxPool2d(3, 1, 1), ReLU()),
        lambda: relu_beside(Conv2d(4, 3, bias=False), BatchNorm(), ReLU(), AvgPool2d(2)),
        lambda: relu_beside(Residual(Conv2d(2, 3, padding=1)), ReLU(), Residual(ReLU())),
        lambda: Sequential(Flatten(), Dense(7), ReLU(), Dense(3), ReLU()),
    ],
)
def test_a_relu_in_any_place_is_done_once(make):
    """In place, fused with either neighbour, or built again the other way."""
    x, labels = images(20, dtype=np.float64), np.arange(20) % 3
    settings = {"dtype": np.float64, "input_gradient": True}
    plain = step(initialized(make(), fuse=False, **settings), x, labels)
    model = make()
    for fuse in (True, False):
        found = step(initialized(model, fuse=fuse, **settings), x, labels)
        np.testing.assert_array_equal(found[1], plain[1])
        assert_same(found[2], plain[2])
    assert gradcheck.check_layer(make(), (2, 8, 6), x=x).worst < 1e-6


@pytest.mark.parametrize(
    "make, dtype",
    [
        (lambda: relu_beside(Conv2d(3, 3, algorithm="direct"), ReLU()), np.float64),
        (lambda: relu_beside(Conv2d(16, 3, padding=1, algorithm="winograd"), ReLU()), np.float32),
        (lambda: relu_beside(ReLU(), MaxPool2d(2)), np.float32),
        (lambda: relu_beside(BatchNorm(), ReLU()), np.float64),
        (lambda: relu_beside(Residual(Conv2d(2, 3, padding=1)), ReLU()), np.float32),
        (lambda: Sequential(Flatten(), Dense(7), ReLU(), Dense(3)), np.float64),
    ],
)
def test_nan_takes_the_same_way_fused_or_not(make, dtype):
    """A ReLU stops delta where its input is at most 0, and a NaN is not."""
    x, labels = images(20, dtype=dtype), np.arange(20) % 3
    x[0, 0, 2, 3] = np.nan
    settings = {"dtype": dtype, "input_gradient": True}
    (_, dx, gradients), plain = (
        step(initialized(make(), fuse=fuse, **settings), x, labels) for fuse in (True, False)
    )
    assert any(np.isnan(gradient).any() for gradient in gradients.values())
    np.testing.assert_array_equal(dx, plain[1])
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, plain[2][name], err_msg=name)


def test_unfused_each_layer_does_what_its_equation_says():
    """Also in a model that was fused before."""
    model = initialized(Sequential(Conv2d(3, 3), ReLU(), MaxPool2d(2), ReLU()))
    initialized(model, fuse=False)
    conv, relu, pool, last = model.layers
    seen = {}

    def look(layer, which, arrays, compute):
        y = compute()
        seen[layer] = arrays[0].copy(), y.copy()
        return y

    with model.plan().observed(look):
        model.forward(lanes.pack(images(16)))
    assert (seen[conv][1] < 0).any()
    for layer in (relu, last):
        np.testing.assert_array_equal(seen[layer][1], np.maximum(seen[layer][0], 0))
    np.testing.assert_array_equal(seen[pool][0], seen[relu][1])


def test_a_layer_that_is_moved_to_another_model_does_its_own_work_again():
    conv, relu, pool = Conv2d(2, 1), ReLU(), MaxPool2d(1)
    initialized(Sequential(conv, relu))
    initialized(Sequential(ReLU(), pool))
    x = images(16)
    for layer, expected in ((relu, x + np.maximum(x, 0)), (pool, x + x)):
        np.testing.assert_array_equal(initialized(Sequential(Residual(layer))).predict(x), expected)
    model = initialized(Sequential(Residual(conv)))
    assert (model.predict(x) - x < 0).any()
