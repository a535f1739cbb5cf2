"""Losses and their gradients, sample by sample: a few scores each, so one task does them all.

Scores and gradients are in lanes, ``(G, K, 16)``; sample n is lane ``n % 16`` of group
``n // 16``. The value is summed over the samples in float64, in their order.
"""

import numpy as np

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for
from minicnn.kernels.simd.exponential import exp_of_difference
from minicnn.kernels.simd.scalar import two_sum


@kernel
def softmax_cross_entropy(scores, labels, smoothing, gradient, value):
    """Fill `value[0]` with the mean cross-entropy of the softmax of `scores`, and `gradient`.

    `gradient` is of the shape of `scores`, (G, K, 16); `smoothing[0]` is float64.

    The maximum m is taken out, so that exp never overflows, and its own term, which is 1, is
    added last, so that nothing is lost where the others are tiny::

        rest = sum over k of exp(s_k - m), without the first maximum
        log Z = log(1 + rest)                           p_k = exp(s_k - m) / (1 + rest)
        E = (1/N) sum over n, k of q_k (log Z - (s_k - m))
        dE/ds = (p - q) / N, for the label ((1 - q) - (1 - p)) / N

    All is computed in float64, sixteen samples at a time. A NaN or +infinity among the scores of
    a sample makes the value and the sample's gradient NaN, for all its classes; the gradients of
    other samples stay.
    """
    parallel_for(_softmax_cross_entropy, 1, (scores, labels, smoothing, gradient, value))


@kernel
def _softmax_cross_entropy(tasks, scores, labels, smoothing, gradient, value):
    samples, classes = labels.size, scores.shape[1]
    off = smoothing[0] / classes
    on, off_label = 1 - smoothing[0] + off, smoothing[0] - off
    room, numbers = np.empty((5 + classes, LANES)), np.empty((2, LANES), np.int64)
    top, rest, others, partition, lost, exps = room[0], room[1], room[2], room[3], room[4], room[5:]
    best, label = numbers[0], numbers[1]
    total = 0.0
    for g in range(scores.shape[0]):
        own = labels[g * LANES : (g + 1) * LANES]
        for lane in range(LANES):
            label[lane] = own[lane] if lane < own.size else 0
        _largest(scores[g], top, best)
        _exponentials(scores[g], top, exps)
        _sum_without(exps, best, rest, lost)
        _sum_without(exps, label, others, lost)
        for lane in range(LANES):
            rest[lane] += exps[best[lane], lane] - 1  # 0, or NaN if the maximum is infinite
            partition[lane] = 1 + rest[lane]
        _slopes(exps, label, others, partition, off, off_label, samples, gradient[g])
        for lane in range(own.size):
            log_partition = np.log1p(rest[lane])
            for k in range(classes):
                q = on if k == label[lane] else off
                if q > 0:
                    total += q * (log_partition - (np.float64(scores[g, k, lane]) - top[lane]))
    _clear_spare_lanes(gradient, samples)
    value[0] = total / samples


@kernel
def soft_cross_entropy(scores, targets, smoothing, gradient, value):
    """As `softmax_cross_entropy`, of probabilities `targets`, (N, K) of float64, that add up to 1.

    q_k is ``(1 - smoothing) t_k + smoothing / K``, and dE/ds = (p - q) / N.
    """
    parallel_for(_soft_cross_entropy, 1, (scores, targets, smoothing, gradient, value))


@kernel
def _soft_cross_entropy(tasks, scores, targets, smoothing, gradient, value):
    samples, classes = targets.shape
    off, on = smoothing[0] / classes, 1 - smoothing[0]
    room, best = np.empty((2 + classes, LANES)), np.empty(LANES, np.int64)
    top, partition, exps = room[0], room[1], room[2:]
    total = 0.0
    for g in range(scores.shape[0]):
        _largest(scores[g], top, best)
        _exponentials(scores[g], top, exps)
        partition[:] = 0
        for k in range(classes):
            for lane in range(partition.size):
                partition[lane] += exps[k, lane]
        for lane in range(min(LANES, samples - g * LANES)):
            n, log_partition = g * LANES + lane, np.log(partition[lane])
            for k in range(classes):
                q = on * targets[n, k] + off
                gradient[g, k, lane] = (exps[k, lane] / partition[lane] - q) / samples
                if q > 0:
                    total += q * (log_partition - (np.float64(scores[g, k, lane]) - top[lane]))
    _clear_spare_lanes(gradient, samples)
    value[0] = total / samples


# In what follows the lanes are counted by `top.size` and the like: a loop of a known length of 16
# LLVM unrolls before it can make vectors of it.


@kernel
def _largest(scores, top, best):
    """The largest score of each lane, and the first class that has it."""
    for lane in range(top.size):
        top[lane], best[lane] = scores[0, lane], 0
    for k in range(1, scores.shape[0]):
        for lane in range(top.size):
            above = scores[k, lane] > top[lane]
            top[lane] = scores[k, lane] if above else top[lane]
            best[lane] = k if above else best[lane]


@kernel
def _exponentials(scores, top, exps):
    for k in range(scores.shape[0]):
        for lane in range(top.size):
            exps[k, lane] = exp_of_difference(np.float64(scores[k, lane]), top[lane])


@kernel
def _sum_without(terms, left_out, total, lost):
    """The sum over the classes but one, in each lane; what its rounding takes is added last."""
    for lane in range(total.size):
        total[lane], lost[lane] = 0, 0
    for k in range(terms.shape[0]):
        for lane in range(total.size):
            term = 0.0 if k == left_out[lane] else terms[k, lane]
            total[lane], rounding = two_sum(total[lane], term)
            lost[lane] += rounding
    for lane in range(total.size):
        total[lane] += lost[lane]


@kernel
def _slopes(exps, label, others, partition, off, off_label, samples, gradient):
    for k in range(exps.shape[0]):
        for lane in range(others.size):
            p, rest = exps[k, lane] / partition[lane], others[lane] / partition[lane]
            gradient[k, lane] = (off_label - rest if k == label[lane] else p - off) / samples


@kernel
def mean_squared_error(scores, targets, gradient, value):
    """Fill `value[0]` with the mean of (s - t)², and `gradient` with 2 (s - t) / (N K)."""
    parallel_for(_mean_squared_error, 1, (scores, targets, gradient, value))


@kernel
def _mean_squared_error(tasks, scores, targets, gradient, value):
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
    value[0] = total / (samples * outputs)


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
