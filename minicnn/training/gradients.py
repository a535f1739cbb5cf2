"""A batch's loss and gradients, computed in parts where the batch is large.

A large batch is computed in parts of 64 or 128 samples, whose signals fit the processor's cache
(see :mod:`minicnn.plan.micro_batches`), and the parts' gradients are added. Where E is a mean, each
part counts by its share of the batch's weight (:mod:`minicnn.losses.reduction`), so the sum is the
gradient of the whole. It takes a part's memory, too. Layers that mix samples, as batch
normalization does, need the whole at once.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.checks import check_callable, described
from minicnn.errors import ArgumentError
from minicnn.lanes import LANES, check_samples, group_count
from minicnn.losses import Loss, check_result
from minicnn.losses.reduction import adds, batch_weight
from minicnn.models import Sequential
from minicnn.models.sequential import initialized
from minicnn.plan import Passes
from minicnn.plan.micro_batches import micro_batch_size

PART = 128  # samples at most


def compute_gradients(
    model: Sequential,
    loss: Any,
    x: np.ndarray,
    labels: np.ndarray,
    look: Callable[[np.ndarray, int], None] | None = None,
    passes: Any = None,
) -> float:
    """Forward, loss and backward: fills the parameters' gradients, and gives the loss.

    Something that is not of its kind, a batch that does not fit the model, and no labels at all are
    an ArgumentError.

    Parameters
    ----------
    model, loss : Sequential, Loss
    x : ndarray, shape (G, *input_shape, 16)
        A batch in lanes.
    labels : ndarray of int, shape (N,)
        Or what else the loss takes.
    look : callable, optional
        Is called as ``look(scores, n)`` for each part, with its n samples' scores in lanes.
    passes : Passes or Sequential, optional
        Passes of this model replay what was done for a batch in the same place. With these, or
        the model itself, the rest is taken as it is: a Trainer has checked it before its steps.
    """
    if passes is None:
        loss = _checked(model, loss, x, labels, look)
        passes = model
    elif passes is not model and not isinstance(passes, Passes):
        raise ArgumentError(f"passes must be Passes of the model, got {described(passes)}.")
    samples, size = len(labels), micro_batch_size(model, PART)
    whole = samples <= size or any(layer.mixes_samples for layer in model.all_layers())
    if whole:
        size = samples
    weight = 0.0 if whole or adds(loss) else batch_weight(loss, labels)
    parameters, value = model.parameters(), 0.0
    sums: list[np.ndarray] = []
    for start in range(0, samples, size):
        own = labels[start : start + size]
        share = batch_weight(loss, own) / weight if weight else 1.0
        part = x if whole else x[start // LANES : group_count(start + len(own))]
        scores = passes.forward(part, True, len(own))
        # Where no sample of a part counts, the loss has no mean to give.
        part_value, delta = loss(scores, own) if share else (0.0, np.zeros_like(scores))
        if look is not None:
            look(scores, len(own))
        value += share * part_value
        if share != 1:
            delta *= share
        passes.backward(delta)
        if sums:
            for total, parameter in zip(sums, parameters):
                total += parameter.grad
        elif not whole:
            sums = [parameter.grad.copy() for parameter in parameters]
    for parameter, total in zip(parameters, sums):
        parameter.grad[...] = total
    return value


def _checked(model, loss, x, labels, look):
    """The loss, whose results are checked if others wrote it, after a look at all of these."""
    initialized(model)
    check_callable(loss, "loss", arguments=2)
    if look is not None:
        check_callable(look, "look", arguments=2)
    if not isinstance(labels, np.ndarray) or labels.ndim == 0 or len(labels) == 0:
        raise ArgumentError(
            f"labels must be an array with one for each sample, got {described(labels)}."
        )
    check_samples(x, len(labels))
    if isinstance(loss, Loss):
        return loss
    return lambda scores, own: check_result(loss(scores, own), scores)
