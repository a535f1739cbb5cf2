"""What travels forwards: the second moments of channels that are alike, and their errors.

For the package itself: it checks nothing of what it is handed.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minicnn.errors import ArgumentError
from minicnn.lab.theory.finite_width import Excess
from minicnn.lab.theory.maps import Field, from_images
from minicnn.lab.theory.moments import Moments
from minicnn.lab.theory.positions import Alike, Images, Products

SKEWED = 0.4  # relative error of an activation of means or sums, which it takes for Gaussian


class NoPromiseError(ArgumentError):
    """Why the theory says nothing of a layer, in a sentence."""


@dataclass(frozen=True)
class Signal:
    """A field on its way, and how far its second moment can be trusted.

    Attributes
    ----------
    field : Field
    units : int
        How many independent draws of the field there are: channels or features. Of channels with
        different fields that were merged, how many alike ones vary as much.
    carried, own : float
        Relative variance of the field's moment that came with the input of the last layer of
        weights, and that its own weights have added.
    fixed : float
        How much less than with Gaussian weights that was.
    extra : Excess
        How much less independent the field's numbers are in one draw than in expectation, see
        `linear_spread`.
    offset : float
        How much more than by `coherence` 1 / d is, where it is known exactly.
    mean : ndarray, shape (N, H, W)
        E[x] by sample and position: 0 behind weights, not behind most activations.
    rough, skewed : float
        Relative errors: of products of two samples, where they have been scaled, and of an
        activation that takes the field for Gaussian.
    before, moments : Field and Moments, optional
        Of the Gaussian numbers that an activation has just made this field of, and its own.
    draws : ndarray, optional
        Of the maxima that a max pooling has just made this field of, see `MaxPooling`.
    training : bool
        Whether dropout drops and batch normalization normalizes.
    products : Products, optional
        Those of two positions for each pair of samples, where they are known.
    origins, past : frozenset
        The layers of weights that drew these units, None for the images, and all on the way here.
    """

    field: Field
    units: float
    carried: float = 0.0
    own: float = 0.0
    fixed: float = 0.0
    extra: Excess = Excess()
    offset: float = 0.0
    mean: np.ndarray | float = 0.0
    rough: float = 0.0
    skewed: float = 0.0
    before: Field | None = None
    moments: Moments | None = None
    draws: np.ndarray | None = None
    training: bool = True
    products: Products | None = None
    origins: frozenset = frozenset()
    past: frozenset = frozenset()

    @property
    def variance(self) -> float:
        """Relative variance of the field's moment."""
        return self.carried + self.own

    @property
    def source(self) -> Products:
        """Its products of two positions, near enough where they are not known."""
        return self.products or Alike(self.field)

    def passed(
        self, field: Field, products: Products | None = None, skewed: float = 0.0, **changes: Any
    ) -> "Signal":
        """The signal with another field, which is no activation's any more."""
        changes = {"before": None, "moments": None, "draws": None, **changes}
        return replace(self, field=field, products=products, skewed=skewed, **changes)


def from_batch(images: np.ndarray, training: bool = True) -> Signal:
    """The signal that images are, shape (N, C, H, W) or (N, F)."""
    return Signal(
        from_images(images), units=images.shape[1], training=training,
        products=Images(images), origins=frozenset({None}),
    )  # fmt: skip
