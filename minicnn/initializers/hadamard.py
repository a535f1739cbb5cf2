"""ZerO: a network from zeros, ones and Hadamard matrices, without random numbers."""

from dataclasses import dataclass

import numpy as np

from minicnn.initializers.base import Fans, Initializer
from minicnn.initializers.matrices import _at_centre


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

    def moments(self, fans: Fans | None, shape: tuple[int, ...] | None) -> tuple[float, float]:
        """Mean and variance of the weights."""
        _, outputs, inputs, area = self._blocks(fans, shape)
        matrix = _matrix(outputs, inputs)
        mean = matrix.mean() / area
        return mean, np.square(matrix).mean() / area - mean * mean

    def draw(
        self, shape: tuple[int, ...], fans: Fans | None, rng: np.random.Generator
    ) -> np.ndarray:
        """The weights, float64."""
        groups, outputs, inputs, _ = self._blocks(fans, shape)
        return _at_centre(shape, groups, _matrix(outputs, inputs))


def _matrix(outputs, inputs):
    if outputs <= inputs:
        return np.eye(outputs, inputs)
    h = np.ones((1, 1))
    while len(h) < outputs:  # Sylvester's construction
        h = np.block([[h, h], [h, -h]])
    return h[:outputs, :inputs] / np.sqrt(len(h))
