"""Batch normalization, after convolutions and after dense layers alike."""

import numpy as np

from minicnn.checks import check_number, check_positive, is_finite, shown, takes
from minicnn.errors import ArgumentError
from minicnn.initializers import Fans
from minicnn.kernels import batch_norm as kernels
from minicnn.lanes import LANES
from minicnn.layers.base import Layer
from minicnn.layers.context import Array, Context, Shape
from minicnn.layers.views import positions


@takes(layer=Layer, eps=check_number)
def check_eps(layer: Layer, eps: float) -> None:
    """Raise an ArgumentError unless `eps` is a normal number of a built layer's dtype."""
    least = float(np.finfo(layer.dtype).tiny)
    if eps < least:
        raise layer.error(
            f"eps must be at least {least:.3g}, the smallest normal number of"
            f" {np.dtype(layer.dtype)}, got {eps!r}."
        )


class BatchNorm(Layer):
    """Bring every channel, or feature, to mean beta and standard deviation gamma.

    Over the n values of a channel in the batch (samples, and positions of images)::

        mu = (1/n) sum of x     var = (1/n) sum of (x - mu)²     x_hat = (x - mu) / √(var + eps)
        y = gamma x_hat + beta

        dE/dbeta = sum of dE/dy        dE/dgamma = sum of dE/dy x_hat
        dE/dx = gamma / √(var + eps) (dE/dy - dE/dbeta / n - x_hat dE/dgamma / n)

    Evaluation takes running averages of mu and of the unbiased variance instead. Ioffe &
    Szegedy, *Batch normalization*, ICML 2015. Neither gamma nor beta has weight decay.

    Parameters
    ----------
    eps : float
        Above 0, and a normal number of the model's dtype.
    momentum : float
        Share of a new batch in the running averages, in (0, 1].

    Raises
    ------
    ArgumentError
        For a setting out of range (an `eps` below the dtype's normal numbers: at `build`, as
        ``1 / √eps`` may be infinite in it), and in training for a batch that gives a channel only
        one value: its variance does not exist.
    """

    fuses_relu, backward_in_place, _reads = "output", "dy", ("x",)
    mixes_samples = True

    def __init__(self, *, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self._terms = np.zeros(2)  # momentum and eps, where a captured step finds them
        self.eps, self.momentum = eps, momentum

    @property
    def momentum(self) -> float:
        """Share of a new batch in the running averages."""
        return float(self._terms[0])

    @momentum.setter
    def momentum(self, value: float) -> None:
        if not (is_finite(value) and 0 < value <= 1):
            raise ArgumentError(f"BatchNorm: momentum must be in (0, 1], got {shown(value)}.")
        self._terms[0] = value

    @property
    def eps(self) -> float:
        """What is added to the variance."""
        return float(self._terms[1])

    @eps.setter
    def eps(self, value: float) -> None:
        self._terms[1] = check_positive(value, "BatchNorm: eps")

    def setup(self, rng: np.random.Generator) -> Shape:
        """Check the input and make the parameters."""
        check_eps(self, self.eps)
        channels, fans = self.input_shape[0], Fans(1, 1)
        self.gamma = self.add_parameter("weight", (channels,), "ones", fans, rng, decay=False)
        self.beta = self.add_parameter("bias", (channels,), "zeros", fans, rng, decay=False)
        self._running = {"running_mean": np.zeros(channels), "running_var": np.ones(channels)}
        return self.input_shape

    def describe(self) -> str:
        """What differs from the plain case."""
        plain = (("eps", 1e-5), ("momentum", 0.1))
        return " ".join(f"{n} {getattr(self, n):g}" for n, v in plain if getattr(self, n) != v)

    def state(self) -> dict[str, Array]:
        """The running mean and variance, float64, shape (C,)."""
        return dict(self._running)

    def forward(self, x: Array, y: Array, ctx: Context) -> None:
        """``gamma x_hat + beta``."""
        x = positions(x)
        count = self._count(x, ctx)
        filled, (mean, variance, inverse, scale, shift) = self._arrays(x, ctx)
        kernels.mark_filled(ctx.samples, filled)
        if ctx.training:
            kernels.moments(x, filled, count, mean, variance)
            kernels.follow(self._terms, count, mean, variance, *self._running.values())
        gamma, beta = self.gamma.value, self.beta.value
        kernels.factors(self._terms, variance, gamma, beta, inverse, scale, shift)
        kernels.normalize(x, mean, scale, shift, ctx.relu, positions(y))

    def recompute(self, x: Array, y: Array, ctx: Context) -> None:
        """``gamma x_hat + beta`` by the moments that `forward` has found."""
        x = positions(x)
        _, (mean, _, _, scale, shift) = self._arrays(x, ctx)
        kernels.normalize(x, mean, scale, shift, ctx.relu, positions(y))

    def backward(self, x: Array, y: Array, dy: Array, dx: Array | None, ctx: Context) -> None:
        """Fill dE/dgamma, dE/dbeta and dE/dx."""
        x, dy, mask = positions(x), positions(dy), positions(y) if ctx.relu else None
        filled, (mean, _, inverse, *_) = self._arrays(x, ctx)
        d_gamma, d_beta = self.gamma.grad, self.beta.grad
        if not self.learns:  # dE/dx is made of both
            d_gamma, d_beta = ctx.keep("sums", (2, len(d_gamma)))
        kernels.gradient_sums(x, dy, mask, mean, inverse, d_gamma, d_beta)
        if dx is not None:
            kernels.normalize_gradient(
                x, dy, mask, filled, mean, inverse, self.gamma.value, d_gamma, d_beta,
                self._count(x, ctx), positions(dx),
            )  # fmt: skip

    def _count(self, x, ctx):
        """Values of each channel in the batch; infinite where nothing depends on the batch."""
        if not ctx.training:
            return np.inf
        count = float(ctx.samples * x.shape[2])
        if count < 2:
            raise self.error(
                "batch normalization needs at least two values of each channel to train, got a"
                " batch of one sample: use a batch size that leaves no single sample over."
            )
        return count

    def _arrays(self, x, ctx):
        """The mask of lanes with samples; and of each channel mean, variance and three factors."""
        filled = ctx.keep("filled", (len(x), LANES))
        if not ctx.training:
            return filled, [*self._running.values(), *ctx.keep("factors", (3, x.shape[1]), float)]
        return filled, ctx.keep("moments and factors", (5, x.shape[1]), float)
