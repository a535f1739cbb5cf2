"""Augmentation: training images that are changed at random each time they are seen.

``Augmentation(RandomCrop(4), RandomFlip())`` or ``from_string("crop:4,flip")``. An image is cropped
and flipped, then turned, magnified and moved in one step, then has a hole cut out, then noise, then
is mixed with another.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from minicnn.checks import check_count, check_kind, check_number, check_text, takes
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError, unknown

MODES = "constant", "reflect"


@dataclass(frozen=True)
class Change:
    """One kind of change, with one setting, and perhaps a word.

    Attributes
    ----------
    name : str
        On the command line.
    least, most : float
        Between which the setting must be.
    """

    name: ClassVar[str]
    least: ClassVar[float] = 0.0
    most: ClassVar[float] = math.inf
    whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not fields(self):
            raise ArgumentError("Change is the base of changes: take one such as RandomFlip().")
        what = f"{type(self).__name__}: {self._field}"
        value = check_number(self.value, what)
        if self.whole:
            check_count(self.value, what)
        if not (self.least < value <= self.most and math.isfinite(value)):
            end = "" if math.isinf(self.most) else f" and at most {self.most:g}"
            raise ArgumentError(f"{what} must be above {self.least:g}{end}, got {value:g}.")

    @property
    def value(self) -> float:
        """The setting."""
        return getattr(self, self._field)

    @property
    def _field(self) -> str:
        return fields(self)[0].name

    def __str__(self) -> str:
        return f"{self.name}:{self.value:g}"

    @takes(dataset=Dataset)
    def setting(self, dataset: Dataset) -> float:
        """What the kernel takes, for the images of a data set."""
        return self.value


@dataclass(frozen=True)
class RandomCrop(Change):
    """Pad on all sides and cut the image's size out of it, at a random place.

    `padding_mode` is ``"constant"``, black, or ``"reflect"``, the image's reflection at its border,
    as torchvision has them. On the command line the latter is ``crop:4:reflect``.
    """

    padding: int = 4
    padding_mode: str = "constant"
    name, whole = "crop", True

    def __post_init__(self) -> None:
        super().__post_init__()
        if check_text(self.padding_mode, "RandomCrop: padding_mode") not in MODES:
            raise unknown("padding_mode of RandomCrop", self.padding_mode, MODES)

    def __str__(self) -> str:
        reflects = self.padding_mode == "reflect"
        return f"{super().__str__()}:reflect" if reflects else super().__str__()

    @takes(dataset=Dataset)
    def setting(self, dataset: Dataset) -> float:
        """The padding, which must be smaller than an image."""
        return _fits(self, dataset, self.padding)


@dataclass(frozen=True)
class RandomFlip(Change):
    """Mirror left and right, with a probability."""

    probability: float = 0.5
    name, most = "flip", 1.0

    def __str__(self) -> str:
        return self.name if self.probability == 0.5 else f"{self.name}:{self.probability:g}"


@dataclass(frozen=True)
class RandomRotation(Change):
    """Turn by an angle that is uniform within so many degrees, either way."""

    degrees: float = 15.0
    name, most = "rotate", 180.0

    @takes(dataset=Dataset)
    def setting(self, dataset: Dataset) -> float:
        """In radians."""
        return math.radians(self.degrees)


@dataclass(frozen=True)
class RandomTranslation(Change):
    """Move by up to so many pixels down or up, and as many right or left; also parts of one."""

    pixels: float = 2.0
    name = "translate"

    @takes(dataset=Dataset)
    def setting(self, dataset: Dataset) -> float:
        """The pixels, which must be fewer than an image has."""
        return _fits(self, dataset, self.pixels)


@dataclass(frozen=True)
class RandomScale(Change):
    """Magnify by a factor between 1 - share and 1 + share."""

    share: float = 0.1
    name, most = "scale", 0.9


@dataclass(frozen=True)
class Cutout(Change):
    """Put a square of the mean colour over the image, of so many pixels a side.

    DeVries & Taylor, *Improved regularization of convolutional neural networks with Cutout* (2017).
    """

    size: int = 8
    name, whole = "cutout", True

    @takes(dataset=Dataset)
    def setting(self, dataset: Dataset) -> float:
        """The side, which must be smaller than an image."""
        return _fits(self, dataset, self.size)


@dataclass(frozen=True)
class Noise(Change):
    """Add a normal number to each pixel, of a standard deviation in the units of [0, 1]."""

    deviation: float = 0.1
    name = "noise"

    @takes(dataset=Dataset)
    def setting(self, dataset: Dataset) -> float:
        """In the units in which the pixels are stored."""
        return self.deviation * dataset.unit


@dataclass(frozen=True)
class MixUp(Change):
    """Mix two images, and their targets, in a share of the distribution Beta(alpha, alpha).

    Zhang et al., *mixup: Beyond empirical risk minimization*, ICLR 2018.
    """

    alpha: float = 0.2
    name, most = "mixup", 1.0


@dataclass(frozen=True)
class CutMix(Change):
    """Put a box of another image over one; targets by the areas. With mixup, one of both.

    Yun et al., *CutMix: Regularization strategy to train strong classifiers*, ICCV 2019.
    """

    alpha: float = 1.0
    name, most = "cutmix", 1.0


CHANGES = {
    cls.name: cls
    for cls in (
        RandomCrop, RandomFlip, RandomRotation, RandomTranslation, RandomScale, Cutout, Noise,
        MixUp, CutMix,
    )
}  # fmt: skip


def _fits(change, dataset, pixels):
    height, width = dataset.shape[1:]
    if pixels >= min(height, width):
        raise ArgumentError(
            f"{change}: images have {height} x {width} pixels: the augmentation must be smaller."
        )
    return pixels


class Augmentation:
    """Several changes, each of another kind.

    Parameters
    ----------
    *changes : Change

    Raises
    ------
    ArgumentError
        If there is none, something else, or two of a kind.

    Examples
    --------
    >>> from minicnn.data.augmentation import Augmentation, RandomCrop, RandomFlip
    >>> str(Augmentation(RandomCrop(4), RandomFlip()))
    'crop:4,flip'
    """

    def __init__(self, *changes: Change):
        for change in changes:
            check_kind(change, Change, "Augmentation: a change")
        names = [change.name for change in changes]
        if not names or len(set(names)) < len(names):
            raise ArgumentError(
                f"an augmentation takes changes, each of another kind, got"
                f" {', '.join(names) or 'none'}."
            )
        self.changes = changes

    def __str__(self) -> str:
        return ",".join(map(str, self.changes))

    def __repr__(self) -> str:
        return f"Augmentation({', '.join(map(repr, self.changes))})"

    @property
    def mixes(self) -> bool:
        """Whether images are mixed, so that a sample has two classes."""
        return any(isinstance(change, (MixUp, CutMix)) for change in self.changes)

    @property
    def reflects(self) -> bool:
        """Whether a crop sees the reflection of the image outside of it."""
        return any(getattr(change, "padding_mode", "") == "reflect" for change in self.changes)

    @takes(dataset=Dataset)
    def settings(self, dataset: Dataset) -> dict[str, float]:
        """What the kernels take for the images of a data set, by name; 0 for what is not done.

        Raises
        ------
        ArgumentError
            If a change is as large as an image.
        """
        given = {change.name: change.setting(dataset) for change in self.changes}
        return {name: given.get(name, 0) for name in CHANGES}


@takes(text=(str, Augmentation))
def from_string(text: str | Augmentation) -> Augmentation:
    """The augmentation that a string such as ``"crop:4,flip,mixup:0.2"`` names.

    Parameters
    ----------
    text : str or Augmentation
        An augmentation is returned as it is.

    Raises
    ------
    ArgumentError
        For an unknown name, or a setting that is no number or out of range.
    """
    if isinstance(text, Augmentation):
        return text
    changes = []
    for word in text.split(","):
        name, colon, setting = word.strip().partition(":")
        if name not in CHANGES:
            raise unknown("augmentation", name, CHANGES)
        cls: Any = CHANGES[name]
        number, *rest = setting.split(":", 1) if cls is RandomCrop else [setting]
        changes.append(cls(_number(word, number, cls.whole), *rest) if colon else cls())
    return Augmentation(*changes)


def _number(word, text, whole):
    try:
        return int(text) if whole else float(text)
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise ArgumentError(f"augmentation {word!r}: expected {kind} behind the colon.") from None
