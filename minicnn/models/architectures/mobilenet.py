"""MobileNetV2: inverted residuals around depthwise convolutions."""

from minicnn.checks import check_count, check_flag, takes
from minicnn.layers import Dropout, GlobalAvgPool2d, ReLU6
from minicnn.layers.base import Layer
from minicnn.models import Residual
from minicnn.models.architectures.parts import Parts
from minicnn.models.sequential import Sequential

#: Expansion t, channels c, repeats n and the first one's stride s, by the paper's table 2.
STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip
FIRST, LAST = 32, 1280  # channels


@takes(parts=Parts, classes=check_count, small=check_flag)
def mobilenetv2(parts: Parts, classes: int, small: bool = False) -> list[Layer]:
    """Sandler et al. 2018: 17 inverted residuals; relu is ReLU6; small: first two strides 1."""
    layers = _active(parts, FIRST, stride=1 if small else 2)
    before = FIRST
    for expansion, channels, count, first_stride in STAGES:
        for index in range(count):
            stride = first_stride if index == 0 and not (small and channels == 24) else 1
            layers += _inverted_residual(parts, before, expansion, channels, stride)
            before = channels
    layers += [*_active(parts, LAST, 1), GlobalAvgPool2d(), Dropout(0.2)]
    return [*layers, *parts.scores(classes)]


def _inverted_residual(parts, before, expansion, channels, stride):
    """Widen by 1×1, look around by a depthwise 3×3, narrow by 1×1 without an activation."""
    wide = expansion * before
    body = [
        *(_active(parts, wide, 1) if expansion > 1 else []),
        *_active(parts, wide, stride=stride, groups=wide),
        *parts.normal_conv(channels, 1),
    ]
    return [Residual(Sequential(*body))] if stride == 1 and before == channels else body


def _active(parts, channels, kernel_size=3, **settings):
    active = ReLU6() if parts.activation == "relu" else parts.active()
    return [*parts.normal_conv(channels, kernel_size, **settings), active]
