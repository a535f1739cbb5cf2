"""A batch's loss and gradients, computed in parts where the batch is large.

A large batch is computed in parts of 64 or 128 samples, whose signals fit the processor's cache
(see :mod:`minicnn.parts`), and the parts' gradients are added: E is a mean over samples, so the
sum is the gradient of the whole. It takes a part's memory, too. Layers that mix samples, as batch
normalization does, need the whole at once.
"""

from minicnn.lanes import LANES, group_count
from minicnn.parts import part_size

PART = 128  # samples at most


def compute_gradients(model, loss, x, labels, look=None, passes=None):
    """Forward, loss and backward; fills the gradients of the model's parameters.

    Parameters
    ----------
    model : Sequential
    loss : Loss
    x : ndarray, shape (G, *input_shape, 16)
        A batch in lanes.
    labels : ndarray of int, shape (N,)
    look : callable, optional
        Is called as ``look(scores, n)`` for each part, with its n samples' scores in lanes.
    passes : Passes, optional
        Of this model, which then replay what was done for a batch in the same place.

    Returns
    -------
    float
        Mean loss over the N samples.
    """
    samples, size, passes = len(labels), part_size(model, PART), passes or model
    whole = samples <= size or any(layer.mixes_samples for layer in model.all_layers())
    if whole:
        size = samples
    value, sums = 0.0, None
    for start in range(0, samples, size):
        own = labels[start : start + size]
        share = len(own) / samples
        part = x if whole else x[start // LANES : group_count(start + len(own))]
        scores = passes.forward(part, True, len(own))
        mean, delta = loss(scores, own)
        if look is not None:
            look(scores, len(own))
        value += share * mean
        if not whole:
            delta *= share
        passes.backward(delta)
        if not whole:
            sums = _add(sums, model.parameters())
    if sums is not None:
        for parameter, total in zip(model.parameters(), sums):
            parameter.grad[...] = total
    return value


def _add(sums, parameters):
    if sums is None:
        return [parameter.grad.copy() for parameter in parameters]
    for total, parameter in zip(sums, parameters):
        total += parameter.grad
    return sums
