"""AlexNet and VGG: convolutions in a row, then dense layers of 4096."""

from minicnn.checks import check_count, check_flag, takes
from minicnn.layers import BatchNorm, Dropout, Flatten, GlobalAvgPool2d, MaxPool2d
from minicnn.layers.base import Layer
from minicnn.models.architectures.parts import Parts

A, D = (1, 1, 2, 2, 2), (2, 2, 3, 3, 3)  # convolutions of each stage, by VGG's table 1
CHANNELS = (64, 128, 256, 512, 512)


@takes(parts=Parts, classes=check_count)
def vgg_small(parts: Parts, classes: int) -> list[Layer]:
    """Pairs of 3×3 convolutions of 32, 64 and 128 channels, each pair with a pool, dense."""
    layers = []
    for channels in (32, 64, 128):
        layers += [*parts.conv(channels, padding=1), *parts.conv(channels, padding=1)]
        layers += [MaxPool2d(2)]
    return [*layers, Flatten(), *parts.scores(classes)]


@takes(parts=Parts, classes=check_count, small=check_flag)
def alexnet(parts: Parts, classes: int, small: bool = False) -> list[Layer]:
    """Krizhevsky 2014: five convs of 64 to 384, dense 4096, 4096; small: first 3×3, one dense."""
    first = parts.conv(64, padding=1) if small else parts.conv(64, 11, stride=4, padding=2)
    layers = [
        *first, MaxPool2d(3, stride=2),
        *parts.conv(192, 5, padding=2), MaxPool2d(3, stride=2),
        *parts.conv(384, padding=1), *parts.conv(256, padding=1), *parts.conv(256, padding=1),
        MaxPool2d(3, stride=2), Flatten(),
    ]  # fmt: skip
    if not small:
        layers += [Dropout(), *parts.dense(4096), Dropout(), *parts.dense(4096)]
    return [*layers, *parts.scores(classes)]


@takes(parts=Parts, classes=check_count, small=check_flag)
def vgg11(parts: Parts, classes: int, small: bool = False) -> list[Layer]:
    """Simonyan & Zisserman 2015, net A: 8 convs, dense 4096, 4096; small: one dense."""
    return _vgg(parts, classes, A, small, [])


@takes(parts=Parts, classes=check_count, small=check_flag)
def vgg11_bn(parts: Parts, classes: int, small: bool = False) -> list[Layer]:
    """vgg11 with batch normalization."""
    return _vgg(parts, classes, A, small, [BatchNorm])


@takes(parts=Parts, classes=check_count, small=check_flag)
def vgg16(parts: Parts, classes: int, small: bool = False) -> list[Layer]:
    """Simonyan & Zisserman 2015, net D: 13 convs, dense 4096, 4096; small: one dense."""
    return _vgg(parts, classes, D, small, [])


@takes(parts=Parts, classes=check_count, small=check_flag)
def vgg16_bn(parts: Parts, classes: int, small: bool = False) -> list[Layer]:
    """vgg16 with batch normalization."""
    return _vgg(parts, classes, D, small, [BatchNorm])


def _vgg(parts, classes, counts, small, normal):
    """Convolutions keep their bias before a normalization, as PyTorch's do."""
    layers = []
    for stage, (channels, count) in enumerate(zip(CHANNELS, counts)):
        for _ in range(count):
            convolution, active = parts.conv(channels, padding=1)
            layers += [convolution, *(norm() for norm in normal), active]
        # Of 28×28 a single pixel is left by then, which this window keeps; of 32×32 it sees all.
        last = small and stage == len(counts) - 1
        layers += [MaxPool2d(3, stride=2, padding=1) if last else MaxPool2d(2)]
    if small:
        return [*layers, GlobalAvgPool2d(), *parts.scores(classes)]
    hidden = [*parts.dense(4096), Dropout(), *parts.dense(4096), Dropout()]
    return [*layers, Flatten(), *hidden, *parts.scores(classes)]
