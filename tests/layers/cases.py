"""Every layer with an input it works on: what the tests of the layer protocol run over."""

from typing import NamedTuple

import numpy as np

from minicnn import lanes
from minicnn.layers import (
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
    LogSoftmax,
    MaxPool2d,
    RMSNorm,
    Softmax,
    Softplus,
    Tanh,
    Upsample,
    ZeroPad2d,
    activations,
)
from minicnn.models import Branches, Residual, Sequential

SMOOTH = (
    "gelu", "gelu-tanh", "sigmoid", "tanh", "identity", "elu", "celu:0.5", "silu", "mish",
    "softplus", "softplus:0.7,5",
)  # fmt: skip
KINKED = (
    "relu", "leaky-relu:0.2", "prelu", "prelu:channel,-0.5", "elu:0.7", "selu", "softsign",
    "relu6", "hardsigmoid", "hardswish",
)  # fmt: skip


class Case(NamedTuple):
    """How to make a layer, the shape of one sample, and whether its slope jumps anywhere."""

    make: callable
    shape: tuple
    kinks: bool = False

    def built(self, dtype=np.float64, seed=0):
        """A model of this layer alone, with parameters of which no two are equal."""
        model, rng = Sequential(self.make()), np.random.default_rng(seed)
        model.initialize(self.shape, seed, dtype, input_gradient=True)
        for parameter in model.parameters():
            parameter.value += (0.1 * rng.normal(size=parameter.value.shape)).astype(dtype)
        return model

    def batch(self, samples, seed=1):
        """Inputs for `samples` samples, and as many dE/dy."""
        rng = np.random.default_rng(seed)
        delta = rng.normal(size=(samples, *self.built().output_shape))
        return distinct(rng, samples, self.shape), delta


def normal_conv(channels, **settings):
    return [Conv2d(channels, 3, padding=1, bias=False, **settings), BatchNorm(), Tanh()]


def activation(text):
    return lambda: activations.from_string(text)


