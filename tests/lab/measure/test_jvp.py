"""Forward mode against the backward pass, and against central differences."""

import numpy as np
import pytest

from minicnn import Sequential, lanes
from minicnn.errors import ArgumentError
from minicnn.lab.measure.jvp import push
from minicnn.lab.measure.signals import leaves
from minicnn.layers import (
    ELU,
    GELU,
    SELU,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Dropout,
    Dropout2d,
    Flatten,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    GroupNorm,
    Identity,
    InstanceNorm2d,
    LayerNorm,
    LayerNorm2d,
    LayerScale,
    LeakyReLU,
    LogSoftmax,
    MaxPool2d,
    NumpyLayer,
    PReLU,
    ReLU,
    RMSNorm,
    Sigmoid,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
    Upsample,
    ZeroPad2d,
)
from minicnn.models import Branches, Residual

SHAPE = (4, 6, 5)
LAYERS = [
    Conv2d(3, 3), Conv2d(4, (3, 2), stride=2, padding=1, dilation=(1, 2), groups=2),
    AvgPool2d(2, 1, padding=1), AvgPool2d(3, 2, 1, True, False), GlobalAvgPool2d(),
    GlobalMaxPool2d(), MaxPool2d(2, 3, 1, dilation=2, ceil_mode=True), Flatten(),
    MaxPool2d(2), MaxPool2d(3, 1, 1),
    MaxPool2d((3, 2), (2, 1), (1, 0)), BatchNorm(), Dropout(0.5), Identity(), ReLU(), LeakyReLU(),
    PReLU(per_channel=True), ELU(), SELU(), GELU(), Sigmoid(), Tanh(), Softsign(),
    Softplus(0.7), Softmax(), LogSoftmax(),
    Sequential(Flatten(), Dense(7)), Residual(Conv2d(4, 3, padding=1)),
    Residual(Sequential(Conv2d(6, 3, stride=2, padding=1), BatchNorm(), ReLU(), Conv2d(6, 1))),
    ConvTranspose2d(4, 3, 2, groups=2), Upsample((2, 3)), Upsample(2, "bilinear"),
    GroupNorm(2), GroupNorm(1, affine=False), InstanceNorm2d(), LayerNorm(),
    LayerNorm2d(eps=0.1), RMSNorm(eps=0.1), LayerScale(0.5), ZeroPad2d((1, 0, -1, 2)),
    Dropout2d(0.5), Sequential(Flatten(), RMSNorm()),
    Branches(Identity(), Sequential(MaxPool2d(3, 1, 1), Conv2d(4, 1), Tanh()), Conv2d(2, 1)),
    Branches(Identity(), Conv2d(4, 1), join="add"),
    Branches(Tanh(), Conv2d(4, 1), join="multiply"),
    Branches(Identity(), Sequential(GlobalAvgPool2d(), Dense(4), Sigmoid()), join="multiply"),
]  # fmt: skip


def built(layer, seed=0):
    model = Sequential(layer)
    model.initialize(SHAPE, seed, np.float64, input_gradient=True, fuse=False)
    rng = np.random.default_rng(seed)
    for parameter in model.parameters():
        parameter.value += 0.3 * rng.standard_normal(parameter.value.shape)  # biases too
    for each in leaves(model):
        for array in each.state().values():
            array += rng.random(array.shape)
    return model, rng


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_forward_mode_is_the_transpose_of_backward_and_a_difference_quotient(layer):
    model, rng = built(layer)
    x, t = (lanes.pack(rng.standard_normal((16, *SHAPE)), np.float64) for _ in range(2))
    y, through = (a.copy() for a in push(model, x, t))
    np.testing.assert_array_equal(y, model.forward(x))
    u = rng.standard_normal(y.shape)
    back = model.backward(u)
    axes = tuple(range(1, 4))
    left = np.sum(u * through, axis=tuple(range(1, u.ndim - 1)))
    scale = np.linalg.norm(u) * np.linalg.norm(through)
    np.testing.assert_allclose(left, np.sum(back * t, axis=axes), atol=1e-13 * scale)
    h = 1e-6
    above = model.forward(x + h * t).copy()
    quotient = (above - model.forward(x - h * t)) / (2 * h)
    # A kink between x - h t and x + h t may be met by one of some two thousand numbers.
    off = np.abs(quotient - through) > 1e-7 * (1 + np.abs(through))
    assert off.mean() < 1e-3 and np.abs(through).max() > 0.01


def test_of_equal_maxima_the_first_counts():
    model, _ = built(MaxPool2d(2, 1))
    x = np.zeros((1, *SHAPE, 16))
    t = np.random.default_rng(0).standard_normal(x.shape)
    _, through = push(model, x, t)
    np.testing.assert_array_equal(through, t[:, :, :-1, :-1])


def test_the_image_is_not_disturbed_by_the_direction():
    """A direction of huge numbers must not move the point where the derivative is taken."""
    model, rng = built(Sequential(Conv2d(4, 3), Tanh(), Conv2d(2, 3), Tanh()))
    x, t = (lanes.pack(rng.standard_normal((16, *SHAPE)), np.float64) for _ in range(2))
    small = push(model, x, t)[1].copy()
    np.testing.assert_allclose(push(model, x, 1e9 * t)[1], 1e9 * small, rtol=1e-12)


def test_the_bias_comes_back():
    model, rng = built(Conv2d(4, 3))
    before = model.parameters()[1].value.copy()
    x = lanes.pack(rng.standard_normal((16, *SHAPE)), np.float64)
    push(model, x, x)
    np.testing.assert_array_equal(model.parameters()[1].value, before)


def test_a_strangers_layer_is_refused():
    class Square(NumpyLayer):
        def forward(self, x):
            return x * x

    model, _ = built(Square())
    x = np.ones((1, *SHAPE, 16))
    with pytest.raises(ArgumentError, match="0.square: J v is known .* not of Square"):
        push(model, x, x)
