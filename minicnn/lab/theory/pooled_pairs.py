"""Products of samples behind average pooling: from those of positions, in blocks of pairs.

A pooling names the offsets of positions it needs (:mod:`minicnn.lab.theory.positions`), each layer
those that it needs for them, back to the images; then they are computed, layer by layer.

Cost, for P positions, a pair of samples and a layer: windows of k by k need some (2 k - 1)² P
numbers, global pooling P², over s⁴ before strides of s; half of that for a sample with itself. A
number takes some 30 ns, or ten times that behind an activation without a closed form. They are
computed in blocks of pairs, of at most BLOCK numbers for a layer or those of one pair, at most
P² / 2 or 67 MB for the largest images, and for no more layers at a time than are read again. If all
pairs of samples would cost more than BUDGET numbers, some seconds, only each sample with itself is
computed, which E[y²] hangs on; and if these would, too, nothing.

For the package itself: it checks nothing of what it is handed.
"""

from typing import Any

import numpy as np

from minicnn.checks import check_count
from minicnn.lab.theory.positions import HERE, Products, extent

MOST = 100_000  # samples
BUDGET = 1e8  # numbers, over all layers and pairs of samples
BLOCK = 2**22  # numbers of a layer: 32 MB


def pooled(products: Products, samples: int, budget: float | None = None) -> np.ndarray | None:
    """E[y_n(o) y_m(o)] behind a pooling, of as many pairs of samples as the budget allows.

    The budget is how many numbers to compute, BUDGET by default.

    Returns
    -------
    ndarray, shape (N, N, H, W), (N, H, W) or None
        Of all pairs, of each sample with itself, or nothing.
    """
    budget, samples = BUDGET if budget is None else budget, check_count(samples, "samples", 1, MOST)
    n, m = np.triu_indices(samples)
    layers, asked, work = _plan(products, alike=samples == 1)
    if work * len(n) <= budget:
        pairs = np.empty((samples, samples, *products.size))
        pairs[n, m] = pairs[m, n] = _in_blocks(layers, asked, n, m, alike=samples == 1)
        return pairs
    n = np.arange(samples)
    layers, asked, work = _plan(products, alike=True)
    return _in_blocks(layers, asked, n, n, alike=True) if work * samples <= budget else None


def _plan(products, alike):
    """All layers, the first first; the offsets to compute of each; how much that costs a pair."""
    layers, asked = _ancestors(products), {products: {HERE}}
    for layer in reversed(layers):
        needed = {_key(e, alike) for d in asked[layer] for e in layer.needs(d)}
        for parent in layer.parents:
            asked.setdefault(parent, set()).update(needed)
    work = sum(layer.cost * _numbers(layer, asked[layer]) for layer in layers)
    return layers, asked, float(work)


def _numbers(layer, offsets):
    return sum(np.prod(extent(layer.size, d)) for d in offsets)


def _in_blocks(layers, asked, n, m, alike):
    step = int(max(BLOCK // max(_numbers(layer, asked[layer]) for layer in layers), 1))
    blocks = [slice(first, first + step) for first in range(0, len(n), step)]
    return np.concatenate([_block(layers, asked, n[at], m[at], alike) for at in blocks])


def _block(layers, asked, n, m, alike):
    """The last layer's products at one position; of the others as long as they are needed."""
    last = {parent: layer for layer in layers for parent in layer.parents}
    found: dict[Products, Any] = {}
    for layer in layers:
        given = [lambda e, of=found[parent]: of[_key(e, alike)] for parent in layer.parents]
        found[layer] = {d: layer.at(d, n, m, given) for d in asked[layer]}
        for parent in layer.parents:
            if last[parent] is layer:
                found.pop(parent, None)
    return found[layers[-1]][HERE]


def _ancestors(products):
    """A layer and all before it, each behind its parents."""
    order: dict[Products, None] = {}
    stack = [(products, False)]
    while stack:
        layer, ready = stack.pop()
        if ready:
            order[layer] = None
        elif layer not in order:
            stack += [(layer, True), *((parent, False) for parent in layer.parents)]
    return list(order)


def _key(d, alike):
    """Of an offset and its opposite, which are one if two samples are alike, the greater."""
    return max(d, (-d[0], -d[1])) if alike else d
