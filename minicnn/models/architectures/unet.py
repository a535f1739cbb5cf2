"""U-Net's paths over several scales, with skips across each."""

from minicnn.checks import check_count, takes
from minicnn.layers import GlobalAvgPool2d, Identity, MaxPool2d, Upsample
from minicnn.layers.base import Layer
from minicnn.models import Branches, Residual
from minicnn.models.architectures.parts import Parts
from minicnn.models.sequential import Sequential


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
