"""Pictures of people's own, made to look like a model's training images; what was done is said."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minicnn.checks import check_flag, check_numbers, check_path, check_shape, takes
from minicnn.data.sources.decode import decode, pillow, read_header
from minicnn.errors import ArgumentError, DataError

LIGHT, DARK = 0.6, 0.4  # of a border, as a fraction of white
DIGIT, SIDE = 20, 28  # pixels of MNIST's digits and images
EDGE = 0.1  # of the ink that the border of a digit has at least


class Picture(NamedTuple):
    """A picture as a model takes it.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (C, H, W)
    notes : tuple of str
        What was done to it.
    """

    pixels: np.ndarray
    notes: tuple[str, ...]


@takes(path=check_path, digits=check_flag)
def read_picture(
    path: str | os.PathLike[str],
    shape: Sequence[int],
    background: float | None = None,
    digits: bool = False,
) -> Picture:
    """A picture of any size and kind as one of a training set.

    It is cut around its middle and resized as a folder of images is. A grey one whose border is
    light while that of the training images is dark, or the other way round, is inverted.

    Parameters
    ----------
    path : str or Path
    shape : tuple of int
        ``(C, H, W)`` of the model's images, C being 1 or 3.
    background : float, optional
        The mean border of the training images, 0 black and 1 white; nothing is inverted without.
    digits : bool
        Whether to treat it as MNIST's digits were: what is drawn is fitted into 20 x 20 pixels, and
        put so that its centre of mass is the middle of 28 x 28 (LeCun et al., 1998).

    Returns
    -------
    Picture

    Raises
    ------
    DataError
        If the file is no image.
    ArgumentError
        If images of this shape are none, or Pillow is not installed.
    """
    shape = check_shape(shape, "read_picture: shape", "such as (1, 28, 28)")
    if len(shape) != 3:
        raise ArgumentError(f"read_picture: shape must be (C, H, W), got {shape}.")
    channels, height, width = shape
    if channels not in (1, 3):
        raise DataError(f"{path}: the model takes images of {channels} channels: no picture has.")
    centred = digits and (channels, height, width) == (1, SIDE, SIDE)
    try:
        header = read_header(path)
        exact = (header.height, header.width) == (height, width)
        pixels = decode(path, channels, None if centred else (height, width))
    except ValueError as error:
        raise DataError(f"{path} cannot be read as an image: {error}.") from error
    notes = []
    if channels == 1 and background is not None:
        border = mean_border(pixels[None])
        if (border > LIGHT and background < DARK) or (border < DARK and background > LIGHT):
            pixels = 255 - pixels
            seen = "dark on light" if border > LIGHT else "light on dark"
            notes.append(f"it is {seen}, unlike the training images: inverted")
    if not exact:
        size = f"{header.height} x {header.width} pixels"
        if centred:
            pixels = centre_digit(pixels[0])[None]
            notes.append(f"it has {size}: what is drawn was fitted into {DIGIT} x {DIGIT}, centred")
        else:
            notes.append(f"it has {size}: its middle was resized to {height} x {width}")
    return Picture(np.ascontiguousarray(pixels), tuple(notes))


@takes(images=check_numbers)
def mean_border(images: np.ndarray) -> float:
    """The mean of the outermost pixels of images ``(N, C, H, W)`` of bytes, 0 to 1."""
    if images.ndim != 4 or not images.size:
        raise ArgumentError(f"expected images of shape (N, C, H, W), got {images.shape}.")
    edges = images[..., [0, -1], :], images[..., [0, -1]]
    return float(np.mean([edge.mean(dtype=np.float64) for edge in edges]) / 255)


@takes(ink=check_numbers)
def centre_digit(ink: np.ndarray) -> np.ndarray:
    """A digit, light on dark, of any size as MNIST has it.

    Parameters
    ----------
    ink : ndarray of uint8, shape (H, W)

    Returns
    -------
    ndarray of uint8, shape (28, 28)
        All 0 if nothing is drawn.
    """
    if ink.ndim != 2 or ink.dtype != np.uint8 or not ink.size:
        raise ArgumentError(f"expected bytes of shape (H, W), got {ink.dtype} of {ink.shape}.")
    image = pillow()
    drawn = ink > EDGE * max(int(ink.max()), 1)
    if not ink.any():
        return np.zeros((SIDE, SIDE), np.uint8)
    rows, columns = np.nonzero(drawn.any(1))[0], np.nonzero(drawn.any(0))[0]
    part = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = DIGIT / max(part.shape)
    size = [max(1, round(scale * side)) for side in part.shape]
    small = image.fromarray(part).resize((size[1], size[0]), image.Resampling.BILINEAR)
    digit = np.asarray(small, np.float64)
    out = np.zeros((SIDE, SIDE), np.uint8)
    if not digit.any():  # too faint to be seen at this size
        return out
    begin = []
    for axis in (0, 1):
        weights = digit.sum(1 - axis)
        mass = float(weights @ (np.arange(len(weights)) + 0.5) / weights.sum())
        begin.append(int(np.clip(round(SIDE / 2 - mass), 0, SIDE - size[axis])))
    y, x = begin
    out[y : y + size[0], x : x + size[1]] = digit
    return out
