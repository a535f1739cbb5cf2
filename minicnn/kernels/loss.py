"""Losses and their gradients, sample by sample: a few scores each, so no threads are woken.

Scores and gradients are in lanes, ``(G, K, 16)``; sample n is lane ``n % 16`` of group
``n // 16``. The value is summed over the samples in float64, in their order.
"""

import numpy as np

from minicnn.kernels import LANES
from minicnn.kernels.launch import kernel


@kernel
def softmax_cross_entropy(scores, labels, smoothing, gradient):
    """Mean cross-entropy of the softmax of `scores`; fills `gradient`, shape (G, K, 16).

    The maximum m is taken out, so that exp never overflows::

        log Z = m + log sum over k of exp(s_k - m)      p_k = exp(s_k - m) / Z'
        E = (1/N) sum over n, k of q_k (log Z - s_k)    dE/ds = (p - q) / N
    """
    real = scores.dtype.type
    samples, classes = labels.size, scores.shape[1]
    share = real(1) / real(samples)
    off, on = real(smoothing / classes), real(1 - smoothing + smoothing / classes)
    total = 0.0
    for n in range(samples):
        g, lane = n // LANES, n % LANES
        top = scores[g, 0, lane]
        for k in range(1, classes):
            top = max(top, scores[g, k, lane])
        partition = real(0)
        for k in range(classes):
            e = np.exp(scores[g, k, lane] - top)
            gradient[g, k, lane] = e
            partition += e
        log_partition = np.log(partition)
        for k in range(classes):
            p, q = gradient[g, k, lane] / partition, on if k == labels[n] else off
            gradient[g, k, lane] = (p - q) * share
            if q > 0:
                total += np.float64(q * (log_partition - (scores[g, k, lane] - top)))
    _clear_spare_lanes(gradient, samples)
    return total / samples


@kernel
def mean_squared_error(scores, targets, gradient):
    """Mean of (s - t)² over samples and outputs; fills `gradient` with 2 (s - t) / (N K)."""
    real = scores.dtype.type
    samples, outputs = targets.shape
    share = real(2) / real(samples * outputs)
    total = 0.0
    for n in range(samples):
        g, lane = n // LANES, n % LANES
        for k in range(outputs):
            difference = scores[g, k, lane] - targets[n, k]
            gradient[g, k, lane] = difference * share
            total += np.float64(difference) * np.float64(difference)
    _clear_spare_lanes(gradient, samples)
    return total / (samples * outputs)


@kernel
def are_classes(labels, classes):
    """Whether all labels are in [0, classes)."""
    for label in labels:
        if label < 0 or label >= classes:
            return False
    return True


@kernel
def predict(scores, classes):
    """The class with the largest score of each sample, the first of equals, into `classes`."""
    for n in range(classes.size):
        g, lane = n // LANES, n % LANES
        best = 0
        for k in range(1, scores.shape[1]):
            if scores[g, k, lane] > scores[g, best, lane]:
                best = k
        classes[n] = best


@kernel
def _clear_spare_lanes(gradient, samples):
    groups = gradient.shape[0]
    for n in range(samples, groups * LANES):
        for k in range(gradient.shape[1]):
            gradient[n // LANES, k, n % LANES] = 0
