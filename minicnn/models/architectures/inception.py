"""Inception: blocks of branches with kernels of several sizes."""

from minicnn.checks import check_count, takes
from minicnn.layers import GlobalAvgPool2d, MaxPool2d
from minicnn.layers.base import Layer
from minicnn.models import Branches
from minicnn.models.architectures.parts import Parts
from minicnn.models.sequential import Sequential


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
