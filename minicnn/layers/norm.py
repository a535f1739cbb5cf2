"""Batch normalization, after convolutions and after dense layers alike."""

import numpy as np

from minicnn import initializers
from minicnn.checks import check_positive, is_finite, shown
from minicnn.errors import ArgumentError
from minicnn.initializers import Fans
from minicnn.kernels import normalize as kernels
from minicnn.lanes import LANES
from minicnn.layers.base import Layer


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

    rectifies = "output"
    gives_away = mixes_samples = True

    def __init__(self, *, eps=1e-5, momentum=0.1):
        super().__init__()
        self._terms = np.zeros(2)  # momentum and eps, where a captured step finds them
        self.eps, self.momentum = eps, momentum

    @property
    def momentum(self):
        """Share of a new batch in the running averages."""
        return float(self._terms[0])

    @momentum.setter
    def momentum(self, value):
        if not (is_finite(value) and 0 < value <= 1):
            raise ArgumentError(f"BatchNorm: momentum must be in (0, 1], got {shown(value)}.")
        self._terms[0] = value

    @property
    def eps(self):
        """What is added to the variance."""
        return float(self._terms[1])

    @eps.setter
    def eps(self, value):
        self._terms[1] = check_positive(value, "BatchNorm: eps")

    def _build(self, rng):
        least = np.finfo(self.dtype).tiny
        if self.eps < least:
            raise self._error(
                f"eps must be at least {least:.3g}, the smallest normal number of"
                f" {np.dtype(self.dtype)}, got {self.eps!r}."
            )
        channels = self.input_shape[0]
        one, fans = initializers.from_string("ones"), Fans(1, 1)
        nothing = initializers.from_string("zeros")
        self._make_parameter("weight", (channels,), one, fans, rng, decay=False)
        self._make_parameter("bias", (channels,), nothing, fans, rng, decay=False)
        self._running = {"running_mean": np.zeros(channels), "running_var": np.ones(channels)}
        self._moments, self._factors = np.zeros((2, channels)), np.zeros((3, channels))
        return self.input_shape

    def describe(self):
        """What differs from the plain case."""
        plain = (("eps", 1e-5), ("momentum", 0.1))
        return " ".join(f"{n} {getattr(self, n):g}" for n, v in plain if getattr(self, n) != v)

    def state(self):
        """The running mean and variance, float64, shape (C,)."""
        return dict(self._running)

    def forward(self, x, training=False, samples=None):
        """``gamma x_hat + beta``; shapes as in :meth:`Layer.forward`."""
        self.check_input(x, samples, training)
        samples = len(x) * LANES if samples is None else samples
        self._x, self._mask = _positions(x), self._buffers.lanes("mask", len(x), ())
        kernels.fill_mask(samples, self._mask)
        self._count = float(samples * self._x.shape[2]) if training else np.inf
        if training:
            self._mean, variance = self._batch_moments()
        else:
            self._mean, variance = self._running["running_mean"], self._running["running_var"]
        gamma, beta = (self._parameters[name].value for name in ("weight", "bias"))
        self._inverse, scale, shift = self._factors
        kernels.factors(self._terms, variance, gamma, beta, self._inverse, scale, shift)
        y = self._buffers.lanes("y", len(x), self.output_shape)
        self._y = _positions(y)
        kernels.normalize(self._x, self._mean, scale, shift, self.rectify, self._y)
        return y

    def backward(self, dy):
        """Fill dE/dgamma and dE/dbeta, return dE/dx; shapes as in :meth:`Layer.backward`."""
        self.check_gradient(dy)
        gamma, beta = self._parameters["weight"], self._parameters["bias"]
        dx = dy
        if not self.overwrites_gradient:
            dx = self._buffers.lanes("dx", len(dy), self.input_shape)
        dy, gate = _positions(dy), self._y if self.rectify else None
        kernels.gradient_sums(self._x, dy, gate, self._mean, self._inverse, gamma.grad, beta.grad)
        kernels.normalize_gradient(
            self._x, dy, gate, self._mask, self._mean, self._inverse,
            gamma.value, gamma.grad, beta.grad, self._count, _positions(dx),
        )  # fmt: skip
        return dx

    def _batch_moments(self):
        count = self._count
        if count < 2:
            raise self._error(
                "batch normalization needs at least two values of each channel to train, got a"
                " batch of one sample: use a batch size that leaves no single sample over."
            )
        mean, variance = self._moments
        kernels.moments(self._x, self._mask, count, mean, variance)
        kernels.follow(self._terms, count, mean, variance, *self._running.values())
        return mean, variance


def _positions(x):
    """``(G, C, ..., 16)`` as ``(G, C, P, 16)``, without a copy."""
    return x.reshape(x.shape[0], x.shape[1], -1, LANES)
