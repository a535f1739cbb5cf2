"""Scores of ordinary arrays: a model's `predict`, in any number of threads.

For the package itself: it checks nothing of what it is handed but the images.
"""

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import lanes
from minicnn.checks import check_count
from minicnn.errors import ArgumentError
from minicnn.hints.axes import advice_on_axes
from minicnn.plan import Passes
from minicnn.plan.micro_batches import EVALUATION_BATCH, micro_batch_size

if TYPE_CHECKING:
    from minicnn.models.sequential import Sequential


class OfThread(threading.local):
    """What each thread that computes with a model has of its own; a copy has none of it."""

    plan: Any = None  # a Plan, once there is one
    _passes: Any = None
    _input: Any = None

    def passes(self, model: "Sequential") -> Passes:
        """Passes for inference."""
        self._passes = self._passes or Passes(model)
        return self._passes

    def batch(self, model: "Sequential", groups: int) -> np.ndarray:
        """An array for a batch; always the same, so that passes can be replayed."""
        if self._input is None or len(self._input) < groups:
            self._input = lanes.zeros((groups, *model.input_shape, lanes.LANES), model.dtype)
        return self._input[:groups]

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return OfThread, ()


def predict(
    model: "Sequential", own: OfThread, images: np.ndarray, batch_size: int | None
) -> np.ndarray:
    """Scores of the images in parts of `batch_size`; see :meth:`Sequential.predict`."""
    images = check_images(model, images)
    size = micro_batch_size(model, EVALUATION_BATCH) if batch_size is None else batch_size
    size = check_count(size, "batch_size")
    scores = np.empty((len(images), *model.output_shape), model.dtype)
    with model.lock.shared():
        for start in range(0, len(images), size):
            part = images[start : start + size]
            x = own.batch(model, lanes.group_count(len(part)))
            lanes.pack(part, model.dtype, out=x)
            packed = own.passes(model).forward(x, False, len(part))
            scores[start : start + size] = lanes.unpack(packed, len(part))
    return scores


def check_images(model: "Sequential", images: np.ndarray) -> np.ndarray:
    """`images` as an array that the model can take, or an ArgumentError."""
    model.check_layers()
    if np.ma.is_masked(images):
        raise ArgumentError("some pixels are masked: fill them by images.filled(value).")
    images = np.asarray(images)
    if images.dtype.kind != "f":
        raise ArgumentError(
            f"expected floating-point images, got {images.dtype}: normalize them first, as in"
            " dataset.normalized(indices). By hand, bytes are divided by 255:"
            " (images / 255 - mean[:, None, None]) / std[:, None, None]."
        )
    if images.shape[1:] != model.input_shape:
        raise ArgumentError(
            f"expected an array of shape (N, {', '.join(map(str, model.input_shape))}),"
            f" got {images.shape}. {advice_on_axes(images.shape, model.input_shape)}".rstrip()
        )
    return images