CASES = {
    "conv": Case(lambda: Conv2d(4, (3, 2), padding=(1, 0)), (2, 4, 3)),
    "strided conv": Case(
        lambda: Conv2d(6, (2, 3), stride=(2, 1), dilation=(1, 2), groups=2, bias=False), (4, 4, 6)
    ),
    "conv of four paddings": Case(
        lambda: Conv2d(4, (3, 2), stride=(2, 1), padding=((2, 0), (0, 1))), (2, 5, 3)
    ),
    "winograd conv": Case(lambda: Conv2d(9, 3, padding=1), (8, 4, 7)),
    "transposed conv": Case(
        lambda: ConvTranspose2d(4, (3, 2), (2, 3), 1, (1, 0), groups=2, dilation=(1, 2)), (6, 3, 4)
    ),
    "dense": Case(lambda: Dense(5), (19,)),
    "dense without bias": Case(lambda: Dense(2, bias=False), (7,)),
    "max-pool": Case(lambda: MaxPool2d(2), (2, 4, 6), kinks=True),
    "overlapping max-pool": Case(lambda: MaxPool2d((3, 2), (2, 1), (1, 0)), (2, 5, 3), kinks=True),
    "dilated max-pool": Case(
        lambda: MaxPool2d(2, (1, 2), 1, dilation=(2, 1), ceil_mode=True), (2, 6, 5), kinks=True
    ),
    "global max-pool": Case(GlobalMaxPool2d, (3, 2, 5), kinks=True),
    "counted avg-pool": Case(
        lambda: AvgPool2d((3, 2), 2, 1, ceil_mode=True, count_include_pad=False), (2, 6, 5)
    ),
    "avg-pool": Case(lambda: AvgPool2d((3, 2), (2, 1), (1, 1)), (2, 5, 3)),
    "global avg-pool": Case(GlobalAvgPool2d, (3, 2, 5)),
    "flatten": Case(Flatten, (3, 2, 2)),
    "flatten the pixels": Case(lambda: Flatten(start_dim=2), (3, 2, 2)),
    "batch norm of images": Case(BatchNorm, (3, 2, 2)),
    "batch norm of vectors": Case(BatchNorm, (4,)),
    "group norm of images": Case(lambda: GroupNorm(2), (4, 2, 3)),
    "group norm of vectors": Case(lambda: GroupNorm(3, affine=False), (9,)),
    "instance norm": Case(InstanceNorm2d, (3, 2, 3)),
    "layer norm of images": Case(LayerNorm, (3, 2, 2)),
    "layer norm of vectors": Case(LayerNorm, (7,)),
    "layer norm of pixels": Case(LayerNorm2d, (4, 2, 3)),
    "RMS norm": Case(RMSNorm, (2, 3, 2)),
    "layer scale": Case(lambda: LayerScale(0.5), (3, 2, 2)),
    "zero pad": Case(lambda: ZeroPad2d((2, 0, 1, 3)), (2, 3, 2)),
    "dropout": Case(lambda: Dropout(0.3), (3, 4)),
    "dropout of channels": Case(lambda: Dropout2d(0.3), (3, 2, 2)),
    "residual": Case(lambda: Residual(Sequential(*normal_conv(3))), (3, 3, 4)),
    "residual with projection": Case(
        lambda: Residual(Sequential(*normal_conv(4, stride=2))), (2, 5, 4)
    ),
    "residual with given shortcut": Case(
        lambda: Residual(Sequential(Dense(4), Tanh()), Dense(4)), (6,)
    ),
    "concatenated branches": Case(
        lambda: Branches(Identity(), Conv2d(4, 1), Sequential(*normal_conv(2))), (3, 3, 4)
    ),
    "concatenated vectors": Case(lambda: Branches(Dense(4), Tanh()), (5,)),
    "added branches": Case(
        lambda: Branches(Conv2d(3, 1), Identity(), Sequential(*normal_conv(3)), join="add"),
        (3, 2, 4),
    ),
    "multiplied branches": Case(
        lambda: Branches(Conv2d(3, 1), Sequential(*normal_conv(3)), join="multiply"), (2, 3, 4)
    ),
    "gated channels": Case(
        lambda: Branches(
            Identity(), Sequential(GlobalAvgPool2d(), Dense(3), Softplus()), join="multiply"
        ),
        (3, 2, 4),
    ),
    "softmax of images": Case(Softmax, (5, 3, 2)),
    "softmax of vectors": Case(Softmax, (7,)),
    "log-softmax of images": Case(LogSoftmax, (5, 3, 2)),
    "log-softmax of vectors": Case(LogSoftmax, (7,)),
    "upsample": Case(lambda: Upsample((2, 3)), (2, 3, 2)),
    "bilinear upsample": Case(lambda: Upsample((2, 3), "bilinear"), (2, 3, 2)),
    "bilinear upsample of corners": Case(lambda: Upsample(3, "bilinear", True), (2, 1, 4)),
    "sequential": Case(
        lambda: Sequential(*normal_conv(3), AvgPool2d(2), Flatten(), Dense(2)), (2, 4, 4)
    ),
    **{text: Case(activation(text), (3, 2, 3), kinks=text in KINKED) for text in SMOOTH + KINKED},
}


def distinct(rng, samples, shape):
    """Numbers between -2 and 2 in random order, all far from each other and from zero.

    By 4 / size and 2 / size: steps of 1e-5 change no maximum and cross no kink.
    """
    size = samples * int(np.prod(shape))
    return ((rng.permutation(size) - size // 2 + 0.5) * 4 / size).reshape(samples, *shape)


def run(model, x, delta, training=True, spare=None):
    """Forward and backward on ordinary arrays; lanes without a sample hold 0 or `spare`.

    Returns
    -------
    dict of str to ndarray
        Copies of y, dx, each parameter's gradient, and all parameters and running statistics.
    """
    packed = lanes.pack(x, model.dtype)
    by_sample = np.moveaxis(packed, -1, 1)  # (G, 16, ...), a view
    unused = (np.arange(packed.shape[0] * lanes.LANES) >= len(x)).reshape(-1, lanes.LANES)
    if spare is not None:
        by_sample[unused] = spare
    y = lanes.unpack(model.forward(packed, training, len(x)), len(x))
    dx = model.backward(lanes.pack(delta, model.dtype))
    assert not np.moveaxis(dx, -1, 1)[unused].any()
    gradients = {f"d {p.name}": p.grad.copy() for p in model.parameters()}
    return {"y": y, "dx": lanes.unpack(dx, len(x)), **gradients, **model.state_dict()}
