"""Signals: what flows through every layer of a model, seen from beside it."""

import copy
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minicnn import checks, lanes
from minicnn.data.batches import Batch
from minicnn.errors import ArgumentError, unknown
from minicnn.layers import Conv2d, Layer
from minicnn.losses import Loss, SoftmaxCrossEntropy
from minicnn.losses.reduction import batch_weight, mean_of
from minicnn.models.inference import check_images
from minicnn.models.sequential import Sequential, initialized
from minicnn.plan import NEVER, ONCE

Names = str | Iterable[str] | None


class Pass(NamedTuple):
    """What comes out of a batch."""

    loss: float  # E, the mean over the samples
    scores: np.ndarray  # (N, K)


class Signals:
    """A twin of a model that computes the same numbers where every layer can be looked at.

    The model may do a ReLU's work inside the layer beside it and write over what has been
    read; in the twin every layer does its own work on arrays of its own. The twin takes the
    model's parameters and running statistics over before each pass, so it follows the
    training. Nothing flows back: gradients, running statistics, random numbers of dropout and
    buffers are the twin's own.

    Parameters
    ----------
    model : Sequential
        Initialized. A copy of what it holds at this moment is made, buffers included.
    loss : Loss, optional
        Copied. `SoftmaxCrossEntropy` by default.
    dtype : dtype, optional
        What the twin computes in; the model's own by default.

    Attributes
    ----------
    model, twin : Sequential
        Names of layers and parameters are the same in both.

    Raises
    ------
    ArgumentError
        If the model is not initialized.
    """

    @checks.takes(model=initialized, loss=Loss, dtype=checks.check_dtype)
    def __init__(
        self, model: Sequential, loss: Loss | None = None, dtype: npt.DTypeLike | None = None
    ):
        self.model, self.twin = model, _twin(model, np.dtype(dtype or model.dtype))
        self._loss = SoftmaxCrossEntropy() if loss is None else copy.deepcopy(loss)

    def follow(self) -> None:
        """Take over the model's parameters and running statistics, as every pass does."""
        pairs = zip(self.twin.parameters(), self.model.parameters())
        arrays = [(mine.value, theirs.value) for mine, theirs in pairs]
        for mine, theirs in zip(self.twin.all_layers(), self.model.all_layers()):
            there = theirs.state()
            arrays += [(array, there[name]) for name, array in mine.state().items()]
        for array, source in arrays:
            array[...] = source

    @checks.takes(
        labels=checks.check_numbers, visit=partial(checks.check_callable, arguments=5),
        layers=checks.check_names, training=checks.check_flag,
        see=partial(checks.check_callable, arguments=2),
    )  # fmt: skip
    def record(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        visit: Callable[..., Any],
        layers: Names = None,
        training: bool = True,
        see: Callable[[Layer, np.ndarray], Any] | None = None,
    ) -> Pass:
        """Run one batch forwards and backwards, and show every layer's signals.

        E is the mean loss over the batch, so every dE/d(...) of a single sample has 1/N in it; with
        the reduction ``"sum"`` there is no 1/N in the gradients, and the loss that is returned is
        the mean still.

        Parameters
        ----------
        images : ndarray, shape (N, *input_shape), float
            Normalized as in training.
        labels : ndarray of int, shape (N,)
            Or whatever else the loss takes.
        visit : callable
            ``visit(layer, x, y, dx, dy)``, called for each leaf layer, the last first: the
            layer's input and output, its share of dE/dx (all of it, unless other layers read x,
            too) and dE/dy, each ``(N, ...)`` and the visitor's to keep. The layer is the twin's;
            the gradients of its parameters are at ``layer.own_parameters()[...].grad`` until the
            next pass.
        layers : iterable of str, optional
            Names of the layers to visit; all by default.
        training : bool
            Whether dropout drops and batch normalization uses the batch's statistics.
        see : callable, optional
            Is called as ``see(layer, y)`` as soon as y is there; what it returns is handed to
            `visit` in the place of y, with None for x and dx. So no signal need be kept: those of
            a deep network may take gigabytes.

        Raises
        ------
        ArgumentError
            If the images or labels do not fit the model or each other, or there is no layer of
            that name.
        """
        images, labels = check_images(self.twin, images), np.asarray(labels)
        if labels.shape[:1] != (len(images),):
            raise ArgumentError(
                f"expected a label for each of the {len(images)} images, got labels of shape"
                f" {labels.shape}."
            )
        self.follow()
        samples = len(images)
        watch = _Watch(select(self.twin, layers), samples, visit, see)
        with self.twin.plan().observed(watch):
            x = lanes.pack(images, self.twin.dtype)
            packed = self.twin.run(x, training, samples, backward=ONCE)
            loss, gradient = self._loss(packed, labels)
            loss = mean_of(self._loss, loss, batch_weight(self._loss, labels))
            scores = lanes.unpack(packed, samples)
            self.twin.backward(gradient)
        return Pass(float(loss), scores)

    @checks.takes(
        batch=Batch, visit=partial(checks.check_callable, arguments=2), layers=checks.check_names,
        training=checks.check_flag,
    )  # fmt: skip
    def outputs(
        self, batch: Batch, visit: Callable[..., Any], layers: Names = None, training: bool = False
    ) -> None:
        """Run one batch of :class:`minicnn.data.Batches` forwards, and show every layer's output.

        ``visit(layer, y)`` is called for each leaf layer, the first first. The other settings are
        as in `record`, by default as in evaluation.
        """
        self.follow()
        chosen = select(self.twin, layers)

        def watch(layer, which, arrays, compute):
            y = compute()
            if layer in chosen:
                visit(layer, lanes.unpack(y, batch.samples))
            return y

        with self.twin.plan().observed(watch):
            self.twin.run(batch.x, training, batch.samples, backward=NEVER)


