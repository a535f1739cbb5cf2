"""Which signals are computed again on the way back, so that the forward pass need not keep them.

Two samples take the memory of sixteen, as sixteen lanes do. So where lanes are spare, what is
cheap to compute (``Layer.recompute``: normalizations and activations) is given up when the forward
pass has read it, and filled again, with the same bits, when the backward pass first reads it. Of
Conv2d, BatchNorm and an activation one array is kept, the convolution's output. Chen, Xu, Zhang &
Guestrin, *Training deep nets with sublinear memory cost*, arXiv 1604.06174, 2016.

For the package itself: it checks nothing of what it is handed.
"""

from collections import Counter
from collections.abc import Sequence

from minicnn.lanes import LANES
from minicnn.layers.context import Array
from minicnn.plan import calls
from minicnn.plan.steps import Step

SPARE = 4  # with one lane in so many spare, memory counts for more than a pass over it


def spares_lanes(x: Array, samples: int | None) -> bool:
    """Whether a batch leaves so many of its lanes empty that signals are computed again."""
    lanes = LANES * len(x)
    return samples is not None and SPARE * (lanes - samples) >= lanes


class Recomputed:
    """The outputs that the backward pass computes again.

    Attributes
    ----------
    readers : dict of int to int
        How often the backward pass reads each of them; empty unless `few`.
    maker : list of int
        The node whose layer fills a node's output; another one for views.
    steps : dict of int to Step
    """

    def __init__(self, steps: Sequence[Step], output: int, training: bool, few: bool):
        self.readers: dict[int, int] = {}
        self.steps = {step.index: step for step in steps}
        self.maker = [0]
        for step in steps:
            view = step.is_view(training)
            self.maker.append(self.maker[step.inputs[0]] if view else step.index)
        if few:
            self._choose(steps, self.maker[output], training)

    def has(self, index: int) -> bool:
        """Whether a node's output is given up after the forward pass."""
        return self.maker[index] in self.readers

    def _choose(self, steps, output, training):
        readers: Counter[int] = Counter()  # in the backward pass
        for step in reversed(steps):
            if step.is_view(training):
                continue
            again, reads = False, step.reads(training)
            if readers[step.index] or "y" in reads:
                again = _can(step) and step.index != output
            if again:
                reads = step.reads(training, True)
                self.readers[step.index] = readers[step.index] + ("y" in reads)
                readers[self.maker[step.inputs[0]]] += 1
            if "x" in reads:
                readers.update(self.maker[before] for before in step.inputs)


def _can(step):
    return step.layer.recompute is not None and not calls.runs_python(step.layer)
