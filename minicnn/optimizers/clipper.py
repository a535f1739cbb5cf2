"""Gradient clipping within the steps of an optimizer.

For the package itself: it checks nothing of what it is handed.
"""

import numpy as np

from minicnn.kernels import clip
from minicnn.optimizers.runs import Run


class Clipper:
    """What a step does to the gradients before its rule sees them.

    Attributes
    ----------
    norm, value : ndarray of float64, shape (1,)
        The greatest norm over all gradients, and the greatest size of an element, where the
        kernels read them; 0 for none.
    """

    def __init__(self) -> None:
        self.norm, self.value = np.zeros(1), np.zeros(1)
        self._sums = np.zeros(0)  # stays where it is: captured kernels write to it

    def __call__(self, runs: list[Run]) -> None:
        """Clip the gradients of all runs: by value first, then by the norm of the result."""
        grads = [run.grad for run in runs]
        if self.value[0]:
            for grad in grads:
                clip.by_value(grad, self.value)
        if self.norm[0]:
            self._sums = clip_together(grads, self.norm, self._sums)


def clip_together(grads: list[np.ndarray], limit: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Clip flat arrays together; returns the sums of squares, in `sums` if it has their size."""
    sizes = [clip.places(grad.size) for grad in grads]
    if sums.size != sum(sizes):
        sums = np.zeros(sum(sizes))
    for grad, own in zip(grads, np.split(sums, np.cumsum(sizes)[:-1])):
        clip.squares(grad, own)
    for grad in grads:
        clip.by_norm(grad, sums, limit)
    return sums
