"""Dataset: images with their classes, and how their pixels are normalized."""

import copy
import warnings
from collections.abc import Iterable
from html import escape

import numpy as np
import numpy.typing as npt

from minicnn.checks import check_count, check_dtype, check_kind, check_numbers, list_of, takes
from minicnn.console.table import as_html
from minicnn.data import arrays
from minicnn.errors import ArgumentError


class Dataset:
    """Labelled images, checked once, kept in the type in which they came.

    A normalized pixel of channel c is ``(pixel - mean[c]) / std[c]``, where uint8 pixels count
    as fractions of 255, so that `mean` and `std` are in the units of [0, 1]; floating-point
    pixels are taken as they are. Images are normalized when they are used, a batch at a time.

    Parameters
    ----------
    images : array_like, shape (N, C, H, W) or (N, H, W)
        Without C: one channel. uint8, float32 or float64. float16 becomes float32; other
        integers become uint8 if all are in [0, 255], and are refused otherwise. An array that
        needs no conversion is not copied and must not be changed.
    labels : array_like of int, shape (N,)
        The class of each image, in [0, classes).
    classes : int, optional
        How many classes there are; by default the largest label + 1, with a UserWarning if one
        of them has no image.
    mean, std : float or array_like of shape (C,), optional
        Of each channel, see `normalization`; by default 0 and 1.
    name : str
        What errors call it.
    channels_first : bool, optional
        Whether the channels are axis 1 of four; if False they are the last, and the images are
        copied into the order (N, C, H, W). By default they are axis 1, and images that look like
        (N, H, W, C), whose last axis is 1, 3 or 4 after two that are longer, are refused.
    class_names : iterable of str, optional
        One for each class, for people to read; by default the classes' numbers.

    Attributes
    ----------
    images : ndarray, shape (N, C, H, W)
        A copy, if the set was made by `take`.
    labels : ndarray of int64, shape (N,)
    classes : int
    class_names : tuple of str
    mean, std : ndarray of float64, shape (C,)
    name : str
    storage : ndarray, shape (M, C, H, W)
        The array that the images are in, which may be a file's and larger than memory.
    indices : ndarray of int64, shape (N,), or None
        Where in `storage` the images are; None if they are all of it.
    notes : tuple of str
        What was done to the data while it was read, a sentence each.

    Raises
    ------
    DataError
        If there are no images, an array is of the wrong shape or type, elements are masked, a
        pixel is NaN or infinite, a label is outside the classes, or the lengths differ.
    ArgumentError
        If `classes` is no positive integer, `mean` is not finite, or `std` is not above 0 or too
        small to divide by.
    """

    def __init__(
        self,
        images: npt.ArrayLike,
        labels: npt.ArrayLike,
        classes: int | None = None,
        mean: npt.ArrayLike | None = None,
        std: npt.ArrayLike | None = None,
        name: str = "",
        channels_first: bool | None = None,
        class_names: Iterable[str] | None = None,
    ):
        self.name = name or "the data set"
        self.notes: tuple[str, ...] = ()
        self.indices: np.ndarray | None = None
        self.storage, self.labels, self.classes = arrays.checked(
            images, labels, classes, channels_first, self.name
        )
        self._names: tuple[str, ...] | None = None
        if class_names is not None:
            self._names = tuple(list_of(str)(class_names, "class_names"))
        if self._names is not None and len(self._names) != self.classes:
            raise ArgumentError(
                f"{self.name}: expected a name for each of the {self.classes} classes, got"
                f" {len(self._names)} names."
            )
        self._set_normalization(0.0 if mean is None else mean, 1.0 if std is None else std)
        if classes is None:
            warn_of_empty_classes(self)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.shape))
        return f"<{self.name}: {len(self):,} images of {shape}, {self.classes} classes>"

    def _repr_html_(self) -> str:
        """A table of the classes, for notebooks."""
        counts = np.bincount(self.labels, minlength=self.classes)
        rows = [[name, f"{count:,}"] for name, count in zip(self.class_names, counts)]
        return f"<p>{escape(repr(self)[1:-1])}</p>{as_html(['class', 'images'], rows)}"

    @property
    def class_names(self) -> tuple[str, ...]:
        """What people call the classes; their numbers, if nobody named them."""
        return tuple(map(str, range(self.classes))) if self._names is None else self._names

    @property
    def images(self) -> np.ndarray:
        """All images, of shape (N, C, H, W)."""
        return self.storage if self.indices is None else self.storage[self.indices]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image, ``(C, H, W)``."""
        return self.storage.shape[1:]

    @takes(mean=check_numbers, std=check_numbers)
    def with_normalization(self, mean: npt.ArrayLike, std: npt.ArrayLike) -> "Dataset":
        """The same data, sharing its arrays, with another mean and standard deviation.

        Parameters
        ----------
        mean, std : float or array_like of shape (C,)

        Raises
        ------
        ArgumentError
            If a shape does not fit, `mean` is not finite, or `std` is not above 0.
        """
        other = copy.copy(self)
        other._set_normalization(mean, std)
        return other

    def subset(self, n: int) -> "Dataset":
        """The first `n` images, all if there are fewer; classes and normalization stay.

        Raises
        ------
        ArgumentError
            If `n` is no positive integer.
        """
        return self.take(np.arange(min(len(self), check_count(n, "the number of images to keep"))))

    def take(self, indices: npt.ArrayLike) -> "Dataset":
        """The images of these indices, in this order; classes and normalization stay.

        Images are not copied: both sets read the same `storage`.

        Parameters
        ----------
        indices : array_like of int, shape (n,)
            At least one; in [0, N).

        Raises
        ------
        ArgumentError
            If there are none, they are no whole numbers, or one is outside the data set.
        """
        rows = self._check_indices(indices)
        if not len(rows):
            raise ArgumentError(f"{self.name}: no image was chosen: give at least one index.")
        other = copy.copy(self)
        other.labels = self.labels[rows]
        chosen = rows if self.indices is None else self.indices[rows]
        if chosen[0] == 0 and (np.diff(chosen) == 1).all():
            other.storage, other.indices = self.storage[: len(chosen)], None
        else:
            other.indices = chosen
        return other

    @property
    def unit(self) -> int:
        """The pixel that counts as 1: 255 in bytes."""
        return 255 if self.storage.dtype == np.uint8 else 1

    @takes(dtype=check_dtype)
    def affine(self, dtype: npt.DTypeLike = np.float32) -> tuple[np.ndarray, ...]:
        """The normalization as ``(pixel - centre[c]) * scale[c] + shift[c]``, in that order.

        Floating-point pixels may have a mean far from 0: it is subtracted first, in float64.

        Parameters
        ----------
        dtype : dtype
            That the normalized pixels will have.

        Returns
        -------
        centre, scale, shift : ndarray, shape (C,)
            uint8: ``0``, ``1 / (255 std)`` and ``-mean / std``, of `dtype`; otherwise ``mean``,
            ``1 / std`` and ``0``, of float64.
        """
        nothing = np.zeros(self.shape[0])
        if self.storage.dtype == np.uint8:
            terms = nothing, 1 / (255 * self.std), -self.mean / self.std
            return tuple(term.astype(dtype) for term in terms)
        return self.mean, 1 / self.std, nothing

    def normalized(self, indices: npt.ArrayLike | slice) -> np.ndarray:
        """Chosen images, normalized, with the bits that `Batches` give.

        Parameters
        ----------
        indices : array_like of int, shape (n,), or slice

        Returns
        -------
        ndarray of float32, shape (n, C, H, W)

        Raises
        ------
        ArgumentError
            If `indices` are of another kind, or one is outside the data set.
        """
        centre, scale, shift = (a[:, None, None] for a in self.affine())
        pixels = self._chosen(indices).astype(scale.dtype)
        pixels -= centre
        pixels *= scale
        pixels += shift
        return pixels.astype(np.float32, copy=False)

    def class_frequencies(self) -> np.ndarray:
        """The fraction of the images in each class, an ndarray of shape (classes,)."""
        return np.bincount(self.labels, minlength=self.classes) / len(self)

    def _chosen(self, indices):
        if isinstance(indices, slice):
            indices = np.arange(len(self))[indices]
        indices = self._check_indices(indices)
        return self.storage[indices if self.indices is None else self.indices[indices]]

    def _check_indices(self, given):
        indices = np.asarray(given)  # a tuple would choose along several axes
        if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iub"):
            raise ArgumentError(
                f"indices must be whole numbers of shape (n,), or a slice, got {indices.dtype} of"
                f" shape {indices.shape}."
            )
        try:
            return np.arange(len(self))[indices if indices.size else slice(0)]
        except IndexError as error:
            raise ArgumentError(f"{self.name} has {len(self)} images: {error}.") from error

    def _set_normalization(self, mean, std):
        self.mean, self.std = self._per_channel("mean", mean), self._per_channel("std", std)
        if not np.isfinite(self.mean).all():
            raise ArgumentError(f"mean must be finite, got {self.mean}.")
        if not (np.isfinite(self.std) & (self.std > 0)).all():
            raise ArgumentError(f"std must be above 0 and finite, got {self.std}.")
        with np.errstate(over="ignore"):
            if not all(np.isfinite(term).all() for term in self.affine()):
                raise ArgumentError(
                    f"pixels cannot be divided by a std of {self.std}: the result is beyond"
                    " float32. Use a larger one."
                )

    def _per_channel(self, what: str, value: npt.ArrayLike) -> np.ndarray:
        channels = self.shape[0]
        try:
            value = np.asarray(value, np.float64)
        except (TypeError, ValueError) as error:
            raise ArgumentError(f"{what} must be numbers, got {value!r}.") from error
        if value.shape not in ((), (channels,)):
            raise ArgumentError(
                f"{what} must be one number or one for each of the {channels} channels, got shape"
                f" {value.shape}."
            )
        return np.full(channels, value)


def warn_of_empty_classes(dataset: Dataset) -> None:
    """A UserWarning if a class has no image: that labels begin at 1 is a frequent reason."""
    check_kind(dataset, Dataset, "dataset")
    present = np.unique(dataset.labels)
    missing = dataset.classes - len(present)
    if not missing:
        return
    first = int(np.argmax(present != np.arange(len(present))))
    if missing == present[0]:
        what = f"class 0 has no image: the labels are from {present[0]} to {present[-1]}"
        how = f"labels - {present[0]} begins at 0"
    else:
        what = f"{missing} of {dataset.classes} classes have no image, the first is {first}"
        how = "np.unique(labels, return_inverse=True)[1] leaves no gaps"
    warnings.warn(
        f"{dataset.name}: {what}. Classes are numbered from 0; {how}. If this is meant, give"
        f" classes={dataset.classes}.",
        stacklevel=3,  # where the caller was called
    )
