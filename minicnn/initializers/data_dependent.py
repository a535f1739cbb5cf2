"""Initializers that images finish: what they draw is only where a pass over a batch begins."""

from dataclasses import dataclass
from typing import ClassVar

from minicnn.initializers.matrices import Orthogonal


@dataclass(frozen=True)
class LSUV(Orthogonal):
    """Orthogonal, to be scaled so that each layer's output has variance 1 on a batch of images.

    The weights that it draws are those of `Orthogonal` with gain 1, and that is the variance it
    promises. Who builds the model sees by `data_dependent` that :func:`minicnn.lsuv.lsuv` is to
    follow; the command line calls it, and from Python it is ``lsuv(model, images)`` after
    ``model.initialize``. Mishkin & Matas, *All you need is a good init*,
    ICLR 2016 (arXiv 1511.06422).
    """

    gain: ClassVar[float] = 1.0
    name = data_dependent = "lsuv"
