"""ConvNeXt: residual blocks of a wide depthwise convolution and two linear layers at each pixel."""

from minicnn.checks import check_count, check_flag, takes
from minicnn.layers import GELU, GlobalAvgPool2d, LayerNorm, LayerNorm2d, LayerScale
from minicnn.layers.base import Layer
from minicnn.models import Residual
from minicnn.models.architectures.parts import Parts
from minicnn.models.sequential import Sequential

WIDTHS, DEPTHS = (96, 192, 384, 768), (3, 3, 9, 3)
EPS = 1e-6  # of all normalizations
SCALE = 1e-6  # from which LayerScale starts


@takes(parts=Parts, classes=check_count, small=check_flag)
def convnext_tiny(parts: Parts, classes: int, small: bool = False) -> list[Layer]:
    """Liu et al. 2022: 3, 3, 9 and 3 blocks, 96 to 768; relu is GELU; small: first 2×2.

    As published but for stochastic depth, which has no parameters.
    """
    layers: list[Layer] = []
    for width, depth in zip(WIDTHS, DEPTHS):
        if not layers:
            layers += [*_patches(parts, width, 2 if small else 4), LayerNorm2d(eps=EPS)]
        else:
            layers += [LayerNorm2d(eps=EPS), *_patches(parts, width, 2)]
        layers += [_block(parts, width) for _ in range(depth)]
    return [*layers, GlobalAvgPool2d(), LayerNorm(eps=EPS), *parts.scores(classes)]


def _patches(parts, channels, size):
    """A convolution of patches side by side: `size` times fewer pixels a side."""
    return parts.conv(channels, size, stride=size)[:1]


def _block(parts, channels):
    """Look around channel by channel, then widen and narrow each pixel; little of it at first."""
    active = GELU() if parts.activation == "relu" else parts.active()
    body = [
        *parts.conv(channels, 7, padding=3, groups=channels)[:1], LayerNorm2d(eps=EPS),
        *parts.conv(4 * channels, 1)[:1], active, *parts.conv(channels, 1)[:1], LayerScale(SCALE),
    ]  # fmt: skip
    return Residual(Sequential(*body))
