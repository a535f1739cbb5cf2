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

    gives_away = True

    def __init__(self, scale):
        super().__init__()
        self.scale = check_pair(scale, "Upsample: scale", 1)

    def _build(self, rng):
        self._needs_images()
        channels, height, width = self.input_shape
        return channels, height * self.scale[0], width * self.scale[1]

    def forward(self, x, training=False, samples=None):
        """The larger images; shapes as in :meth:`Layer.forward`."""
        self.check_input(x)
        y = self._buffers.lanes("y", len(x), self.output_shape)
        kernels.upsample(x, y, self.scale)
        return y

    def backward(self, dy):
        """The sum over each block; shapes as in :meth:`Layer.backward`."""
        self.check_gradient(dy)
        dx = self._buffers.lanes("dx", len(dy), self.input_shape)
        kernels.upsample_gradient(dy, dx, self.scale)
        return dx

    def describe(self):
        """The scale."""
        return "x".join(map(str, self.scale))
