"""Densely connected networks: CIFAR's and ImageNet's."""

from functools import partial

from minicnn.checks import check_count, check_flag, takes
from minicnn.errors import ArgumentError
from minicnn.layers import AvgPool2d, BatchNorm, GlobalAvgPool2d, Identity
from minicnn.layers.base import Layer
from minicnn.models import Branches
from minicnn.models.architectures.parts import MOST_LAYERS, Parts
from minicnn.models.sequential import Sequential

GROWTH = 12  # channels of a layer of densenetN


@takes(parts=Parts, classes=check_count, depth=partial(check_count, most=MOST_LAYERS))
def densenet(parts: Parts, classes: int, depth: int) -> list[Layer]:
    """Huang et al. 2017, N = 3 n + 4: three blocks of n layers, each of which adds 12 channels."""
    if depth < 7 or (depth - 4) % 3:
        raise ArgumentError(
            f"densenet{depth}: the depth must be 3 n + 4, as densenet7, densenet16, densenet40."
        )
    first = parts.conv(16, padding=1, bias=False)[:1]
    return _dense(parts, classes, first, 16, 3 * [(depth - 4) // 3], GROWTH, False)


@takes(parts=Parts, classes=check_count, small=check_flag)
def densenet121(parts: Parts, classes: int, small: bool = False) -> list[Layer]:
    """Huang et al. 2017, table 1: blocks of 6, 12, 24 and 16 pairs of layers; small: first 3×3."""
    return _dense(parts, classes, parts.stem(64, small), 64, (6, 12, 24, 16), 32, True)


def _dense(parts, classes, layers, channels, counts, growth, compact):
    """`layers`, which give `channels`, then blocks of `counts`; a transition halves the size.

    With `compact`, DenseNet-BC, it halves the channels, too, and each layer sees a 1×1
    convolution of 4 growth channels.
    """

    def normal(channels, kernel_size):
        convolution, _ = parts.conv(channels, kernel_size, padding=kernel_size // 2, bias=False)
        return [BatchNorm(), parts.active(), convolution]

    for block, count in enumerate(counts):
        if block:
            channels //= 2 if compact else 1
            layers += [*normal(channels, 1), AvgPool2d(2)]
        for _ in range(count):
            narrow = normal(4 * growth, 1) if compact else []
            layers += [Branches(Identity(), Sequential(*narrow, *normal(growth, 3)))]
        channels += growth * count
    return [*layers, BatchNorm(), parts.active(), GlobalAvgPool2d(), *parts.scores(classes)]
