"""Kinks: gradients where derivatives from both sides differ, as at ties in max pooling.

Random inputs have no ties and no exact zeros, so that central differences never see what a layer
does there. Here inputs are drawn from -1, 0 and 1. For a single output y_j and a direction v, a
gradient must lie between the two one-sided derivatives::

    min(l, r) <= <dy_j/dx, v> <= max(l, r)        r = (y_j(x + h v) - y_j(x)) / h
                                                  l = (y_j(x) - y_j(x - h v)) / h

Every subgradient of a maximum does: the first of equals, the last, or a part of each. To mark all
of them does not, nor does none. Which one a layer is meant to choose is for its own test to say.
"""

import numpy as np

from minicnn import lanes
from minicnn.checks import check_count, check_positive, check_seed, takes
from minicnn.models.sequential import Sequential, initialized

VALUES = (-1.0, 0.0, 1.0)
OUTPUTS, DIRECTIONS = 24, 4  # at most, and beside that of all ones
SLACK = 1e-2  # wrong rules are off by a good part of the gradient; smooth layers by O(h)


@takes(model=initialized, samples=check_count, seed=check_seed, step=check_positive)
def worst_at_kinks(
    model: Sequential, samples: int, training: bool, seed: int, step: float
) -> tuple[float, str, float, float] | None:
    """The gradient of a model's input that is farthest from where it must lie.

    Parameters
    ----------
    model : Sequential
        Of a single layer, in float64, built with its input gradient.
    samples, training, seed, step
        As for :func:`minicnn.gradcheck.check_layer`.

    Returns
    -------
    (error, where, analytic, bound) or None
        The distance to the nearer of the one-sided derivatives, relative to the largest of that
        output. None if all gradients lie between them, or some output has no such derivatives, as
        of a layer that jumps, draws random numbers or is not made for zeros.
    """
    rng = np.random.default_rng(seed)
    x = rng.choice(VALUES, (samples, *model.input_shape))
    directions = [np.ones(x.shape), *rng.standard_normal((DIRECTIONS, *x.shape))]

    def outputs(at):
        return lanes.unpack(model.forward(lanes.pack(at, np.float64), training, samples), samples)

    with np.errstate(all="ignore"):  # inputs that a layer is not made for
        here = outputs(x)
        sides = np.array([_one_sided(outputs, here, x, v, step) for v in directions])
        if np.isnan(sides).any():
            return None
        floor = np.finfo(float).eps * np.abs(here) / step / 1e-8 + 1e-8
        scales = np.maximum(np.abs(sides).max(axis=(0, 1)), floor)
        found = None
        for flat in rng.permutation(here.size)[:OUTPUTS]:
            at = np.unravel_index(flat, here.shape)
            delta = np.zeros(here.shape)
            delta[at] = 1
            outputs(x)
            gradient = lanes.unpack(model.backward(lanes.pack(delta, np.float64)), samples)
            for v, pair in zip(directions, sides):
                both = (slice(None), *at)
                low, high = sorted(pair[both])
                analytic = float(np.sum(gradient * v))
                error = max(low - analytic, analytic - high) / scales[at]
                error = np.inf if np.isnan(analytic) else error
                if error > SLACK and (found is None or error > found[0]):
                    index = ", ".join(map(str, at))
                    bound = low if analytic < low else high
                    where = f"input (at ties and zeros, of output [{index}])"
                    found = float(error), where, analytic, float(bound)
    return found


def _one_sided(outputs, here, x, v, step):
    """The derivatives along `v` from below and above, NaN where there are none."""
    pair = []
    for sign in (-1, 1):
        whole, half = ((outputs(x + sign * h * v) - here) / (sign * h) for h in (step, step / 2))
        exists = np.abs(whole - half) <= SLACK / 10 * np.abs(whole) + 1e-6
        pair.append(np.where(exists, whole, np.nan))
    return pair
