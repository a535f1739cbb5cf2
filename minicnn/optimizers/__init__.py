"""Optimizers: how a gradient changes a parameter.

An optimizer holds a list of parameters and, for each, the averages that its rule needs.
``step()`` reads every ``grad`` and changes every ``value`` in place. The rules are PyTorch's,
so that learning rates found there carry over, and so are the defaults but for the learning
rates of sgd and rmsprop; Lion, which PyTorch does not have, is its paper's. In the equations g is
the gradient, w the value, t = 1, 2, ... the step; averages start at zero.
"""

import inspect
import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np

from minicnn.checks import check_text, takes
from minicnn.errors import ArgumentError, unknown
from minicnn.hints.habits import no_such_name
from minicnn.kernels import update
from minicnn.optimizers.adam import Adam, AdamW, NAdam
from minicnn.optimizers.base import Optimizer, as_parameters
from minicnn.optimizers.lion import Lion
from minicnn.optimizers.muon import Muon
from minicnn.optimizers.rules import SGD, Adagrad, RMSProp
from minicnn.parameter import Parameter

__all__ = [
    "OPTIMIZERS", "SGD", "Adagrad", "Adam", "AdamW", "Lion", "Muon", "NAdam", "Optimizer",
    "RMSProp", "clip_grad_norm", "create", "settings",
]  # fmt: skip

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD, "adagrad": Adagrad, "rmsprop": RMSProp, "adam": Adam, "adamw": AdamW,
    "nadam": NAdam, "lion": Lion, "muon": Muon,
}  # fmt: skip


@takes(name=check_text)
def settings(name: str) -> dict[str, Any]:
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


@takes(name=check_text)
def create(name: str, parameters: Iterable[Parameter], **given: Any) -> Optimizer:
    """The optimizer of that name.

    Parameters
    ----------
    name : str
        ``sgd``, ``adagrad``, ``rmsprop``, ``adam``, ``adamw``, ``nadam``, ``lion`` or ``muon``.
    parameters : iterable of Parameter
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


def clip_grad_norm(parameters: Iterable[Parameter], max_norm: float) -> float:
    """Scale all gradients together so that their norm is at most `max_norm`.

    Pascanu, Mikolov & Bengio, *On the difficulty of training recurrent neural networks*,
    ICML 2013: g <- g max_norm / |g| where |g| > max_norm.

    Parameters
    ----------
    parameters : iterable of Parameter
        Their ``grad`` are changed in place.
    max_norm : float
        Above 0, and a normal number of the gradients' dtype.

    Returns
    -------
    float
        The Euclidean norm over all gradients before scaling. If it is NaN or infinite the
        gradients are left as they are, for the caller to see where that began.

    Raises
    ------
    ArgumentError
        If `max_norm` is not such a number, or there are no parameters, or one is there twice.
    """
    parameters = as_parameters(parameters, "clip_grad_norm")
    if not (isinstance(max_norm, numbers.Real) and max_norm > 0):
        raise ArgumentError(f"max_norm must be a number above 0, got {max_norm!r}.")
    for dtype in {parameter.grad.dtype for parameter in parameters}:
        if max_norm < np.finfo(dtype).tiny:
            raise ArgumentError(
                f"max_norm must be at least {np.finfo(dtype).tiny:.3g}, the smallest normal number"
                f" of the gradients' {dtype}, got {max_norm!r}."
            )
    norm = math.sqrt(sum(update.sum_of_squares(p.grad.reshape(-1)) for p in parameters))
    if max_norm < norm < math.inf:
        for parameter in parameters:
            parameter.grad *= max_norm / norm
    return norm


def __getattr__(name):
    raise no_such_name("minicnn.optimizers", name)
