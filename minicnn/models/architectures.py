"""Recipes of networks: lists of layers that share one activation and one initializer.

Each is written for any input size and number of classes. :mod:`minicnn.models.zoo` knows them by
name.
"""

from functools import partial
from typing import Any

from minicnn import initializers
from minicnn.checks import check_count, check_pair, takes
from minicnn.errors import ArgumentError
from minicnn.initializers import Initializer
from minicnn.layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    Identity,
    MaxPool2d,
    Upsample,
    activations,
)
from minicnn.layers.algorithms import check_name
from minicnn.layers.base import Layer
from minicnn.layers.scalars import Scale, Shift
from minicnn.models import Branches, Residual
from minicnn.models.sequential import Sequential

MOST_LAYERS, MOST_WIDTH = 10_000, 1_000
GROWTH = 12  # channels of a layer of densenetN


class Parts:
    """Makes layers that share one activation, one initializer of all weights, and one algorithm.

    See :func:`minicnn.layers.activations.from_string` for the first, and
    :class:`minicnn.layers.Conv2d` for the last, by which convolutions are computed.
    """

    def __init__(
        self, activation: str = "relu", init: str | Initializer = "msra", algorithm: str = "auto"
    ):
        activations.from_string(activation)
        self.activation, self.init = activation, initializers.from_string(init)
        self.algorithm = check_name(algorithm)

    def active(self) -> Layer:
        """A new activation layer."""
        return activations.from_string(self.activation)

    def conv(
        self, channels: int, kernel_size: int | tuple[int, int] = 3, **settings: Any
    ) -> list[Layer]:
        """A convolution and its activation."""
        check_pair(kernel_size, "kernel_size", 1)
        settings = {
            "init": self.init,
            "algorithm": self._fitting(kernel_size, settings),
            **settings,
        }
        return [Conv2d(channels, kernel_size, **settings), self.active()]

    def normal_conv(self, channels: int, **settings: Any) -> list[Layer]:
        """A 3×3 convolution with batch normalization in the place of a bias."""
        convolution, _ = self.conv(channels, padding=1, bias=False, **settings)
        return [convolution, BatchNorm()]

    def _fitting(self, kernel_size, settings):
        fits = kernel_size == 3 and settings.get("stride", 1) == 1
        return "auto" if self.algorithm == "winograd" and not fits else self.algorithm

    def dense(self, features: int) -> list[Layer]:
        """A dense layer and its activation."""
        return [Dense(features, init=self.init), self.active()]

    def scores(self, classes: int) -> list[Layer]:
        """The last layer: a score for each class."""
        return [Dense(classes, init=self.init)]


@takes(parts=Parts, classes=check_count)
def lenet5(parts: Parts, classes: int) -> list[Layer]:
    """LeCun et al. 1998: conv5×5 6, pool, conv5×5 16, pool, dense 120, 84; max pooling."""
    return [
        *parts.conv(6, 5, padding=2), MaxPool2d(2),
        *parts.conv(16, 5), MaxPool2d(2),
        Flatten(), *parts.dense(120), *parts.dense(84), *parts.scores(classes),
    ]  # fmt: skip


@takes(parts=Parts, classes=check_count)
def convnet(parts: Parts, classes: int) -> list[Layer]:
    """conv3×3 32, pool, conv3×3 64, pool, dense."""
    return [
        *parts.conv(32), MaxPool2d(2),
        *parts.conv(64), MaxPool2d(2),
        Flatten(), *parts.scores(classes),
    ]  # fmt: skip


@takes(parts=Parts, classes=check_count)
def mnist_example(parts: Parts, classes: int) -> list[Layer]:
    """PyTorch's MNIST example without dropout: conv3×3 32, 64, pool, dense 128."""
    return [
        *parts.conv(32), *parts.conv(64), MaxPool2d(2),
        Flatten(), *parts.dense(128), *parts.scores(classes),
    ]  # fmt: skip


