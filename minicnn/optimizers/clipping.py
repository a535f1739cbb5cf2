"""Gradient clipping as functions, to call between backward pass and step."""

import math
import numbers
from collections.abc import Iterable

import numpy as np

from minicnn.errors import ArgumentError
from minicnn.kernels import clip
from minicnn.optimizers.clipper import clip_together
from minicnn.parameter import Parameter, as_parameters, check_normal


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
    parameters = _checked(parameters, "clip_grad_norm", max_norm, "max_norm")
    grads = [parameter.grad.reshape(-1) for parameter in parameters]
    return math.sqrt(clip_together(grads, np.array([float(max_norm)]), np.zeros(0)).sum())


def clip_grad_value(parameters: Iterable[Parameter], max_value: float) -> None:
    """Bring each element of all gradients between ``-max_value`` and ``max_value``; NaN stays.

    Parameters
    ----------
    parameters : iterable of Parameter
        Their ``grad`` are changed in place.
    max_value : float
        Above 0, and a normal number of the gradients' dtype.

    Raises
    ------
    ArgumentError
        As `clip_grad_norm`.
    """
    for parameter in _checked(parameters, "clip_grad_value", max_value, "max_value"):
        clip.by_value(parameter.grad.reshape(-1), np.array([float(max_value)]))


def _checked(parameters, who, limit, name):
    """A list of the parameters, if the limit is a normal number above 0 of their dtypes."""
    parameters = as_parameters(parameters, who)
    if not (isinstance(limit, numbers.Real) and float(limit) > 0):
        raise ArgumentError(f"{name} must be a number above 0, got {limit!r}.")
    check_normal(parameters, float(limit), name, "gradients'")
    return parameters
