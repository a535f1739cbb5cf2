"""Upsample: images grow by whole factors."""

from minicnn.checks import check_pair
from minicnn.kernels import upsample as kernels
from minicnn.layers.base import Layer


class Upsample(Layer):
    """Nearest-neighbour upsampling: every pixel becomes a block of its copies.

    ::

        y[c, i, j] = x[c, i // s, j // s]
        dE/dx[c, i, j] = sum over u, v < s of dE/dy[c, s i + u, s j + v]

    It is what ``torch.nn.Upsample(scale_factor=s)`` computes.

    Parameters
    ----------
    scale : int or pair of int
        Of the height and the width, at least 1.

    Raises
    ------
    ArgumentError
        For a scale that is no such number, and at `build` for an input that is no image.
    """

    def __init__(self, scale):
        super().__init__()
        self.scale = check_pair(scale, "Upsample: scale", 1)

    def setup(self, rng):
        """Check the input's shape; see :meth:`Layer.setup`."""
        self.needs_images()
        channels, height, width = self.input_shape
        return channels, height * self.scale[0], width * self.scale[1]

    def forward(self, x, y, ctx):
        """The larger images."""
        kernels.upsample(x, y, self.scale)

    def backward(self, x, y, dy, dx, ctx):
        """The sum over each block."""
        kernels.upsample_gradient(dy, dx, self.scale)

    def backward_reads(self, training):
        """Nothing."""
        return ()

    def describe(self):
        """The scale."""
        return "x".join(map(str, self.scale))
