"""Optimizers: how a gradient changes a parameter.

An optimizer holds a list of parameters and, for each, the averages that its rule needs.
``step()`` reads every ``grad`` and changes every ``value`` in place. The rules are PyTorch's,
so that learning rates found there carry over, and so are the defaults but for the learning
rates of sgd and rmsprop; Lion, which PyTorch does not have, is its paper's. In the equations g is
the gradient, w the value, t = 1, 2, ... the step; averages start at zero.
"""

import inspect
from collections.abc import Iterable
from typing import Any

from minicnn.checks import check_text, takes
from minicnn.errors import ArgumentError, unknown
from minicnn.hints.habits import no_such_name
from minicnn.optimizers.adam import Adam, AdamW, NAdam
from minicnn.optimizers.base import Optimizer
from minicnn.optimizers.clipping import clip_grad_norm, clip_grad_value
from minicnn.optimizers.groups import Group
from minicnn.optimizers.lion import Lion
from minicnn.optimizers.muon import Muon
from minicnn.optimizers.rules import SGD, Adagrad, RMSProp
from minicnn.parameter import Parameter

__all__ = [
    "OPTIMIZERS", "SGD", "Adagrad", "Adam", "AdamW", "Group", "Lion", "Muon", "NAdam", "Optimizer",
    "RMSProp", "clip_grad_norm", "clip_grad_value", "create", "settings",
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


def __getattr__(name):
    raise no_such_name("minicnn.optimizers", name)
