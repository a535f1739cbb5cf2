"""Muon: momentum whose steps are orthogonal matrices."""

from collections.abc import Iterable

import numpy as np

from minicnn import lanes
from minicnn.checks import check_count, check_flag
from minicnn.kernels import orthogonal, update
from minicnn.kernels.orthogonal import SIDE
from minicnn.optimizers.base import Optimizer, fraction, positive
from minicnn.optimizers.runs import Run
from minicnn.parameter import Parameter

MOST_STEPS = 100  # of Newton and Schulz; after ten nothing changes any more


class Muon(Optimizer):
    """Momentum for matrices, each of whose steps has singular values of about 1.

    A convolution's weight counts as a matrix, (outputs, inputs kh kw). For the weights of hidden
    layers::

        v <- momentum v + (1 - momentum) g
        O <- orthogonal((1 - momentum) g + momentum v)         of v, without Nesterov's momentum
        w <- (1 - lr weight_decay) w - lr √max(1, rows / columns) O

    where ``orthogonal(U S Vᵀ)`` is about ``U Vᵀ``, by steps of Newton and Schulz, see
    :mod:`minicnn.kernels.orthogonal`. So the weak directions of a gradient count as much as the
    strong ones. Biases, slopes and scales, and the weight of the last layer, follow a stochastic
    gradient descent with a learning rate of its own::

        v <- momentum v + g
        w <- (1 - lr weight_decay) w - sgd_lr_ratio lr (g + momentum v)

    Jordan et al., *Muon: an optimizer for hidden layers in neural networks* (2024). For matrices
    the conventions are those of ``torch.optim.Muon``, which takes nothing else.

    Parameters
    ----------
    parameters : iterable of Parameter
        In the model's order: the last that is a matrix is that of the scores.
    lr : float
        How far the singular values go in a step, above 0.
    momentum : float
        In [0, 1); may be set at any time.
    weight_decay : float
        At least 0; decoupled, as that of AdamW.
    nesterov : bool
        Whether to look ahead.
    ns_steps : int
        Steps of Newton and Schulz, at most 100; more bring the singular values nearer to 1.
    sgd_lr_ratio : float
        The learning rate of the descent over `lr`, above 0.

    Raises
    ------
    ArgumentError
        As `Optimizer`, or if a setting is out of range.
    """

    default_lr = 0.02
    kinds, rule = ("velocity",), staticmethod(update.sgd)
    momentum = fraction()
    sgd_lr_ratio = positive()

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
        nesterov: bool = True,
        ns_steps: int = 5,
        sgd_lr_ratio: float = 1.0,
    ):
        super().__init__(parameters, lr, weight_decay)
        self.momentum, self.sgd_lr_ratio = momentum, sgd_lr_ratio
        self.nesterov = check_flag(nesterov, "Muon: nesterov")
        self._ns_steps = check_count(ns_steps, "Muon: ns_steps", most=MOST_STEPS)
        self._allocate("velocity")
        matrices = [i for i, p in enumerate(self.parameters) if p.decay and p.value.ndim > 1]
        self._hidden = matrices[:-1]

    @property
    def ns_steps(self) -> int:
        """Steps of Newton and Schulz."""
        return self._ns_steps

    def numbers(self, decay: float) -> tuple[float, ...]:
        """The settings, as all kernels take them."""
        shrinkage = self.lr * decay
        rate = self.lr * self.sgd_lr_ratio
        return rate, self.momentum, 0.0, self.nesterov, shrinkage, self.lr

    def _change(self, run):
        if isinstance(run, _Matrix):
            orthogonal.muon(*run.arrays, *run.room, run.numbers, self._ns_steps)
            return
        if run.decay:
            orthogonal.shrink(run.value, run.numbers)
        super()._change(run)

    def _runs_of(self, indices, by_decay):
        """A run of its own for each hidden weight, and runs of the others."""
        kept, hidden = self._averages["velocity"], set(self._hidden)
        own = [_Matrix(self.parameters[i], kept[i]) for i in indices if i in hidden]
        rest = [i for i in indices if i not in hidden]
        return own + (super()._runs_of(rest, by_decay) if rest else [])


class _Matrix(Run):
    """A hidden layer's weight, the arrays as matrices, and room for its steps."""

    def __init__(self, parameter, velocity):
        super().__init__([parameter], {"velocity": [velocity]})
        rows, dtype = len(parameter.value), parameter.value.dtype
        arrays = self.value, self.grad, self.averages["velocity"]
        self.arrays = [array.reshape(rows, -1) for array in arrays]
        sides = (-(-side // SIDE) * SIDE for side in self.arrays[0].shape)
        short, long = sorted(sides)
        shapes = (short, long), (short, long), (long, short), (short, short), (short, short)
        self.room = [*(lanes.zeros(shape, dtype) for shape in shapes), np.zeros(rows)]
