"""Optimizers: how a gradient changes a parameter.

An optimizer holds a list of parameters and, for each, the averages that its rule needs.
``step()`` reads every ``grad`` and changes every ``value`` in place. The rules and their
defaults are PyTorch's, so that learning rates found there carry over. In the equations g
is the gradient, w the value, t = 1, 2, ... the step; averages start at zero.
"""

import inspect
import math
import numbers

import numpy as np

from minicnn.errors import ArgumentError, unknown
from minicnn.kernels import update


class Setting:
    """A number of an optimizer that is checked whenever it is set, by user or schedule."""

    def __init__(self, valid, expected):
        self.valid, self.expected = valid, expected

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, optimizer, owner=None):
        return self if optimizer is None else optimizer.__dict__[self.name]

    def __set__(self, optimizer, value):
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and self.valid(value)):
            raise ArgumentError(
                f"{type(optimizer).__name__}: {self.name} must be {self.expected}, got {value!r}."
            )
        optimizer.__dict__[self.name] = float(value)


def _positive():
    return Setting(lambda x: x > 0, "a number above 0")


def _fraction():
    return Setting(lambda x: 0 <= x < 1, "a number in [0, 1)")


class Optimizer:
    """Base of all optimizers.

    Parameters
    ----------
    parameters : list of Parameter
        The arrays to train, of float32 or float64; their order is the order of updates.
    lr : float
        Learning rate, above 0. May be set at any time, as a schedule does.
    weight_decay : float
        Strength of the pull towards zero; applies only where ``parameter.decay``.

    Attributes
    ----------
    steps : int
        How many steps have been taken.

    Raises
    ------
    ArgumentError
        For a setting out of range, or parameters that are missing or given twice.
    """

    lr = _positive()
    weight_decay = Setting(lambda x: x >= 0, "a number of at least 0")

    def __init__(self, parameters, lr, weight_decay=0.0):
        self.parameters = list(parameters)
        if not self.parameters:
            raise ArgumentError("an optimizer needs parameters, got none: build the model first.")
        for parameter in self.parameters:
            if parameter.value.dtype not in (np.float32, np.float64):
                raise ArgumentError(f"{parameter}: an optimizer needs float32 or float64.")
        if len({id(p) for p in self.parameters}) < len(self.parameters):
            raise ArgumentError("a parameter is in the list twice: it would be changed twice.")
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = 0
        self._averages = {}

    def step(self):
        """Change every parameter once, by its current gradient."""
        self.steps += 1
        self._step()

    def _allocate(self, kind):
        """Make one array of zeros for each parameter, unless they exist already."""
        if kind not in self._averages:
            self._averages[kind] = [np.zeros_like(p.value) for p in self.parameters]

    def _each(self, *kinds):
        """Yield value, grad, weight decay and averages (None if not kept), as flat views."""
        kept = [self._averages.get(kind, [None] * len(self.parameters)) for kind in kinds]
        for parameter, *averages in zip(self.parameters, *kept):
            value, grad = parameter.value, parameter.grad
            if grad.shape != value.shape or grad.dtype != value.dtype:
                raise ArgumentError(
                    f"the gradient of {parameter} has shape {grad.shape} and dtype "
                    f"{grad.dtype}: backward must keep those of the value."
                )
            yield (
                value.reshape(-1),
                grad.reshape(-1),
                self.weight_decay if parameter.decay else 0.0,
                *(a if a is None else a.reshape(-1) for a in averages),
            )

    def _named_averages(self):
        """All averages by name, such as ``"0.weight.velocity"``; not copies."""
        names = [p.name or str(i) for i, p in enumerate(self.parameters)]
        if len(set(names)) < len(names):
            raise ArgumentError(f"parameters share a name, so their state cannot: {names}.")
        return {
            f"{name}.{kind}": array
            for kind, arrays in self._averages.items()
            for name, array in zip(names, arrays)
        }

    def state_dict(self):
        """Copies of all that is needed to go on bit for bit, beside values and settings.

        Returns
        -------
        dict of str to ndarray
            ``"steps"`` (int64, shape ``()``) and, for each parameter, its averages under
            its name, such as ``"0.weight.velocity"``; a nameless one goes by its index.
        """
        state = {name: array.copy() for name, array in self._named_averages().items()}
        return {"steps": np.array(self.steps, dtype=np.int64), **state}

    def load_state_dict(self, state):
        """Take over what ``state_dict`` of an optimizer with the same settings returned.

        Raises
        ------
        ArgumentError
            If a name is missing or too many, or a shape or dtype differs; then nothing
            has been changed.
        """
        own = {"steps": np.array(self.steps, dtype=np.int64), **self._named_averages()}
        missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or extra:
            raise ArgumentError(
                f"the saved state is not one of this {type(self).__name__}: missing {missing}, "
                f"not known {extra}. Use the optimizer, settings and model it was saved with."
            )
        for name, array in own.items():
            given = np.asarray(state[name])
            if given.shape != array.shape or given.dtype != array.dtype:
                raise ArgumentError(
                    f"saved state {name!r}: expected shape {array.shape} and dtype "
                    f"{array.dtype}, got {given.shape} and {given.dtype}."
                )
        if state["steps"] < 0:
            raise ArgumentError(f"saved state 'steps' must be at least 0, got {state['steps']}.")
        for name, array in own.items():
            array[...] = state[name]
        self.steps = int(own["steps"])


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

    ::

        g <- g + weight_decay w
        v <- momentum v + g
        w <- w - lr v                     classical momentum
        w <- w - lr (g + momentum v)      Nesterov

    Momentum: Polyak, *Some methods of speeding up the convergence of iteration methods*,
    1964. Nesterov, *A method of solving a convex programming problem with convergence
    rate O(1/k²)*, 1983, in the form of Sutskever et al., *On the importance of
    initialization and momentum in deep learning*, ICML 2013, with v in units of gradients.

    Parameters
    ----------
    parameters, lr, weight_decay : see `Optimizer`
    momentum : float
        In [0, 1); may be set at any time. At 0 no velocity is kept.
    nesterov : bool
        Whether to look ahead; needs momentum.
    """

    default_lr = 0.03
    momentum = _fraction()

    def __init__(self, parameters, lr, momentum=0.0, weight_decay=0.0, nesterov=False):
        super().__init__(parameters, lr, weight_decay)
        self.momentum = momentum
        self.nesterov = bool(nesterov)
        if self.nesterov and not self.momentum:
            raise ArgumentError("SGD: nesterov needs a momentum above 0, such as 0.9.")
        if self.momentum:
            self._allocate("velocity")

    def _step(self):
        if self.momentum:
            self._allocate("velocity")
        for value, grad, decay, velocity in self._each("velocity"):
            update.sgd(value, grad, velocity, self.lr, self.momentum, decay, self.nesterov)


class RMSProp(Optimizer):
    """Gradients divided by a running average of their size.

    ::

        g <- g + weight_decay w
        s <- alpha s + (1 - alpha) g²
        v <- momentum v + g / (√s + eps)
        w <- w - lr v

    Hinton, *Neural networks for machine learning*, lecture 6e, 2012.

    Parameters
    ----------
    parameters, lr, weight_decay : see `Optimizer`
    alpha : float
        Share of the average that a step keeps, in [0, 1).
    eps : float
        Above 0; keeps the divisor from zero.
    momentum : float
        In [0, 1); may be set at any time. At 0 no velocity is kept.
    """

    default_lr = 0.001
    alpha = _fraction()
    eps = _positive()
    momentum = _fraction()

    def __init__(self, parameters, lr, alpha=0.99, eps=1e-8, momentum=0.0, weight_decay=0.0):
        super().__init__(parameters, lr, weight_decay)
        self.alpha, self.eps, self.momentum = alpha, eps, momentum
        self._allocate("square_average")
        if self.momentum:
            self._allocate("velocity")

    def _step(self):
        if self.momentum:
            self._allocate("velocity")
        for value, grad, decay, average, velocity in self._each("square_average", "velocity"):
            update.rmsprop(
                value, grad, average, velocity, self.lr, self.alpha, self.eps, self.momentum, decay
            )


class Adam(Optimizer):
    """Momentum and RMSProp in one, both corrected for their start at zero.

    ::

        g <- g + weight_decay w
        m <- beta1 m + (1 - beta1) g           m_hat = m / (1 - beta1^t)
        v <- beta2 v + (1 - beta2) g²          v_hat = v / (1 - beta2^t)
        w <- w - lr m_hat / (√v_hat + eps)

    Kingma & Ba, *Adam: a method for stochastic optimization*, ICLR 2015 (arXiv 1412.6980).

    Parameters
    ----------
    parameters, lr, weight_decay : see `Optimizer`
    betas : pair of float
        Share of each average that a step keeps, in [0, 1). The first is this rule's
        momentum; ``beta1`` and ``beta2`` may be set at any time.
    eps : float
        Above 0; keeps the divisor from zero.
    """

    default_lr = 0.001
    decoupled = False
    beta1 = _fraction()
    beta2 = _fraction()
    eps = _positive()

    def __init__(self, parameters, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(parameters, lr, weight_decay)
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ArgumentError(
                f"{type(self).__name__}: betas must be a pair such as (0.9, 0.999), got {betas!r}."
            )
        self.beta1, self.beta2 = betas
        self.eps = eps
        self._allocate("first_moment")
        self._allocate("second_moment")

    def _step(self):
        first_correction = 1 / (1 - self.beta1**self.steps)
        second_correction = 1 / (1 - self.beta2**self.steps)
        for value, grad, decay, first, second in self._each("first_moment", "second_moment"):
            update.adam(
                value, grad, first, second, self.lr, self.beta1, self.beta2, self.eps,
                first_correction, second_correction,
                0.0 if self.decoupled else decay,
                self.lr * decay if self.decoupled else 0.0,
            )  # fmt: skip


class AdamW(Adam):
    """Adam whose weight decay is not divided by the size of the gradients.

    ::

        w <- w - lr weight_decay w, then Adam without weight decay

    Loshchilov & Hutter, *Decoupled weight decay regularization*, ICLR 2019 (arXiv
    1711.05101). Parameters as in `Adam`.
    """

    decoupled = True

    def __init__(self, parameters, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        super().__init__(parameters, lr, betas, eps, weight_decay)


OPTIMIZERS = {"sgd": SGD, "rmsprop": RMSProp, "adam": Adam, "adamw": AdamW}


def settings(name):
    """Names and defaults of the settings that the optimizer called `name` takes, as a dict.

    Raises
    ------
    ArgumentError
        For an unknown name.
    """
    if name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    taken = {k: p.default for k, p in inspect.signature(OPTIMIZERS[name]).parameters.items()}
    del taken["parameters"]
    return {**taken, "lr": OPTIMIZERS[name].default_lr}


def create(name, parameters, **given):
    """The optimizer of that name.

    Parameters
    ----------
    name : str
        ``sgd``, ``rmsprop``, ``adam`` or ``adamw``.
    parameters : list of Parameter
        The arrays to train.
    **given
        Any of ``settings(name)``; the others keep their defaults.

    Raises
    ------
    ArgumentError
        For an unknown name, a setting that it does not take, or one out of range.
    """
    taken = settings(name)
    for setting in given:
        if setting not in taken:
            raise ArgumentError(f"{name} takes no {setting!r}; it takes {', '.join(taken)}.")
    return OPTIMIZERS[name](parameters, **{**taken, **given})


def clip_grad_norm(parameters, max_norm):
    """Scale all gradients together so that their norm is at most `max_norm`.

    Pascanu, Mikolov & Bengio, *On the difficulty of training recurrent neural networks*,
    ICML 2013: g <- g max_norm / |g| where |g| > max_norm.

    Parameters
    ----------
    parameters : list of Parameter
        Their ``grad`` are changed in place.
    max_norm : float
        Above 0.

    Returns
    -------
    float
        The Euclidean norm over all gradients before scaling. If it is NaN or infinite the
        gradients are left as they are, for the caller to see where that began.

    Raises
    ------
    ArgumentError
        If `max_norm` is not above 0.
    """
    if not max_norm > 0:
        raise ArgumentError(f"max_norm must be above 0, got {max_norm!r}.")
    norm = math.sqrt(sum(update.sum_of_squares(p.grad.reshape(-1)) for p in parameters))
    if max_norm < norm < math.inf:
        for parameter in parameters:
            parameter.grad *= max_norm / norm
    return norm
