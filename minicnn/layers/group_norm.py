"""Normalization within each sample: of groups of channels, of each channel, or of everything."""

import math

import numpy as np

from minicnn.checks import check_count, check_flag, check_positive
from minicnn.initializers import Fans
from minicnn.kernels import group_norm as kernels
from minicnn.lanes import LANES
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context, Shape
from minicnn.layers.norm import check_eps

EPS = 1e-5  # PyTorch's


class SampleNorm(Layer):
    """Base of all normalizations within a sample; of a group of n numbers x::

        mu = (1/n) sum of x     var = (1/n) sum of (x - mu)²     x_hat = (x - mu) / √(var + eps)
        y = gamma x_hat + beta          d = gamma dE/dy

        dE/dgamma = sum of dE/dy x_hat        dE/dbeta = sum of dE/dy
        dE/dx = (d - (1/n) sum of d - x_hat (1/n) sum of d x_hat) / √(var + eps)

    The sums of dE/dgamma and dE/dbeta are over all that a parameter meets, in all samples.
    Training and evaluation are the same. Neither gamma nor beta has weight decay.
    """

    backward_in_place, _reads = "dy", ("x",)
    centred = True  # else mu is 0
    each_pixel = False  # whether groups of channels are normalized at each pixel by itself
    _plain_eps: float | None = EPS

    def __init__(self, eps: float | None, affine: bool, name: str):
        super().__init__()
        self._terms = np.zeros(1)  # eps, where a captured step finds it
        self._affine = check_flag(affine, f"{type(self).__name__}: {name}")
        self.eps = eps

    @property
    def eps(self) -> float | None:
        """What is added to the variance."""
        return self._eps

    @eps.setter
    def eps(self, value: float | None) -> None:
        if value is not None or self._plain_eps is not None:
            value = check_positive(value, f"{type(self).__name__}: eps")
        self._eps = value
        self._fill_terms()

    def _fill_terms(self):
        self._terms[0] = np.finfo(self.dtype).eps if self._eps is None else self._eps

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input and make the parameters."""
        shape = self.input_shape
        if self._eps is not None:
            check_eps(self, self._eps)
        self._fill_terms()
        self._groups = self._count_groups()
        if math.prod(shape) == self._groups:
            raise self.error(
                f"each group of a sample of shape {shape} is one number, which has no deviation"
                " to divide by: normalize fewer groups, larger images or more features."
            )
        self.gamma = self.beta = None
        own, fans = self._parameter_shape(), Fans(1, 1)
        if self._affine:
            self.gamma = self.add_parameter("weight", own, "ones", fans, rng, decay=False)
            if self.centred:
                self.beta = self.add_parameter("bias", own, "zeros", fans, rng, decay=False)
        count = math.prod(own) if self._affine or self.each_pixel else self._groups
        self._ones, self._zeros = np.ones(count, self.dtype), np.zeros(count, self.dtype)
        return shape

    def _count_groups(self):
        """How many groups a sample has."""
        return 1

    def _parameter_shape(self):
        """That of gamma and beta."""
        return self.input_shape

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """``gamma x_hat + beta``."""
        x_by_weight, y_by_weight = map(self._by_weight, (x, y))
        moments = self._moments(x, ctx)
        kernels.normalize(
            x_by_weight, *self._weights(), self._terms, self.centred, moments, y_by_weight
        )

    def recompute(self, x: Array, y: Array, ctx: Context) -> None:
        """As `forward` of the class, which finds the same moments again."""
        self.forward(x, y, ctx)

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """Fill dE/dgamma, dE/dbeta and dE/dx."""
        moments, (x, dy) = self._moments(x, ctx), map(self._by_weight, (x, dy))
        if self.gamma is not None and self.learns:
            d_beta = None if self.beta is None else self.beta.grad.reshape(-1)
            kernels.gradient_sums(x, dy, moments, self.gamma.grad.reshape(-1), d_beta)
        if dx is not None:
            kernels.normalize_gradient(
                x, dy, self._weights()[0], self.centred, moments, self._by_weight(dx)
            )

    def _weights(self):
        """gamma and beta, flat: ones and zeros where there are none."""
        gamma = self._ones if self.gamma is None else self.gamma.value.reshape(-1)
        return gamma, self._zeros if self.beta is None else self.beta.value.reshape(-1)

    def _by_weight(self, x):
        """``(G, C, ..., 16)`` as ``(G, W, R, 16)``: W weights, each of R numbers."""
        return x.reshape(len(x), self._ones.size, -1, LANES)

    def _moments(self, x, ctx):
        return ctx.keep("moments", (len(x), self._groups, 2, LANES))

    def describe(self) -> str:
        """What differs from the plain case."""
        eps = f"eps {self._eps:g}" if self._eps != self._plain_eps else ""
        return " ".join(word for word in (self._about(), eps) if word)

    def _about(self):
        return "" if self._affine else "without parameters"


class GroupNorm(SampleNorm):
    """Normalize groups of neighbouring channels, or features, of each sample.

    Over the n values of a group, which are C / num_groups channels at all positions::

        y = gamma x_hat + beta        x_hat = (x - mu) / √(var + eps)

    with a gamma and a beta for each channel; see :class:`SampleNorm` for mu, var (the biased one)
    and the gradients. One group normalizes the whole sample; C groups each channel, which
    :class:`InstanceNorm2d` does. Wu & He, *Group normalization*, ECCV 2018. It is
    ``torch.nn.GroupNorm``, which is told the number of channels, too.

    Parameters
    ----------
    num_groups : int
        Divides the number of channels.
    eps : float
        Above 0, and a normal number of the model's dtype.
    affine : bool
        Whether there are gamma and beta, shape (C,), named ``weight`` and ``bias``.

    Raises
    ------
    ArgumentError
        For a setting out of range; and at `build` for channels that cannot be divided, for groups
        of one number, whose variance is always 0, and for an `eps` too small for the dtype.
    """

    def __init__(self, num_groups: int, *, eps: float = EPS, affine: bool = True):
        self.num_groups = check_count(num_groups, "GroupNorm: num_groups")
        super().__init__(eps, affine, "affine")
        self.affine = self._affine

    def _count_groups(self):
        channels = self.input_shape[0]
        if channels % self.num_groups:
            raise self.error(
                f"num_groups must divide the number of channels, {channels}, got"
                f" {self.num_groups}: use {_divisors(channels)}."
            )
        return self.num_groups

    def _parameter_shape(self):
        return self.input_shape[:1]

    def _about(self):
        groups = f"{self.num_groups} group" + "s" * (self.num_groups > 1)
        return " ".join(word for word in (groups, super()._about()) if word)


def _divisors(count):
    found = [str(n) for n in range(1, count + 1) if count % n == 0]
    return ", ".join(found[:-1]) + " or " + found[-1] if len(found) > 1 else found[0]


class InstanceNorm2d(SampleNorm):
    """Normalize each channel of each image by itself, in training and evaluation alike.

    Over the n = H W pixels of a channel::

        y = gamma x_hat + beta        x_hat = (x - mu) / √(var + eps)

    See :class:`SampleNorm` for mu, var and the gradients. Ulyanov, Vedaldi & Lempitsky, *Instance
    normalization*, 2016 (arXiv 1607.08022). It is ``torch.nn.InstanceNorm2d``, which is told
    the number of channels, too, and can keep running statistics; this one has none.

    Parameters
    ----------
    eps : float
        Above 0, and a normal number of the model's dtype.
    affine : bool
        Whether there are gamma and beta, shape (C,), named ``weight`` and ``bias``; by default
        there are none, as in PyTorch.

    Raises
    ------
    ArgumentError
        For a setting out of range; and at `build` for an input that is no image, for images of
        one pixel, whose variance is always 0, and for an `eps` too small for the dtype.
    """

    def __init__(self, *, eps: float = EPS, affine: bool = False):
        super().__init__(eps, affine, "affine")
        self.affine = self._affine

    def _count_groups(self):
        self.needs_images()
        return self.input_shape[0]

    def _parameter_shape(self):
        return self.input_shape[:1]

    def _about(self):
        return "with parameters" if self.affine else ""


class LayerNorm(SampleNorm):
    """Normalize all of a sample together; every number has a gamma and a beta of its own.

    Over the n numbers of a sample, C H W or F::

        y = gamma x_hat + beta        x_hat = (x - mu) / √(var + eps)

    See :class:`SampleNorm` for mu, var (the biased one) and the gradients. Ba, Kiros & Hinton,
    *Layer normalization*, 2016 (arXiv 1607.06450). It is ``torch.nn.LayerNorm((C, H, W))``, or
    ``torch.nn.LayerNorm(F)``. With a gamma and a beta for each channel it is ``GroupNorm(1)``.

    Parameters
    ----------
    eps : float
        Above 0, and a normal number of the model's dtype.
    elementwise_affine : bool
        Whether there are gamma and beta, of the shape of a sample, named ``weight`` and ``bias``.

    Raises
    ------
    ArgumentError
        For a setting out of range; and at `build` for samples of one number, whose variance is
        always 0, and for an `eps` too small for the dtype.
    """

    def __init__(self, *, eps: float = EPS, elementwise_affine: bool = True):
        super().__init__(eps, elementwise_affine, "elementwise_affine")
        self.elementwise_affine = self._affine


class RMSNorm(SampleNorm):
    """Divide a sample by its root mean square; every number has a gamma of its own.

    Over the n numbers of a sample, C H W or F::

        y = gamma x_hat        x_hat = x / √((1/n) sum of x² + eps)        d = gamma dE/dy

        dE/dgamma = sum of dE/dy x_hat
        dE/dx = (d - x_hat (1/n) sum of d x_hat) / √((1/n) sum of x² + eps)

    Zhang & Sennrich, *Root mean square layer normalization*, NeurIPS 2019. It is
    ``torch.nn.RMSNorm((C, H, W))``, or ``torch.nn.RMSNorm(F)``.

    Parameters
    ----------
    eps : float, optional
        Above 0, and a normal number of the model's dtype; by default the distance from 1 to the
        next number of the dtype.
    elementwise_affine : bool
        Whether there is a gamma, of the shape of a sample, named ``weight``.

    Raises
    ------
    ArgumentError
        For a setting out of range; and at `build` for samples of one number, of which only the
        sign would be left, and for an `eps` too small for the dtype.
    """

    centred = False
    _plain_eps = None

    def __init__(self, *, eps: float | None = None, elementwise_affine: bool = True):
        super().__init__(eps, elementwise_affine, "elementwise_affine")
        self.elementwise_affine = self._affine
