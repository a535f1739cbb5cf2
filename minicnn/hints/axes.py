"""The order of an image array's axes: what it has to be, and how to get there.

For the package itself: it checks nothing of what it is handed.
"""

import math

COLOURS = (1, 3, 4)  # channels of an image: grey, RGB, RGB with transparency


def look_channels_last(shape: tuple[int, ...]) -> bool:
    """Whether images of shape (N, A, B, C) are rather of height A and width B than of A channels.

    That is so if the last axis is 1, 3 or 4 and the two before are longer than that.
    """
    return len(shape) == 4 and shape[3] in COLOURS and min(shape[1:3]) > max(COLOURS)


def advice_on_axes(shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """How to turn an array of `shape` into a batch of samples of the shape `wanted`, as (C, H, W).

    A sentence, or nothing if no change of axes makes one of the other.
    """
    if shape == wanted:
        return "A single one is a batch of one: use images[None]."
    if len(wanted) == 3:
        channels, *plane = wanted
        if shape[1:] == (*plane, channels):
            return "Channels come first: use images.transpose(0, 3, 1, 2)."
        if shape == (*plane, channels):
            return "Channels come first, of a batch: use images.transpose(2, 0, 1)[None]."
        if channels == 1 and shape[1:] == tuple(plane):
            return "The channel has an axis of its own: use images[:, None]."
        if channels == 1 and shape == tuple(plane):
            return "A single image of one channel: use images[None, None]."
    if math.prod(shape[1:]) == math.prod(wanted) and sorted(shape[1:]) != sorted(wanted):
        return f"Use images.reshape(-1, {', '.join(map(str, wanted))})."
    return ""
