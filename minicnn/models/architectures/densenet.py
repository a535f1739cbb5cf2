"""Densely connected networks."""

from functools import partial

from minicnn.checks import check_count, takes
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
