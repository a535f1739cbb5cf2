"""What a data set is made of: an array of images and one of their classes, checked once."""

import numpy as np
import numpy.typing as npt

from minicnn.checks import check_count
from minicnn.errors import DataError
from minicnn.hints.axes import look_channels_last
from minicnn.hints.labels import advice_on_labels, first_beyond


def checked(
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    classes: int | None,
    channels_first: bool | None,
    name: str,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Images, labels and the number of classes, as :class:`minicnn.data.Dataset` keeps them.

    Parameters are those of `Dataset`.

    Raises
    ------
    DataError
        As there; it begins with `name`.
    ArgumentError
        If `classes` is no positive integer.
    """
    try:
        images, labels = _as_array(images, "images"), _as_array(labels, "labels")
        made = _check_images(images, channels_first)
        labels = _check_labels(labels, classes, len(made), images.shape)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    return made, labels, int(labels.max()) + 1 if classes is None else int(classes)


def _as_array(given: npt.ArrayLike, what: str) -> np.ndarray:
    if np.ma.is_masked(given):
        raise DataError(
            f"{np.ma.count_masked(given)} elements of the {what} are masked, which would be"
            " lost. Drop those images, or fill the elements with filled(value)."
        )
    try:
        return np.asarray(given)
    except (TypeError, ValueError) as error:
        raise DataError(f"the {what} are no array: {error}.") from error


def _check_images(images: np.ndarray, channels_first: bool | None) -> np.ndarray:
    if images.ndim not in (3, 4) or images.size == 0:
        raise DataError(
            "expected images of shape (N, C, H, W) or (N, H, W), at least one of at least one"
            f" pixel, got shape {images.shape}."
        )
    if channels_first is None and look_channels_last(images.shape):
        raise DataError(
            f"images of shape {images.shape} look like (N, H, W, C), but (N, C, H, W) is"
            " expected. Use images.transpose(0, 3, 1, 2) or channels_first=False, or"
            f" channels_first=True if they do have {images.shape[1]} channels."
        )
    if channels_first is False and images.ndim == 4:
        images = np.moveaxis(images, 3, 1)
    images = _convert(images)
    if images.dtype != np.uint8:
        wrong = ~np.isfinite(images)
        if wrong.any():
            first = tuple(int(i) for i in np.unravel_index(wrong.argmax(), wrong.shape))
            raise DataError(
                f"{np.count_nonzero(wrong)} pixels are NaN or infinite, the first at index"
                f" {first}. Repair or drop these images."
            )
    return images if images.ndim == 4 else images[:, None]


def _convert(images):
    """C-contiguous and native-endian, as uint8, float32 or float64."""
    kind, size = images.dtype.kind, images.dtype.itemsize
    if kind in "iu":
        low, high = images.min(), images.max()
        if low < 0 or high > 255:
            raise DataError(
                f"pixels of {images.dtype} must be from 0 to 255, got {low} to {high}. Use"
                " images.astype(np.float32), which are taken as they are, scaled as you wish."
            )
        return np.ascontiguousarray(images, np.uint8)
    if kind == "f" and size <= 8:
        return np.ascontiguousarray(images, np.float64 if size == 8 else np.float32)
    raise DataError(
        f"pixels must be uint8, float32 or float64, got {images.dtype}. Use"
        " images.astype(np.float32) if they are numbers."
    )


def _check_labels(
    labels: np.ndarray, classes: int | None, count: int, given: tuple[int, ...]
) -> np.ndarray:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"labels must be whole numbers of shape (N,), got {labels.dtype} of shape"
            f" {labels.shape}. {advice_on_labels(labels)}"
        )
    if len(labels) != count:
        single = len(labels) == 1 and len(given) == 3
        advice = f" A single image is (1, C, H, W), got {given}." if single else ""
        raise DataError(f"{len(labels)} labels for {count} images: expected one for each.{advice}")
    if classes is None and (first := first_beyond(labels)) is not None:
        raise DataError(
            f"label {labels[first]} at index {first} is too large for a class."
            " np.unique(labels, return_inverse=True)[1] numbers them from 0."
        )
    end = max(1, int(labels.max()) + 1) if classes is None else check_count(classes, "classes")
    wrong = (labels < 0) | (labels >= end)
    if wrong.any():
        first = int(wrong.argmax())
        from_1 = labels.min() == 1 and labels.max() == end
        advice = " Classes are numbered from 0: use labels - 1." if from_1 else ""
        raise DataError(
            f"{np.count_nonzero(wrong)} labels are outside the classes 0 to {end - 1}, the"
            f" first is {labels[first]} at index {first}.{advice}"
        )
    return np.ascontiguousarray(labels, np.int64)
