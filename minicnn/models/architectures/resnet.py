"""Residual networks: CIFAR's, ImageNet's, and a quick one."""

from functools import partial

from minicnn.checks import check_count, check_flag, takes
from minicnn.errors import ArgumentError
from minicnn.layers import Dense, GlobalAvgPool2d, MaxPool2d
from minicnn.layers.base import Layer
from minicnn.layers.scalars import Scale, Shift
from minicnn.models import Residual
from minicnn.models.architectures.parts import MOST_LAYERS, MOST_WIDTH, Parts
from minicnn.models.sequential import Sequential


@takes(parts=Parts, classes=check_count, depth=partial(check_count, most=MOST_LAYERS))
def resnet(parts: Parts, classes: int, depth: int) -> list[Layer]:
    """He et al. 2015 §4.2, N = 6 n + 2: three stages of n blocks, 16, 32 and 64 channels."""
    if depth < 8 or (depth - 2) % 6:
        raise ArgumentError(
            f"resnet{depth}: the depth must be 6 n + 2, as resnet8, resnet14, resnet20, resnet32;"
            " resnet18 and resnet34 are ImageNet's."
        )
    blocks = _blocks((16, 32, 64), 3 * [(depth - 2) // 6])
    if hasattr(parts.init, "branch_gate"):
        return _gated(parts, classes, [{}], blocks)
    layers = [*parts.normal_conv(16), parts.active()]
    return _residual(parts, classes, layers, blocks, lambda *block: None)


@takes(parts=Parts, classes=check_count, small=check_flag)
def resnet18(parts: Parts, classes: int, small: bool = False) -> list[Layer]:
    """He et al. 2015, table 1: four stages of 2 blocks, 64 to 512 channels; small: first 3×3."""
    return _imagenet(parts, classes, (2, 2, 2, 2), small)


@takes(parts=Parts, classes=check_count, small=check_flag)
def resnet34(parts: Parts, classes: int, small: bool = False) -> list[Layer]:
    """He et al. 2015, table 1: stages of 3, 4, 6 and 3 blocks, 64 to 512; small: first 3×3."""
    return _imagenet(parts, classes, (3, 4, 6, 3), small)


def _blocks(widths, counts):
    """Channels and stride of each residual block."""
    first = widths[0]
    return [
        (channels, 2 if channels > first and n == 0 else 1)
        for channels, count in zip(widths, counts)
        for n in range(count)
    ]


def _imagenet(parts, classes, counts, small):
    blocks = _blocks((64, 128, 256, 512), counts)
    if hasattr(parts.init, "branch_gate"):
        stem = [{}] if small else [{"kernel_size": 7, "stride": 2}, MaxPool2d(3, 2, 1)]
        return _gated(parts, classes, stem, blocks)

    def shortcut(channels, stride):
        return Sequential(*parts.normal_conv(channels, 1, stride=stride)) if stride > 1 else None

    return _residual(parts, classes, parts.stem(64, small), blocks, shortcut)


def _residual(parts, classes, layers, blocks, shortcut):
    """`layers`, then blocks with batch normalization; ``shortcut(channels, stride)`` of each."""
    for channels, stride in blocks:
        body = Sequential(
            *parts.normal_conv(channels, stride=stride), parts.active(),
            *parts.normal_conv(channels),
        )  # fmt: skip
        layers += [Residual(body, shortcut(channels, stride), parts.init), parts.active()]
    return [*layers, GlobalAvgPool2d(), *parts.scores(classes)]


def _gated(parts, classes, stem, blocks):
    """The same without batch normalization, as Fixup and ReZero start it.

    `stem` is the settings of the first convolution, and the layers behind it.
    """
    init = parts.init.of(len(blocks), 2)

    def shift():
        return [Shift()] if init.shifts else []

    def conv(channels, weights, kernel_size=3, **settings):
        settings |= {"padding": kernel_size // 2, "bias": False, "init": weights}
        convolution, _ = parts.conv(channels, kernel_size, **settings)
        return convolution

    def active():
        return [*shift(), parts.active()]

    first, *behind = stem
    layers = [conv(blocks[0][0], init.elsewhere, **first), *active(), *behind]
    for channels, stride in blocks:
        body = [
            *shift(), conv(channels, init.inner, stride=stride), *active(),
            *shift(), conv(channels, init.last), Scale(init.branch_gate), *shift(),
        ]  # fmt: skip
        layers += [Residual(Sequential(*body), init=init.elsewhere), parts.active()]
    return [*layers, GlobalAvgPool2d(), *shift(), Dense(classes, init=init.scores)]


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
