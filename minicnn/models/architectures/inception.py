"""Inception: blocks of branches with kernels of several sizes."""

from minicnn.checks import check_count, check_flag, takes
from minicnn.layers import Dropout, GlobalAvgPool2d, MaxPool2d
from minicnn.layers.base import Layer
from minicnn.models import Branches
from minicnn.models.architectures.parts import Parts
from minicnn.models.sequential import Sequential

#: GoogLeNet's blocks by its table 1, and None for a pool.
BLOCKS = (
    (64, (96, 128), (16, 32), 32), (128, (128, 192), (32, 96), 64), None,
    (192, (96, 208), (16, 48), 64), (160, (112, 224), (24, 64), 64),
    (128, (128, 256), (24, 64), 64), (112, (144, 288), (32, 64), 64),
    (256, (160, 320), (32, 128), 128), None,
    (256, (160, 320), (32, 128), 128), (384, (192, 384), (48, 128), 128),
)  # fmt: skip


@takes(parts=Parts, classes=check_count)
def inception(parts: Parts, classes: int) -> list[Layer]:
    """GoogLeNet's blocks of 1×1, 3×3, 5×5 and pooled branches, three of them; Szegedy 2015."""

    def conv(channels, kernel_size):
        return parts.conv(channels, kernel_size, padding=kernel_size // 2)

    return [
        *conv(32, 3), MaxPool2d(2),
        _inception(conv, 5, 16, (16, 32), (4, 8), 8),
        _inception(conv, 5, 32, (24, 48), (12, 24), 16), MaxPool2d(2),
        _inception(conv, 5, 48, (32, 64), (16, 32), 16),
        GlobalAvgPool2d(), *parts.scores(classes),
    ]  # fmt: skip


@takes(parts=Parts, classes=check_count, small=check_flag)
def googlenet(parts: Parts, classes: int, small: bool = False) -> list[Layer]:
    """Szegedy 2015 as torchvision has it: normalized, 3×3 for 5×5; small: first 3×3."""

    def conv(channels, kernel_size):
        return [*parts.normal_conv(channels, kernel_size), parts.active()]

    def pool():
        return MaxPool2d(3, stride=2, padding=1)

    layers = [*parts.stem(64, small), *conv(64, 1), *conv(192, 3), *([] if small else [pool()])]
    layers += [pool() if block is None else _inception(conv, 3, *block) for block in BLOCKS]
    return [*layers, GlobalAvgPool2d(), Dropout(0.2), *parts.scores(classes)]


def _inception(conv, largest, one, three, five, pooled):
    """Channels of the four branches; a 1×1 narrows what the 3×3 and the largest kernel see."""
    return Branches(
        Sequential(*conv(one, 1)),
        Sequential(*conv(three[0], 1), *conv(three[1], 3)),
        Sequential(*conv(five[0], 1), *conv(five[1], largest)),
        Sequential(MaxPool2d(3, stride=1, padding=1), *conv(pooled, 1)),
    )
