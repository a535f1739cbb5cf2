"""U-Net's paths over several scales, with skips across each."""

import numpy as np

from minicnn.checks import check_count, takes
from minicnn.layers import ConvTranspose2d, GlobalAvgPool2d, Identity, MaxPool2d, Upsample
from minicnn.layers.base import Layer
from minicnn.layers.context import Shape
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


@takes(parts=Parts, classes=check_count)
def unet_large(parts: Parts, classes: int) -> list[Layer]:
    """Ronneberger et al. 2015: four scales down and up, 64 to 1024 channels; batch norm.

    Transposed convolutions go up, as in the paper. Its convolutions are without padding and batch
    normalization, and it ends in a score for each pixel; this one in a mean over the image.
    """
    layers = _pair(parts, 1024)
    for channels in (512, 256, 128, 64):
        up = ConvTranspose2d(channels, 2, 2, init=parts.init)
        inner = Branches(Identity(), _Below(MaxPool2d(2), *layers, up))
        layers = [*_pair(parts, channels), inner, *_pair(parts, channels)]
    return [*layers, GlobalAvgPool2d(), *parts.scores(classes)]


def _pair(parts, channels):
    """Two 3×3 convolutions that keep the size, each normalized."""
    return [layer for _ in range(2) for layer in (*parts.normal_conv(channels), parts.active())]


def _across(layers):
    """Layers at half the height and width, and a skip over them."""
    return Branches(Identity(), Sequential(MaxPool2d(2), *layers, Upsample(2)))


class _Below(Sequential):
    """Layers at half the height and width, of which the last is a transposed convolution.

    An odd row or column, which the pool leaves out, comes back by that one's `output_padding`.
    """

    def setup(self, rng: np.random.Generator) -> Shape:
        """Say how many rows and columns come back; then as of `Sequential`."""
        up = self.layers[-1]
        if isinstance(up, ConvTranspose2d) and len(self.input_shape) == 3:
            up.output_padding = self.input_shape[1] % 2, self.input_shape[2] % 2
        return super().setup(rng)
