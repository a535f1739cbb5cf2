"""Losses of classes and their gradients, sample by sample: few scores, so one task does all.

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
    clear_spare_lanes(gradient, samples)
    value[0] = total / samples


@kernel
def weighted_cross_entropy(scores, coefficients, settings, gradient, value):
    """Fill `value[0]` with a weighted cross-entropy, focal if gamma is not 0, and `gradient`.

    `coefficients` are c_nk >= 0, (N, K) of float64, and `settings` D and gamma::

        E = (1/D) sum over n, k of c_nk (1 - p_nk)^gamma (-log p_nk)
        u_nk = c_nk (1 - p_nk)^gamma (gamma p_nk log p_nk / (1 - p_nk) - 1)
        dE/ds_nk = (u_nk - p_nk sum over j of u_nj) / D

    For gamma = 0, u = -c. Here 1 - p is ``1 - exp(log p)`` without cancellation.
    """
    parallel_for(_weighted_cross_entropy, 1, (scores, coefficients, settings, gradient, value))


@kernel
def _weighted_cross_entropy(tasks, scores, coefficients, settings, gradient, value):
    samples, classes = coefficients.shape
    divisor, gamma = settings[0], settings[1]
    room, best = np.empty((3 + classes, LANES)), np.empty(LANES, np.int64)
    top, rest, lost, exps = room[0], room[1], room[2], room[3:]
    slopes, total = np.empty(classes), 0.0
    for g in range(scores.shape[0]):
        _largest(scores[g], top, best)
        _exponentials(scores[g], top, exps)
        _sum_without(exps, best, rest, lost)
        for lane in range(min(LANES, samples - g * LANES)):
            n = g * LANES + lane
            rest[lane] += exps[best[lane], lane] - 1  # 0, or NaN if the maximum is infinite
            partition, log_partition, sum_of_slopes = 1 + rest[lane], np.log1p(rest[lane]), 0.0
            total += 0 * log_partition  # NaN is seen in samples that do not count, too
            for k in range(classes):
                c, slopes[k] = coefficients[n, k], 0.0
                if c > 0:
                    log_p = (np.float64(scores[g, k, lane]) - top[lane]) - log_partition
                    if gamma == 0:
                        slopes[k], total = -c, total - c * log_p
                    else:
                        focus, slope = _focal(exps[k, lane] / partition, log_p, gamma)
                        slopes[k], total = c * slope, total - c * focus * log_p
                sum_of_slopes += slopes[k]
            for k in range(classes):
                p = exps[k, lane] / partition
                gradient[g, k, lane] = (slopes[k] - p * sum_of_slopes) / divisor
    clear_spare_lanes(gradient, samples)
    value[0] = total / divisor


@kernel
def _focal(p, log_p, gamma):
    """``(1 - p)^gamma``, and u / c."""
    others = -np.expm1(log_p)
    focus = others**gamma
    if others == 0:
        ratio = -1.0
    elif p == 0:
        ratio = 0.0
    else:
        ratio = p * log_p / others
    return focus, focus * (gamma * ratio - 1)


@kernel
def negative_log_likelihood(scores, coefficients, settings, gradient, value):
    """Fill `value[0]` with ``-(1/D) sum of c_nk s_nk``, and `gradient` with -c / D.

    The scores are log p, `coefficients` c_nk, (N, K) of float64, and `settings[0]` is D. Where c is
    0 a score of -infinity adds nothing. NaN is seen in every score.
    """
    parallel_for(_negative_log_likelihood, 1, (scores, coefficients, settings, gradient, value))


@kernel
def _negative_log_likelihood(tasks, scores, coefficients, settings, gradient, value):
    samples, total = coefficients.shape[0], 0.0
    for n in range(samples):
        g, lane = n // LANES, n % LANES
        for k in range(coefficients.shape[1]):
            score, c = np.float64(scores[g, k, lane]), coefficients[n, k]
            seen = c != 0 or np.isnan(score)
            total -= c * score if seen else 0.0
            gradient[g, k, lane] = score if np.isnan(score) else -c / settings[0]
    clear_spare_lanes(gradient, samples)
    value[0] = total / settings[0]


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
def clear_spare_lanes(gradient, samples):
    """Zeros where there is no sample."""
    groups = gradient.shape[0]
    for n in range(samples, groups * LANES):
        for k in range(gradient.shape[1]):
            gradient[n // LANES, k, n % LANES] = 0
