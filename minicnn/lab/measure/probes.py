"""Probes: measure what flows through a model, on real batches, before and during training."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from minicnn import checks
from minicnn.data.batches import Batch
from minicnn.errors import ArgumentError
from minicnn.lab.measure.layer_stats import LayerRecord, Record, Statistics, ratio
from minicnn.lab.measure.signals import Names, Signals, leaves, select
from minicnn.layers import Hardsigmoid, Layer, ReLU, Sigmoid, Softsign, Tanh
from minicnn.metrics import entropy
from minicnn.models import Sequential
from minicnn.parameter import Parameter
from minicnn.training.callbacks.base import Callback
from minicnn.training.trainer import Trainer

BOUNDS = {
    Tanh: (-1.0, 1.0), Sigmoid: (0.0, 1.0), Softsign: (-1.0, 1.0), Hardsigmoid: (0.0, 1.0),
}  # fmt: skip
SATURATED = 0.05  # an output so near to a bound counts as saturated


@checks.takes(
    model=(Sequential, Signals), labels=checks.check_numbers, frequencies=checks.check_numbers,
    updates=checks.check_dict, layers=checks.check_names, training=checks.check_flag,
)  # fmt: skip
def probe(
    model: Sequential | Signals,
    images: np.ndarray,
    labels: np.ndarray,
    layers: Names = None,
    *,
    training: bool = True,
    frequencies: npt.ArrayLike | None = None,
    updates: dict[str, float] | None = None,
    step: int | None = None,
) -> Record:
    """Measure every layer's output, delta and weight gradient on one batch.

    Nothing of the model changes. It takes a forward and a backward pass, and some twenty
    passes over each layer's numbers: for LeNet-5, the work of training on some seven times as
    many images.

    Parameters
    ----------
    model : Sequential or Signals
        `Signals` spares making a twin for every call.
    images : ndarray, shape (N, *input_shape), float
        Normalized as in training.
    labels : ndarray of int, shape (N,)
    layers : iterable of str, optional
        Names of the layers to measure; all leaves by default.
    training : bool
        Whether dropout drops and batch normalization uses the batch's statistics.
    frequencies : array_like, shape (K,), optional
        Of the classes, for the entropy; those of `labels` by default.
    updates : dict of str to float, optional
        By the parameter's name, as `update_ratios` gives them, to stand in the record.
    step : int, optional
        To stand in the record.

    Raises
    ------
    ArgumentError
        If the images or labels do not fit the model, or there is no layer of that name.
    """
    signals = model if isinstance(model, Signals) else Signals(model)
    found, updates = {}, updates or {}

    def see(layer, y):
        dead = float(np.mean(~_alive(y))) if isinstance(layer, ReLU) else None
        return Statistics.of(y), dead, _saturated(layer, y)

    def visit(layer, x, seen, dx, dy):
        output, dead, saturated = seen
        weight = weight_of(layer)
        gradient = None if weight is None else Statistics.of(weight.grad)
        update = None if weight is None else updates.get(weight.name)
        found[layer.name] = LayerRecord(
            layer.name, output, Statistics.of(dy), gradient, dead, saturated, update
        )

    loss, scores = signals.record(images, labels, visit, layers, training, see)
    classes = scores.shape[1]
    if frequencies is None:
        frequencies = np.bincount(np.asarray(labels), minlength=classes) / len(labels)
    with np.errstate(over="ignore", invalid="ignore"):
        logit_std = float(np.sqrt(np.mean(np.var(scores, axis=0, dtype=np.float64))))
    return Record(
        tuple(found[layer.name] for layer in leaves(signals.twin) if layer.name in found),
        loss, classes, entropy(frequencies), logit_std, len(scores), step,
    )  # fmt: skip


@checks.takes(model=(Sequential, Signals), batches=checks.check_iterable, layers=checks.check_names)
def dead_units(
    model: Sequential | Signals, batches: Iterable[Batch], layers: Names = None
) -> dict[str, np.ndarray]:
    """Which ReLU units are 0 for every sample of a data set, computed as in evaluation.

    Parameters
    ----------
    model : Sequential or Signals
    batches : iterable of Batch
        Such as ``Batches(dataset, 256)``; ArgumentError if there is none.
    layers : iterable of str, optional
        Names of ReLU layers; all by default.

    Returns
    -------
    dict of str to ndarray of bool, shape (C,)
        By the layer's name; a unit is a feature, or a channel with all its positions.
    """
    signals = model if isinstance(model, Signals) else Signals(model)
    rectifiers: list[Layer] = [layer for layer in leaves(signals.twin) if isinstance(layer, ReLU)]
    chosen = [layer.name for layer in select(signals.twin, layers, "ReLU layer", rectifiers)]
    alive: dict[str, Any] = {}
    seen = 0

    def visit(layer, y):
        alive[layer.name] = alive.get(layer.name, False) | _alive(y)

    for batch in batches:
        signals.outputs(batch, visit, chosen)
        seen += batch.samples
    if not seen:
        raise ArgumentError("dead_units needs at least one batch of samples, got none.")
    return {name: ~alive[name] for name in chosen}


@checks.takes(before=checks.check_dict, after=checks.check_dict)
def update_ratios(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> dict[str, float]:
    """How far each parameter has gone, as a part of what it was: ``‖after - before‖ / ‖before‖``.

    Of the names in both of two dicts such as ``model.state_dict()``; some 1e-3 a step is common.
    Infinite for what was all 0 and is not any more, NaN for what still is. ArgumentError if a
    parameter is no array of numbers, or has two shapes.
    """
    ratios = {}
    for name in [name for name in before if name in after]:
        old, new = (checks.check_numbers(a[name], name).astype(np.float64) for a in (before, after))
        if old.shape != new.shape:
            raise ArgumentError(f"{name} has shape {old.shape} before, but {new.shape} after.")
        with np.errstate(over="ignore", invalid="ignore"):
            ratios[name] = ratio(float(np.linalg.norm(new - old)), float(np.linalg.norm(old)))
    return ratios


class Probes(Callback):
    """Measures the model at chosen moments of its training, always on the same batch.

    A training with probes gives the same bits as one without. At other steps nothing is done
    at all. By default it measures at the beginning and after every epoch; with 256 images that
    is some 3 % of an epoch of LeNet-5 on the 60,000 of MNIST, and less for larger networks,
    which compute more with each number.

    Parameters
    ----------
    images, labels
        As for `probe`; some hundred are enough.
    every : int, optional
        Steps from one measurement to the next, the first at step 0.
    at : iterable of int, optional
        Numbers of the steps after which to measure, 0 for the beginning, instead of `every`.
    layers : iterable of str, optional
        As for `probe`.

    Attributes
    ----------
    records : list of Record
        In the order of the steps, each with its update ratios, except at step 0.

    Raises
    ------
    ArgumentError
        For a setting out of range; when training begins, for a layer that is not there.
    """

    @checks.takes(at=checks.check_items, layers=checks.check_names)
    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        every: int | None = None,
        at: Iterable[int] | None = None,
        layers: Names = None,
    ):
        if every is not None and at is not None:
            raise ArgumentError("Probes: give every or at, not both.")
        self.every = None if every is None else checks.check_count(every, "Probes: every")
        self.at: Any = None if at is None else frozenset(_check_step(step) for step in at)
        self.layers = layers
        self.images, self.labels = images, labels
        self.records: list[Record] = []
        self._signals: Any = None
        self._before: Any = None

    def on_train_begin(self, trainer: Trainer) -> None:
        """Make the twin, and measure the untrained model."""
        if self.every is None and self.at is None:
            self.every = -(-len(trainer.train) // trainer.batch_size)
        self._signals = Signals(trainer.model, trainer.loss)
        select(self._signals.twin, self.layers)
        if trainer.step == 0 and self._due(0):
            self._measure(trainer, None)

    def on_loss(self, trainer: Trainer) -> None:
        """Keep the weights that the coming update will change, if it is to be measured."""
        if self._due(trainer.step + 1):
            self._before = {name: w.copy() for name, w in self._weights(trainer).items()}

    def on_step_end(self, trainer: Trainer) -> None:
        """Measure, if this step is one of those chosen."""
        if self._due(trainer.step):
            self._measure(trainer, update_ratios(self._before, self._weights(trainer)))
            self._before = None

    def on_train_end(self, trainer: Trainer) -> None:
        """Let go of the twin."""
        self._signals = self._before = None

    def _due(self, step):
        return step in self.at if self.every is None else step % self.every == 0

    def _weights(self, trainer):
        chosen = select(trainer.model, self.layers)
        weights = [weight for weight in map(weight_of, chosen) if weight is not None]
        return {weight.name: weight.value for weight in weights}

    def _measure(self, trainer, updates):
        record = probe(
            self._signals, self.images, self.labels, self.layers, updates=updates,
            frequencies=trainer.train.class_frequencies(), step=trainer.step,
        )  # fmt: skip
        self.records.append(record)


@checks.takes(layer=Layer)
def weight_of(layer: Layer) -> Parameter | None:
    """The layer's W, or None: slopes and scales, which are not to decay, are none."""
    weight = layer.own_parameters().get("weight")
    return weight if weight is not None and weight.decay else None


def _alive(y):
    """Whether each unit, ``(N, C, ...)`` along the second axis, is not 0 somewhere."""
    return (y != 0).any(axis=(0, *range(2, y.ndim)))


def _saturated(layer, y):
    if type(layer) not in BOUNDS:
        return None
    low, high = BOUNDS[type(layer)]
    return float(np.mean((y < low + SATURATED) | (y > high - SATURATED)))


def _check_step(step):
    if isinstance(step, bool) or not isinstance(step, (int, np.integer)) or step < 0:
        raise ArgumentError(f"Probes: at must hold numbers of steps from 0, got {step!r}.")
    return int(step)