@checks.takes(model=Sequential)
def leaves(model: Sequential) -> list[Layer]:
    """The layers of a model that hold no other layers, in the order of the forward pass."""
    return [layer for layer in model.all_layers() if not layer.children()]


@checks.takes(model=Sequential, names=checks.check_names, among=checks.list_of(Layer))
def select(
    model: Sequential, names: Names = None, kind: str = "layer", among: list[Layer] | None = None
) -> list[Layer]:
    """The layers of these names among all leaves, or those given, in order; all by default.

    ArgumentError for a name that is not there: it says of which `kind`, and names the nearest.
    """
    among = leaves(model) if among is None else among
    if names is None:
        return among
    names = [names] if isinstance(names, str) else names
    known = [layer.name for layer in among]
    for name in names:
        if name not in known:
            raise unknown(kind, name, known)
    return [layer for layer in among if layer.name in names]


def _twin(model, dtype):
    twin = copy.deepcopy(model)
    for layer in twin.all_layers():
        if isinstance(layer, Conv2d) and dtype != np.float32:
            layer.algorithm = "auto"  # as winograd is for float32 only
    twin.initialize(model.input_shape, 0, dtype, input_gradient=True, fuse=False)
    return twin


class _Watch:
    """Shows these layers' signals to `visit`, when a pass comes back to them."""

    def __init__(self, layers, count, visit, see):
        self._layers, self._count, self._visit, self._see = layers, count, visit, see
        self._kept = {}

    def __call__(self, layer, which, arrays, compute):
        if layer not in self._layers:
            return compute()
        # What a layer returns is unpacked at once: a residual sum writes into its body's output.
        if self._see is not None:
            return self._seen(layer, which, arrays[0], compute)
        before, result = lanes.unpack(arrays[0], self._count), compute()
        if which == "forward":
            self._kept[layer] = before, lanes.unpack(result, self._count)
            return result
        x, y = self._kept.pop(layer)
        dx = None if result[0] is None else lanes.unpack(result[0], self._count)
        self._visit(layer, x, y, dx, before)
        return result

    def _seen(self, layer, which, array, compute):
        if which == "backward":
            dy, result = lanes.unpack(array, self._count), compute()
            self._visit(layer, None, self._kept.pop(layer), None, dy)
            return result
        result = compute()
        self._kept[layer] = self._see(layer, lanes.unpack(result, self._count))
        return result
