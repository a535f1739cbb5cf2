"""One image file as an array of bytes, by Pillow: whatever its format, mode and size.

Turned upright as its EXIF says; alpha is put on white; 16 bits become 8.

For the package itself: it checks nothing of what it is handed.
"""

import os
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from minicnn import extras

GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
DEEP = 257  # 65535 / 255
ORIENTATION = 0x0112  # the tag of EXIF


class Header(NamedTuple):
    """What an image file says of itself before its pixels are read.

    Attributes
    ----------
    width, height : int
        As it is shown.
    grey, alpha, deep : bool
        Whether it has one channel, some transparency, 16 bits.
    """

    width: int
    height: int
    grey: bool
    alpha: bool
    deep: bool


def pillow() -> Any:
    """The package `PIL`, or an ArgumentError that says how to install it."""
    extras.load("PIL.ImageOps", "reading images", "data")
    return extras.load("PIL.Image", "reading images", "data")


def read_header(path: str | os.PathLike[str]) -> Header:
    """What a file says of itself.

    Raises
    ------
    ValueError
        With the reason, if it is no image that can be read.
    """
    with _opened(path) as image:
        width, height = image.size
        # A PNG whose EXIF comes after its pixels would be decoded for it.
        said = image.format != "PNG" or "exif" in image.info
        if said and image.getexif().get(ORIENTATION, 1) >= 5:  # lies on its side
            width, height = height, width
        return Header(width, height, image.mode in GREY, _has_alpha(image), _is_deep(image))


def decode(
    path: str | os.PathLike[str], channels: int, size: Sequence[int] | None = None
) -> np.ndarray:
    """The pixels of an image.

    Parameters
    ----------
    path : str or Path
    channels : int
        1 for grey, 3 for red, green and blue.
    size : pair of int, optional
        Height and width: the largest part of this shape around the middle is taken, and resized
        with a bicubic filter. By default all pixels as they are.

    Returns
    -------
    ndarray of uint8, shape (channels, H, W)

    Raises
    ------
    ValueError
        With the reason, if it is no image that can be read.
    """
    ops = extras.load("PIL.ImageOps", "reading images", "data")
    with _opened(path) as image:
        if size is not None:
            image.draft(None, (2 * size[1], 2 * size[0]))  # JPEG: leave fine detail out
        ops.exif_transpose(image, in_place=True)
        image = _plain(image, "L" if channels == 1 else "RGB")
        if size is not None and image.size != (size[1], size[0]):
            image = ops.fit(image, (size[1], size[0]), pillow().Resampling.BICUBIC)
        pixels = np.asarray(image)
    return pixels[None] if channels == 1 else np.moveaxis(pixels, 2, 0)


@contextmanager
def _opened(path):
    """An image, around a block in which what Pillow's readers raise becomes a ValueError."""
    image = pillow()
    try:
        with image.open(path) as opened:
            yield opened
    except image.UnidentifiedImageError:
        raise ValueError("it is no image of a known format") from None
    except image.DecompressionBombError as error:
        raise ValueError(f"it is too large: {error}") from error
    except (OSError, OverflowError, SyntaxError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ValueError(reason) from error


def _plain(image, mode):
    """As grey or red, green and blue, of 8 bits."""
    if _is_deep(image):
        wide = np.asarray(image).astype(np.int64)
        image = pillow().fromarray(((wide + DEEP // 2) // DEEP).clip(0, 255).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("its pixels are floating-point numbers: save them as .npz")
    if _has_alpha(image):
        front = image.convert("RGBA")
        image = pillow().new("RGBA", image.size, "white")
        image.alpha_composite(front)
    return image if image.mode == mode else image.convert(mode)


def _has_alpha(image):
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info


def _is_deep(image):
    return image.mode.startswith("I")