@takes(parts=Parts, classes=check_count)
def vgg_small(parts: Parts, classes: int) -> list[Layer]:
    """Pairs of 3×3 convolutions of 32, 64 and 128 channels, each pair with a pool, dense."""
    layers = []
    for channels in (32, 64, 128):
        layers += [*parts.conv(channels, padding=1), *parts.conv(channels, padding=1)]
        layers += [MaxPool2d(2)]
    return [*layers, Flatten(), *parts.scores(classes)]


@takes(parts=Parts, classes=check_count)
def quick(parts: Parts, classes: int) -> list[Layer]:
    """For the fastest recipe: conv5×5 8 and 24, each pooled and then normalized, dense."""
    layers = []
    for channels in (8, 24):
        convolution, activation = parts.conv(channels, 5)
        # Pooled first: a quarter of the numbers is left to normalize.
        layers += [convolution, MaxPool2d(2), BatchNorm(), activation]
    return [*layers, Flatten(), *parts.scores(classes)]


@takes(parts=Parts, classes=check_count, width=partial(check_count, most=MOST_WIDTH))
def quick_resnet(parts: Parts, classes: int, width: int) -> list[Layer]:
    """Page 2018 (N = 64): conv3×3 N, 2 N, 4 N, 8 N, three pooled; residual after 2 N and 8 N."""
    layers = [*parts.normal_conv(width), parts.active()]
    for factor in (2, 4, 8):
        channels = factor * width
        convolution, norm = parts.normal_conv(channels)
        layers += [convolution, MaxPool2d(2), norm, parts.active()]
        if factor != 4:
            body = [
                part for _ in range(2) for part in (*parts.normal_conv(channels), parts.active())
            ]
            layers += [Residual(Sequential(*body), init=parts.init)]
    return [*layers, GlobalAvgPool2d(), *parts.scores(classes)]


@takes(parts=Parts, classes=check_count, depth=partial(check_count, most=MOST_LAYERS))
def plain(parts: Parts, classes: int, depth: int) -> list[Layer]:
    """N weight layers without shortcuts: N - 3 3×3 convs of 16, two of stride 2, dense 64, 64."""
    if depth < 4:
        raise ArgumentError(f"plain{depth}: needs at least 4 layers (one convolution), as plain4.")
    layers = []
    for index in range(depth - 3):
        layers += parts.conv(16, padding=1, stride=2 if index < 2 else 1)
    return [*layers, Flatten(), *parts.dense(64), *parts.dense(64), *parts.scores(classes)]


@takes(parts=Parts, classes=check_count, depth=partial(check_count, most=MOST_LAYERS))
def resnet(parts: Parts, classes: int, depth: int) -> list[Layer]:
    """He et al. 2015 §4.2, N = 6 n + 2: three stages of n blocks, 16, 32 and 64 channels."""
    if depth < 8 or (depth - 2) % 6:
        raise ArgumentError(
            f"resnet{depth}: the depth must be 6 n + 2, as resnet8, resnet14, resnet20, resnet32."
        )
    if hasattr(parts.init, "branch_gate"):
        return _gated_resnet(parts, classes, depth)
    layers = [*parts.normal_conv(16), parts.active()]
    for channels, stride in _blocks(depth):
        body = Sequential(
            *parts.normal_conv(channels, stride=stride), parts.active(),
            *parts.normal_conv(channels),
        )  # fmt: skip
        layers += [Residual(body, init=parts.init), parts.active()]
    return [*layers, GlobalAvgPool2d(), *parts.scores(classes)]


def _blocks(depth):
    """Channels and stride of each residual block."""
    count = (depth - 2) // 6
    return [(c, 2 if c > 16 and n == 0 else 1) for c in (16, 32, 64) for n in range(count)]


