"""The two ends of the way back: dE/d(scores), where it starts, and the gradients of weights.

Deltas of different samples nearly cancel in the gradient of a weight, as labels differ: it
hangs on products of *pairs* of samples, signal and gradient, not on second moments alone.

For the package itself: it checks nothing of what it is handed.
"""

import numpy as np

from minicnn.errors import ArgumentError
from minicnn.lab.theory.finite_width import Moment
from minicnn.lab.theory.forward import ROUGH
from minicnn.lab.theory.gradient import Gradient
from minicnn.lab.theory.maps import Field, shaped, through_windows, window_sums
from minicnn.lab.theory.moments import correlation
from minicnn.lab.theory.signal import Signal
from minicnn.layers import Conv2d, Dense

DRAWS = 256  # of the scores
GROWTH = 1.1  # by which the scores' second moment is raised to see what that changes
LEAST = 0.1  # of the sum over single samples: what a sum over all pairs is taken to be at least
ROUNDING = 1e-6  # of a sum in float32, over its number of terms
EXACT = 1e-3  # relative error of a sum in float32 of terms that partly cancel


def at_scores(signal: Signal, classes: int, labels: np.ndarray | None) -> Gradient:
    """dE/d(scores) of the softmax cross-entropy, ``(p - y) / N``, for Gaussian scores.

    The scores of each class are draws of the signal's field; the mean is taken over a fixed
    set of draws of all classes together. Without labels, an int array of shape (N,), it is as if
    they were drawn evenly and independently.
    """
    pairs, n = signal.field.pairs[:, :, 0, 0], signal.field.samples
    size = np.maximum(np.diag(pairs), 0)
    # What is summed over pairs of samples: for deltas, for weight gradients, for biases'.
    weights = [np.eye(n), np.ones((n, n)), correlation(size[:, None], size, pairs)]
    product, sums, share = _softmax_products(pairs, classes, labels, weights)
    grown = _softmax_products(pairs * GROWTH, classes, labels, weights)[1]
    variances = [_variance(s, g, signal.variance) for s, g in zip(sums, grown)]
    same = np.trace(product) / n
    cross = (product.sum() - np.trace(product)) / max(n * (n - 1), 1)
    return Gradient(
        shaped((1, 1), product, same, cross), share[:, None, None], carried=variances[0],
        summed=max(variances) - variances[0],
    )  # fmt: skip


def _variance(sums, grown, varying):
    """Relative variance over draws, and by that of the scores' second moment."""
    mean, other = np.mean(sums), np.mean(grown)
    if not (mean > 0 and other > 0):
        return 0.0
    elasticity = np.log(other / mean) / np.log(GROWTH)
    return float(np.var(sums) / mean**2 + elasticity**2 * varying)


def _softmax_products(pairs, classes, labels, weights):
    """E[delta_n delta_m], mean over the classes; each draw's sums by `weights`; E[dp/ds] / N."""
    n = len(pairs)
    try:
        values, vectors = np.linalg.eigh(pairs)
    except np.linalg.LinAlgError:
        raise ArgumentError(
            "the scores' second moments are not finite: the images or the weights are too large."
        ) from None
    root = vectors * np.sqrt(np.maximum(values, 0))
    rng = np.random.default_rng(0)
    total, sums, share = np.zeros((n, n)), [], np.zeros(n)
    # E[dp/ds] is E[s p] / E[s²] too, which draws tell better where p is mostly 0 or 1.
    large, size = np.diag(pairs) > 1, np.maximum(np.diag(pairs), 1)
    alike = np.full((n, n), 1 / classes)
    np.fill_diagonal(alike, 1.0)
    for _ in range(DRAWS):
        scores = rng.standard_normal((classes, n)) @ root.T
        p = np.exp(scores - scores.max(0))
        p /= p.sum(0)
        if labels is None:
            each = p.T @ p + alike - 2 / classes
        else:
            delta = p - (np.arange(classes)[:, None] == labels)
            each = delta.T @ delta
        sums.append([(each * weight).sum() for weight in weights])
        total += each
        share += np.where(large, scores * (p - 1 / classes) / size, p * (1 - p)).mean(0)
    return total / (DRAWS * classes * n * n), np.transpose(sums), share / (DRAWS * n)


def weight_gradient(layer: Conv2d | Dense, gradient: Gradient, signal: Signal) -> Moment:
    """E[(dE/dw)²], the mean over a layer's weights: the sum over pairs of gradient times input.

    ``Σ over samples n, m and positions i, j of E[delta delta'] E[x x']``; the tap's x. Off the
    diagonal of positions by the mean products over samples.
    """
    source = signal.field
    if isinstance(layer, Conv2d):
        taps = np.full(layer.kernel_size, 1 / np.prod(layer.kernel_size))
        window = (taps, layer.stride, layer.padding, layer.dilation, layer.output_shape[1:])
        source = through_windows(source, window_sums, *window)
    else:
        spatial = (_diagonal(array).mean() for array in (source.same, source.cross))
        source = shaped((1, 1), source.pairs.mean((2, 3)), *spatial)
    if gradient.balanced:
        # What is constant in the input meets a sum of 0.
        source = source.centred()
    chain = gradient.chain + (2 / signal.units if signal.own else 0)
    return Moment(*_of_sum(gradient, source, chain, signal.variance, signal.rough))


def bias_gradient(gradient: Gradient) -> Moment:
    """E[(dE/db)²]: the same with an input of 1."""
    ones = Field(*map(np.ones_like, gradient.field))
    floor = gradient.field.moment * (ROUNDING * gradient.field.map.size) ** 2
    value, error = _of_sum(gradient, ones, gradient.chain)
    return Moment(0.0 if gradient.balanced else value, error, floor)


def _of_sum(gradient, source, chain, variance=0.0, rough=0.0):
    """The sum over pairs of gradient times input, and its relative error."""
    mixed = gradient.field.pairs.sum((2, 3)) @ source.pairs.mean((2, 3))
    trace = np.trace(mixed)
    concentration = float(np.sum(mixed * mixed.T) / trace**2) if trace > 0 else 1.0
    varying = gradient.variance + gradient.summed + variance + concentration * chain + rough**2
    value, apart = _sum_of_products(gradient.field, source)
    return value, float(np.sqrt(varying + (ROUGH * apart) ** 2 + EXACT**2))


def _sum_of_products(gradient, source):
    """Sum over pairs of samples and of positions, and the share of pairs of two positions."""
    n = gradient.samples
    at_one = (gradient.pairs * source.pairs).sum()
    one, apart = [], []
    for a, b in ((gradient.same, source.same), (gradient.cross, source.cross)):
        one.append((_diagonal(a) * _diagonal(b)).sum())
        apart.append((a * b).sum() - one[-1])
    # Labels go with images: gradients are alike where images are, beyond the means.
    others = at_one - np.einsum("nnhw,nnhw->", gradient.pairs, source.pairs)
    together = (others - n * (n - 1) * one[1]) * apart[0] / one[0] if one[0] > 0 else 0.0
    away = n * apart[0] + n * (n - 1) * apart[1] + together
    total = float(at_one + away)
    alone = float(at_one - others + n * apart[0])
    if total < LEAST * alone:
        # Terms that nearly cancel, each with its error: what is left is not known so well.
        return LEAST * alone, 2.0
    return total, min(abs(away) / total, 2.0) if total > 0 else 0.0


def _diagonal(array):
    return np.einsum("hwhw->hw", array)
