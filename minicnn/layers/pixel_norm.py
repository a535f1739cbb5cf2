"""Normalization of each pixel over its channels, as ConvNeXt has it."""

from minicnn.kernels import pixel_norm as kernels
from minicnn.lanes import LANES
from minicnn.layers.context import Array, Context
from minicnn.layers.group_norm import SampleNorm
from minicnn.layers.views import positions

EPS = 1e-6  # ConvNeXt's, torchvision's and timm's


class LayerNorm2d(SampleNorm):
    """Normalize the channels of each pixel by themselves: `LayerNorm` of channels, at every pixel.

    Over the C channels of the pixel (i, j) of a sample::

        mu = (1/C) sum over c of x[c, i, j]     var = (1/C) sum over c of (x[c, i, j] - mu)²
        y[c, i, j] = gamma[c] x_hat[c, i, j] + beta[c]        x_hat = (x - mu) / √(var + eps)

    The gradients are those of :class:`~minicnn.layers.group_norm.SampleNorm`, of groups that are
    pixels. It stands in ConvNeXt (Liu et al., *A ConvNet for the 2020s*, CVPR 2022), and is what
    timm and torchvision call ``LayerNorm2d``, which are told the number of channels, too: in
    PyTorch, ``layer_norm`` over the last axis of ``x.permute(0, 2, 3, 1)``. One that normalizes all
    pixels of a sample together, with a gamma and a beta for each channel, is ``GroupNorm(1)``.

    Parameters
    ----------
    eps : float
        Above 0, and a normal number of the model's dtype.
    affine : bool
        Whether there are gamma and beta, shape (C,), named ``weight`` and ``bias``.

    Raises
    ------
    ArgumentError
        For a setting out of range; and at `build` for an input that is no image, for images of
        one channel, whose variance is always 0, and for an `eps` too small for the dtype.
    """

    _plain_eps = EPS
    each_pixel = True

    def __init__(self, *, eps: float = EPS, affine: bool = True):
        super().__init__(eps, affine, "affine")
        self.affine = self._affine

    def _count_groups(self):
        self.needs_images()
        if self.input_shape[0] == 1:
            raise self.error(
                f"a pixel of a sample of shape {self.input_shape} is one number, which has no"
                " deviation to divide by: give more channels, or normalize the whole image by"
                " LayerNorm()."
            )
        return 1  # of channels

    def _parameter_shape(self):
        return self.input_shape[:1]

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """``gamma x_hat + beta``."""
        x, y = positions(x), positions(y)
        kernels.normalize(x, *self._weights(), self._terms, self._moments(x, ctx), y)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """Fill dE/dgamma, dE/dbeta and dE/dx."""
        x, dy = positions(x), positions(dy)
        moments = self._moments(x, ctx)
        if self.gamma is not None and self.beta is not None and self.learns:
            kernels.gradient_sums(x, dy, moments, self.gamma.grad, self.beta.grad)
        if dx is not None:
            kernels.normalize_gradient(x, dy, self._weights()[0], moments, positions(dx))

    def _moments(self, x, ctx):
        return ctx.keep("moments", (len(x), x.shape[2], 2, LANES))
