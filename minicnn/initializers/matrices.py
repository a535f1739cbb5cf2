"""Initializers that make a matrix: orthogonal, delta-orthogonal, identity."""

from dataclasses import dataclass, field

import numpy as np

from minicnn.checks import check_generator
from minicnn.initializers.base import Fans, Initializer
from minicnn.initializers.gains import factor


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """W Wᵀ = gain² I, or Wᵀ W = gain² I if W is tall, for W as the matrix out x rest.

    W is uniform among such matrices. The squares of its elements sum to gain² min(out, rest),
    so Var w = gain² / max(out, rest). `gain` is a number or the name of an activation. Saxe,
    McClelland & Ganguli, *Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks*, ICLR 2014 (arXiv 1312.6120).
    """

    gain: float | str = 1.0
    name = "orthogonal"

    def moments(self, fans: Fans | None, shape: tuple[int, ...] | None) -> tuple[float, float]:
        """Mean and variance of the weights."""
        gain = factor(self.gain)
        return 0.0, gain * gain / max(self._matrix(shape))

    def draw(
        self, shape: tuple[int, ...], fans: Fans | None, rng: np.random.Generator
    ) -> np.ndarray:
        """The weights, float64."""
        rows, columns = self._matrix(shape)
        return factor(self.gain) * _orthogonal(rows, columns, rng).reshape(shape)


@dataclass(frozen=True)
class DeltaOrthogonal(Orthogonal):
    """For each group an orthogonal matrix at the kernel's centre, and 0 elsewhere.

    Needs C_out >= C_in; with stride 1 and padding k // 2 the layer then keeps norms, times
    gain. A dense weight is as by `Orthogonal`. Xiao et al., *Dynamical isometry and a mean
    field theory of CNNs*, ICML 2018 (arXiv 1806.05393).
    """

    name = "delta-orthogonal"

    def moments(self, fans: Fans | None, shape: tuple[int, ...] | None) -> tuple[float, float]:
        """Mean and variance of the weights."""
        _, outputs, inputs, area = self._blocks(fans, shape)
        if shape and len(shape) > 2 and outputs < inputs:
            raise self._error(
                f"needs at least as many output as input channels in each group, got {outputs}"
                f" and {inputs}; use orthogonal here."
            )
        gain = factor(self.gain)
        return 0.0, gain * gain / (max(outputs, inputs) * area)

    def draw(
        self, shape: tuple[int, ...], fans: Fans | None, rng: np.random.Generator
    ) -> np.ndarray:
        """The weights, float64."""
        self.moments(fans, shape)
        groups, outputs, inputs, _ = self._blocks(fans, shape)
        blocks = [_orthogonal(outputs, inputs, rng) for _ in range(groups)]
        return factor(self.gain) * _at_centre(shape, groups, blocks)


@dataclass(frozen=True)
class Identity(Initializer):
    """w = 1 from each input channel to the output channel of the same number, 0 elsewhere.

    Dense: the identity matrix. Convolution: the 1s stand at the kernel's centre (Dirac's
    delta), group by group, so that stride 1 and padding k // 2 give y = x. Channels without
    a partner get 0. Promises mean p, the share of 1s, and variance p (1 - p), both exact.
    Zagoruyko & Komodakis, *DiracNets*, 2017 (arXiv 1706.00388).
    """

    name = "identity"

    def moments(self, fans: Fans | None, shape: tuple[int, ...] | None) -> tuple[float, float]:
        """Mean and variance of the weights."""
        _, outputs, inputs, area = self._blocks(fans, shape)
        p = 1 / (max(outputs, inputs) * area)
        return p, p * (1 - p)

    def draw(
        self, shape: tuple[int, ...], fans: Fans | None, rng: np.random.Generator
    ) -> np.ndarray:
        """The weights, float64."""
        groups, outputs, inputs, _ = self._blocks(fans, shape)
        return _at_centre(shape, groups, np.eye(outputs, inputs))


def _orthogonal(rows, columns, rng):
    """A matrix with orthonormal rows or columns, whichever are fewer, by Haar's measure.

    That is the Q of a Gaussian matrix with the signs that make R's diagonal positive;
    Mezzadri, *How to generate random matrices from the classical compact groups*, 2007.
    """
    check_generator(rng)
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.copysign(1, np.diagonal(r))
    return q if rows >= columns else q.T


def _at_centre(shape, groups, blocks):
    """A weight that is 0 but for `blocks`, a matrix for each group, at the kernel's centre."""
    weight = np.zeros((groups, shape[0] // groups, *shape[1:]))
    centre = (..., *(size // 2 for size in shape[2:]))
    weight[centre] = blocks
    return weight.reshape(shape)


@dataclass(frozen=True)
class LSUV(Orthogonal):
    """Orthogonal, to be scaled so that each layer's output has variance 1 on a batch of images.

    The weights that it draws are those of `Orthogonal` with gain 1, and that is the variance it
    promises. Who builds the model sees by `data_dependent` that :func:`minicnn.models.lsuv.lsuv` is
    to follow; the command line calls it, and from Python it is ``lsuv(model, images)`` after
    ``model.initialize``. Mishkin & Matas, *All you need is a good init*, ICLR 2016 (arXiv
    1511.06422).
    """

    gain: float = field(default=1.0, init=False, repr=False)
    name = data_dependent = "lsuv"
