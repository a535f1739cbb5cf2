"""Initializers that make a matrix: orthogonal, delta-orthogonal, identity, Hadamard's."""

from dataclasses import dataclass, field

import numpy as np

from minicnn.checks import check_generator
from minicnn.initializers.base import Fans, Initializer, Shape
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

    def moments(self, fans: Fans | None, shape: Shape | None) -> tuple[float, float]:
        """Mean and variance of the weights."""
        gain = factor(self.gain)
        return 0.0, gain * gain / max(self._matrix(shape))

    def draw(self, shape: Shape, fans: Fans | None, rng: np.random.Generator) -> np.ndarray:
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

    def moments(self, fans: Fans | None, shape: Shape | None) -> tuple[float, float]:
        """Mean and variance of the weights."""
        _, outputs, inputs, area = self._blocks(fans, shape)
        if shape and len(shape) > 2 and outputs < inputs:
            raise self._error(
                f"needs at least as many output as input channels in each group, got {outputs}"
                f" and {inputs}; use orthogonal here."
            )
        gain = factor(self.gain)
        return 0.0, gain * gain / (max(outputs, inputs) * area)

    def draw(self, shape: Shape, fans: Fans | None, rng: np.random.Generator) -> np.ndarray:
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

    def moments(self, fans: Fans | None, shape: Shape | None) -> tuple[float, float]:
        """Mean and variance of the weights."""
        _, outputs, inputs, area = self._blocks(fans, shape)
        p = 1 / (max(outputs, inputs) * area)
        return p, p * (1 - p)

    def draw(self, shape: Shape, fans: Fans | None, rng: np.random.Generator) -> np.ndarray:
        """The weights, float64."""
        groups, outputs, inputs, _ = self._blocks(fans, shape)
        return _at_centre(shape, groups, np.eye(outputs, inputs))


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


@dataclass(frozen=True)
class ZerO(Initializer):
    """ZerO: the identity, or where a layer widens a Hadamard matrix; nothing is random.

    For P outputs and Q inputs, of each group and at the kernel's centre only::

        P <= Q:  w[o, i] = 1 if o = i else 0
        P > Q:   w[o, i] = 2^(-m/2) H[o, i]        H Hadamard's matrix of size 2^m, 2^m >= P

    The identity alone would leave the units beyond Q without a signal and keep the rank of
    their weights at Q for ever; Hadamard's rows mix all inputs into every unit. But the first
    Q columns of H have only as many different rows as the power of 2 from Q on, and behind a
    single input channel all rows are equal: such units are told apart by nothing but the
    layer after them, if at all (:mod:`minicnn.lab.symmetry.certificate` tells). Columns of H are
    orthogonal, so that if P is a power of 2 the layer keeps norms.

    Zhao, Schäfer & Anandkumar, *ZerO initialization: initializing neural networks with only
    zeros and ones*, TMLR 2022 (arXiv 2110.12661), Algorithms 1 and 2, with the factor of its
    authors' program. Promises the exact mean and variance. Zeros for the last convolution of
    a residual branch, as the paper has them, are the architecture's to choose.
    """

    name = "hadamard"

    def moments(self, fans: Fans | None, shape: Shape | None) -> tuple[float, float]:
        """Mean and variance of the weights."""
        _, outputs, inputs, area = self._blocks(fans, shape)
        matrix = _hadamard(outputs, inputs)
        mean = matrix.mean() / area
        return mean, np.square(matrix).mean() / area - mean * mean

    def draw(self, shape: Shape, fans: Fans | None, rng: np.random.Generator) -> np.ndarray:
        """The weights, float64."""
        groups, outputs, inputs, _ = self._blocks(fans, shape)
        return _at_centre(shape, groups, _hadamard(outputs, inputs))


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


def _hadamard(outputs, inputs):
    """The block of `ZerO`."""
    if outputs <= inputs:
        return np.eye(outputs, inputs)
    h = np.ones((1, 1))
    while len(h) < outputs:  # Sylvester's construction
        h = np.block([[h, h], [h, -h]])
    return h[:outputs, :inputs] / np.sqrt(len(h))