def _gated_resnet(parts, classes, depth):
    """The same without batch normalization, as Fixup and ReZero start it."""
    init = parts.init.of((depth - 2) // 2, 2)

    def shift():
        return [Shift()] if init.shifts else []

    def conv(channels, weights, **settings):
        convolution, _ = parts.conv(channels, padding=1, bias=False, init=weights, **settings)
        return convolution

    def active():
        return [*shift(), parts.active()]

    layers = [conv(16, init.elsewhere), *active()]
    for channels, stride in _blocks(depth):
        body = [
            *shift(), conv(channels, init.inner, stride=stride), *active(),
            *shift(), conv(channels, init.last), Scale(init.branch_gate), *shift(),
        ]  # fmt: skip
        layers += [Residual(Sequential(*body), init=init.elsewhere), parts.active()]
    return [*layers, GlobalAvgPool2d(), *shift(), Dense(classes, init=init.scores)]


@takes(parts=Parts, classes=check_count)
def inception(parts: Parts, classes: int) -> list[Layer]:
    """GoogLeNet's blocks of 1×1, 3×3, 5×5 and pooled branches, three of them; Szegedy 2015."""
    return [
        *parts.conv(32, padding=1), MaxPool2d(2),
        _inception(parts, 16, 32, 8, 8), _inception(parts, 32, 48, 24, 16), MaxPool2d(2),
        _inception(parts, 48, 64, 32, 16),
        GlobalAvgPool2d(), *parts.scores(classes),
    ]  # fmt: skip


def _inception(parts, one, three, five, pooled):
    """Channels of the four branches; the 3×3 and the 5×5 see half as many of a 1×1."""
    return Branches(
        Sequential(*parts.conv(one, 1)),
        Sequential(*parts.conv(three // 2, 1), *parts.conv(three, 3, padding=1)),
        Sequential(*parts.conv(five // 2, 1), *parts.conv(five, 5, padding=2)),
        Sequential(MaxPool2d(3, stride=1, padding=1), *parts.conv(pooled, 1)),
    )


@takes(parts=Parts, classes=check_count, depth=partial(check_count, most=MOST_LAYERS))
def densenet(parts: Parts, classes: int, depth: int) -> list[Layer]:
    """Huang et al. 2017, N = 3 n + 4: three blocks of n layers, each of which adds 12 channels."""
    if depth < 7 or (depth - 4) % 3:
        raise ArgumentError(
            f"densenet{depth}: the depth must be 3 n + 4, as densenet7, densenet16, densenet40."
        )

    def normal(channels, kernel_size):
        convolution, _ = parts.conv(channels, kernel_size, padding=kernel_size // 2, bias=False)
        return [BatchNorm(), parts.active(), convolution]

    channels, count = 16, (depth - 4) // 3
    layers = parts.conv(channels, padding=1, bias=False)[:1]
    for block in range(3):
        if block:
            layers += [*normal(channels, 1), AvgPool2d(2)]
        layers += [Branches(Identity(), Sequential(*normal(GROWTH, 3))) for _ in range(count)]
        channels += GROWTH * count
    return [*layers, BatchNorm(), parts.active(), GlobalAvgPool2d(), *parts.scores(classes)]


@takes(parts=Parts, classes=check_count)
def unet(parts: Parts, classes: int) -> list[Layer]:
    """Two scales down and up with skips, a residual block at the bottom; Ronneberger 2015."""
    bottom = [
        *parts.conv(64, padding=1),
        Residual(Sequential(*parts.conv(64, padding=1)), init=parts.init),
    ]
    middle = [*parts.conv(32, padding=1), _across(bottom), *parts.conv(32, padding=1)]
    return [
        *parts.conv(16, padding=1), _across(middle), *parts.conv(16, padding=1),
        GlobalAvgPool2d(), *parts.scores(classes),
    ]  # fmt: skip


def _across(layers):
    """Layers at half the height and width, and a skip over them."""
    return Branches(Identity(), Sequential(MaxPool2d(2), *layers, Upsample(2)))


@takes(parts=Parts, classes=check_count)
def mlp(parts: Parts, classes: int, *widths: int) -> list[Layer]:
    """Dense layers only: mlp:300,100 has two hidden layers, mlp:400x5 five of 400."""
    hidden = [layer for width in widths for layer in parts.dense(width)]
    return [Flatten(), *hidden, *parts.scores(classes)]
