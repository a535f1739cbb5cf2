"""What all figures share: matplotlib, loaded when it is needed, and how images are drawn.

For the package itself: it checks nothing of what it is handed.
"""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import extras
from minicnn.errors import ArgumentError

#: Okabe & Ito's palette, which the colour-blind can tell apart, without its pale yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: Even to the eye, also in grey; and one with white in its middle for what has two signs.
ONE_SIGN, TWO_SIGNS = "cividis", "PuOr"
ENDINGS = (".png", ".svg", ".pdf")
INCH = 1.1  # of a small image


def new_figure(width: float, height: float) -> Any:
    """An empty figure of so many inches, or an ArgumentError that says how to get matplotlib."""
    figures = extras.load("matplotlib.figure", "a figure", "plot")
    return figures.Figure(figsize=(width, height), layout="constrained")


def grid_of_images(count: int, columns: int | None = None, extra: float = 0.0) -> tuple[Any, Any]:
    """A figure with room for `count` small images, and their axes; `extra` inches for titles."""
    columns = columns or min(count, max(1, math.ceil(math.sqrt(count * 1.6))))
    rows = math.ceil(count / columns)
    figure = new_figure(max(4.0, INCH * columns), max(1.5, (INCH + extra) * rows + 0.5))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for one in axes:
        one.set_axis_off()
    return figure, axes


def as_shown(image: np.ndarray) -> np.ndarray:
    """An image ``(C, H, W)`` as matplotlib draws it: ``(H, W)``, or ``(H, W, 3)`` from 0 to 1."""
    if image.dtype == np.uint8:
        image = image / 255
    low, high = image.min(), image.max()
    if low < 0 or high > 1:
        image = (image - low) / (high - low)
    if len(image) not in (1, 3):
        image = image.mean(0, keepdims=True)
    return image[0] if len(image) == 1 else np.moveaxis(image, 0, 2)


def draw(axes: Any, image: np.ndarray, title: str = "", size: int = 7) -> None:
    """Draw an image ``(C, H, W)`` in its own colours, or in grey."""
    axes.imshow(as_shown(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=size)


def as_file(figure: Any, kind: str) -> bytes:
    """The bytes of a figure's file of that kind, such as ``"png"``."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=150)
    return buffer.getvalue()


def check_ending(out: Path) -> Path:
    """`out` if it ends as figures do, or an ArgumentError."""
    if out.suffix not in ENDINGS:
        raise ArgumentError(f"--out {out}: expected a name that ends in {', '.join(ENDINGS)}.")
    return out
