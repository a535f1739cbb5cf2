"""Short chains of layers, and chains of any depth: LeNet-5, small networks, plainN, mlp."""

from functools import partial

from minicnn.checks import check_count, takes
from minicnn.errors import ArgumentError
from minicnn.layers import BatchNorm, Flatten, MaxPool2d
from minicnn.layers.base import Layer
from minicnn.models.architectures.parts import MOST_LAYERS, Parts


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
def quick(parts: Parts, classes: int) -> list[Layer]:
    """For the fastest recipe: conv5×5 8 and 24, each pooled and then normalized, dense."""
    layers = []
    for channels in (8, 24):
        convolution, activation = parts.conv(channels, 5)
        # Pooled first: a quarter of the numbers is left to normalize.
        layers += [convolution, MaxPool2d(2), BatchNorm(), activation]
    return [*layers, Flatten(), *parts.scores(classes)]


@takes(parts=Parts, classes=check_count, depth=partial(check_count, most=MOST_LAYERS))
def plain(parts: Parts, classes: int, depth: int) -> list[Layer]:
    """N weight layers without shortcuts: N - 3 3×3 convs of 16, two of stride 2, dense 64, 64."""
    if depth < 4:
        raise ArgumentError(f"plain{depth}: needs at least 4 layers (one convolution), as plain4.")
    layers = []
    for index in range(depth - 3):
        layers += parts.conv(16, padding=1, stride=2 if index < 2 else 1)
    return [*layers, Flatten(), *parts.dense(64), *parts.dense(64), *parts.scores(classes)]


@takes(parts=Parts, classes=check_count)
def mlp(parts: Parts, classes: int, *widths: int) -> list[Layer]:
    """Dense layers only: mlp:300,100 has two hidden layers, mlp:400x5 five of 400."""
    hidden = [layer for width in widths for layer in parts.dense(width)]
    return [Flatten(), *hidden, *parts.scores(classes)]
