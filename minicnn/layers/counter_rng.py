"""A counter-based generator: the random numbers of layers that draw in kernels, as dropout does."""

from operator import index
from typing import Any

import numpy as np

from minicnn.checks import check_generator
from minicnn.checks.objects import restoring
from minicnn.errors import DataError


class CounterRNG:
    """A seed, and how many passes have drawn: together they are all the random numbers of a pass.

    Kernels count the passes in the array itself (:func:`minicnn.kernels.random.next_key`), so a
    pass that is replayed draws anew. A copy draws the same numbers.

    Attributes
    ----------
    words : ndarray of uint64, shape (2,)
        The seed, and the number of passes so far.
    """

    def __init__(self) -> None:
        self.words = np.zeros(2, np.uint64)

    def seed(self, rng: np.random.Generator) -> None:
        """Take a seed of 64 bits from `rng`, and begin with the first pass."""
        self.words[:] = check_generator(rng).integers(2**64, dtype=np.uint64), 0

    @property
    def state(self) -> dict[str, int]:
        """``{"seed": ..., "passes": ...}``; what is assigned counts from the next pass on.

        Anything else, such as the state of a generator of NumPy's, is a DataError.
        """
        return dict(zip(("seed", "passes"), self.words.tolist()))

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        if isinstance(state, dict) and "bit_generator" in state:
            raise DataError(
                "dropout drew from a generator of NumPy's when this training was saved, and now"
                " draws otherwise: it cannot go on with the same masks. Begin a new training, with"
                " the saved weights if you like."
            )
        with restoring(state, type(self).__name__):
            self.words[:] = [np.uint64(index(state[name])) for name in ("seed", "passes")]
