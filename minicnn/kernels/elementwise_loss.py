"""Losses that compare each score with a target of its own, and their gradients.

Scores and gradients are in lanes, ``(G, K, 16)``. Each term is a function of one score, its target
and a parameter, which gives its value and its derivative in float64; `LOOPS` has the loops over
them. Sums are in float64, in the order of the samples.
"""

import numpy as np
from numba.extending import register_jitable

from minicnn.kernels import LANES
from minicnn.kernels.loss import clear_spare_lanes
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for

LEAST_LOG = -100.0  # of a probability, as PyTorch has it
LEAST_SPREAD = 1e-12  # of p (1 - p) in a denominator, as PyTorch has it


@register_jitable
def smooth_l1(score, target, beta):
    """``d² / (2 beta) if |d| < beta else |d| - beta / 2`` of ``d = s - t``; 0 at d = 0."""
    d = score - np.float64(target)
    size = abs(d)
    if size < beta:
        return d / beta * d / 2, d / beta
    sign = 1.0 if d > 0 else (-1.0 if d < 0 else d)  # NaN stays
    return size - beta / 2, sign


@register_jitable
def logistic(score, shares, _):
    """``a log(1 + exp(-s)) + b log(1 + exp(s))`` of shares (a, b), without overflow."""
    a, b = shares[0], shares[1]
    e = np.exp(-abs(score))
    rest, above = np.log1p(e), score > 0
    towards, against = rest + (0.0 if above else -score), rest + (score if above else 0.0)
    small, large = e / (1 + e), 1 / (1 + e)
    slope = b * large - a * small if above else b * small - a * large
    return a * towards + b * against, slope


@register_jitable
def sigmoid_focal(score, shares, gamma):
    """``a q^gamma (t log(1 + exp(-s)) + (1 - t) log(1 + exp(s)))`` of shares (t, a).

    ``q = p (1 - t) + (1 - p) t`` is how wrong ``p = 1 / (1 + exp(-s))`` is.
    """
    t, a = shares[0], shares[1]
    e = np.exp(-abs(score))
    small, large, above = e / (1 + e), 1 / (1 + e), score > 0
    p, rest = (large, small) if above else (small, large)
    value, slope = logistic(score, (t, 1 - t), 0.0)
    q = p * (1 - t) + rest * t
    ratio = p * rest * (1 - 2 * t) / q if q > 0 else 0.0  # q' / q
    scale = a * q**gamma
    return scale * value, scale * (slope + gamma * value * ratio) + 0 * score


@register_jitable
def bernoulli(p, shares, _):
    """``-a log p - b log(1 - p)`` of shares (a, b), the logarithms at least -100.

    NaN outside of [0, 1]. The derivative's denominator p (1 - p) is at least 1e-12.
    """
    a, b = shares[0], shares[1]
    value = -a * _bounded_log(p) - b * _bounded_log(1 - p)
    spread = p * (1 - p)
    spread = LEAST_SPREAD if spread < LEAST_SPREAD else spread
    return value, (b * p - a * (1 - p)) / spread + 0 * value


@register_jitable
def _bounded_log(x):
    logarithm = np.log(x)
    return LEAST_LOG if logarithm < LEAST_LOG else logarithm


def _loop(term):
    """The loop over a term's values: ``E = (1/D) sum of them``."""

    @kernel
    def loss(scores, targets, settings, gradient, value):
        """Fill `value[0]` and `gradient`; `targets` is (N, K, ...), `settings` D, a parameter."""
        parallel_for(_loss, 1, (scores, targets, settings, gradient, value))

    @kernel
    def _loss(tasks, scores, targets, settings, gradient, value):
        samples, total = targets.shape[0], 0.0
        for n in range(samples):
            g, lane = n // LANES, n % LANES
            for k in range(targets.shape[1]):
                score = np.float64(scores[g, k, lane])
                one, slope = term(score, targets[n, k], settings[1])
                total += one
                gradient[g, k, lane] = slope / settings[0]
        clear_spare_lanes(gradient, samples)
        value[0] = total / settings[0]

    return loss


@kernel
def mean_squared_error(scores, targets, settings, gradient, value):
    """Fill `value[0]` with ``(1/D) sum of (s - t)²``, and `gradient` with 2 (s - t) / D."""
    parallel_for(_mean_squared_error, 1, (scores, targets, settings, gradient, value))


@kernel
def _mean_squared_error(tasks, scores, targets, settings, gradient, value):
    real = scores.dtype.type
    samples, outputs = targets.shape
    share = real(2) / real(settings[0])
    total = 0.0
    for n in range(samples):
        g, lane = n // LANES, n % LANES
        for k in range(outputs):
            difference = scores[g, k, lane] - targets[n, k]
            gradient[g, k, lane] = difference * share
            total += np.float64(difference) * np.float64(difference)
    clear_spare_lanes(gradient, samples)
    value[0] = total / settings[0]


LOOPS = {
    "squares": mean_squared_error, "smooth-l1": _loop(smooth_l1), "logistic": _loop(logistic),
    "bernoulli": _loop(bernoulli), "sigmoid-focal": _loop(sigmoid_focal),
}  # fmt: skip
