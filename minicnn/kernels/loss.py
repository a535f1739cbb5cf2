"""Losses and their gradients, sample by sample: a few scores each, so no threads are woken.

Scores and gradients are in lanes, ``(G, K, 16)``; sample n is lane ``n % 16`` of group
``n // 16``. The value is summed over the samples in float64, in their order.
"""

import numpy as np

from minicnn.kernels import LANES
from minicnn.kernels.exponential import exp_of_difference
from minicnn.kernels.launch import kernel
from minicnn.kernels.scalar import two_sum


@kernel
def softmax_cross_entropy(scores, labels, smoothing, gradient):
    """Mean cross-entropy of the softmax of `scores`; fills `gradient`, shape (G, K, 16).

    The maximum m is taken out, so that exp never overflows, and its own term, which is 1, is
    added last, so that nothing is lost where the others are tiny::

        rest = sum over k of exp(s_k - m), without the first maximum
        log Z = log(1 + rest)                           p_k = exp(s_k - m) / (1 + rest)
        E = (1/N) sum over n, k of q_k (log Z - (s_k - m))
        dE/ds = (p - q) / N, for the label ((1 - q) - (1 - p)) / N

    All is computed in float64. A NaN or +infinity among the scores of a sample makes the value
    and the sample's gradient NaN, for all its classes; the gradients of other samples stay.
    """
    samples, classes = labels.size, scores.shape[1]
    off = smoothing / classes
    on, off_label = 1 - smoothing + off, smoothing - off
    total = 0.0
    for n in range(samples):
        g, lane, label, best = n // LANES, n % LANES, labels[n], 0
        for k in range(1, classes):
            if scores[g, k, lane] > scores[g, best, lane]:
                best = k
        top = np.float64(scores[g, best, lane])
        rest, others, rest_lost, others_lost = 0.0, 0.0, 0.0, 0.0
        for k in range(classes):
            e = exp_of_difference(np.float64(scores[g, k, lane]), top)
            gradient[g, k, lane] = e
            rest, lost = two_sum(rest, e if k != best else e - 1)
            rest_lost += lost
            others, lost = two_sum(others, e if k != label else 0.0)
            others_lost += lost
        rest, others = rest + rest_lost, others + others_lost
        partition, log_partition = 1 + rest, np.log1p(rest)
        for k in range(classes):
            q = on if k == label else off
            p = np.float64(gradient[g, k, lane]) / partition
            slope = off_label - others / partition if k == label else p - off
            gradient[g, k, lane] = slope / samples
            if q > 0:
                total += q * (log_partition - (np.float64(scores[g, k, lane]) - top))
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
