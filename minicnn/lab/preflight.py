"""Pre-flight: will this network train? Told from its weights, one batch, and a short trial.

Four things end a training before it begins, and each can be seen at the start:

- *dead*, *blind* or *tied*: gradients that are exactly zero, scores that never depend on the
  input, on every way to them a layer all of whose units stay copies of one
  (:mod:`minicnn.lab.symmetry.gradient_front`);
- a signal that *fades*: the scores of different images hardly differ;
- a gradient that *fades*: delta in the first layer is a tiny part of that in the last;
- a signal or a gradient that *explodes*: the loss at the start is far beyond that of guessing,
  or delta in the first layer far larger than in the last.

Scores and delta need not be near 1. They grow by themselves once there is something to grow
from, so the limits are low: they are where nets of 5 to 30 layers began to stall within some
400 steps of SGD. Sigmoid units pass on a constant, too, from which the last bias and weights
learn first; there the limits are ten times higher. Where weights that are 0 keep others waiting,
as a last layer of zeros does, a copy of the network is judged that was trained until the gradient
has reached them all, and some steps more. Whether the learning rate suits a net that is sound
otherwise is tried on a copy, by the run's own optimizer and schedule in some 60 steps
(:mod:`minicnn.lab.trial`). How often the verdicts are right is measured by
:mod:`experiments.preflight_evaluation`.
"""

import copy
import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from minicnn import lanes
from minicnn.checks import check_count, check_numbers, takes
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError
from minicnn.lab.measure import comparison
from minicnn.lab.measure.layer_stats import Record
from minicnn.lab.measure.probes import probe, weight_of
from minicnn.lab.symmetry import gradient_front
from minicnn.lab.theory.prediction import predict
from minicnn.lab.trial import Trial, attempt
from minicnn.layers import Sigmoid
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.models.inference import check_images
from minicnn.models.sequential import Sequential, initialized
from minicnn.optimizers import SGD, Optimizer
from minicnn.plan import trace
from minicnn.training.runs.settings import Settings

IMAGES = 256
FADED_SIGNAL = 2.5e-4  # std of a score over the images
FADED_GRADIENT = 1.2e-4  # delta of the first layer over that of the last
WITH_OFFSET = 10.0  # times as much, for units that are not 0 at 0
EXPLODED_LOSS = 50.0  # nats; guessing costs ln K, 2.3 for ten classes
EXPLODED_GRADIENT = 5.0  # delta of the first layer over that of the last
AWAKE = 10  # steps that a copy trains once the gradient has reached its last weight
OF_TRIAL = ("too fast", "too slow")


@dataclass(frozen=True)
class Preflight:
    """A verdict and what it rests on.

    Attributes
    ----------
    kind : str
        ``fine``, ``dead``, ``blind``, ``tied``, ``fading signal``, ``fading gradient`` or
        ``exploding``; after a trial also ``too fast`` or ``too slow``, of its steps.
    record : Record
        What was measured, at step 0 unless weights that are 0 keep others waiting.
    layer : str or None
        Where it begins: the first layer, in the direction of the signal or the gradient, that
        has a tenth or less of what went in, or ten times more.
    front : gradient_front.Verdict
    trial : Trial or None
        If there was one.
    """

    kind: str
    record: Record
    layer: str | None
    front: gradient_front.Verdict
    trial: Trial | None = None

    @property
    def trains(self) -> bool:
        """Whether the network is expected to train."""
        return self.kind == "fine"

    def __str__(self) -> str:
        record = self.record
        trial: Any = self.trial
        size = (
            f"scores vary by {record.logit_std:.2g} from image to image, delta in the first layer"
            f" is {record.delta_ratio:.2g} of that in the last, the loss is {record.loss:.3g}"
        )
        if self.kind == "fine":
            after = f", after {record.step} steps" if record.step else ""
            copies = "; some units stay copies of each other" if self.front.tied else ""
            return f"will train: {size}{after}{copies}."
        if self.kind in ("dead", "blind", "tied"):
            why = str(self.front).splitlines()[0].partition(": ")[2].rstrip(".")
            return f"will not train: {self.kind}, {why}."
        if self.kind == "too fast":
            return f"will not train at a learning rate of {trial.lr:g}: {trial}."
        if self.kind == "too slow":
            return (
                f"will hardly train at a learning rate of {trial.lr:g}: it moves the weights"
                f" by {trial.moved_in_all:.1g} of their length in all"
                f" {trial.total_steps:,} steps."
            )
        where = f"; it begins at {self.layer}" if self.layer else ""
        end = "diverge or saturate" if self.kind == "exploding" else "stall"
        soon = " within some 400 steps" if end == "stall" else ""
        return f"will {end}{soon}: {size}{where}."


@takes(
    model=initialized, images=check_numbers, labels=partial(check_numbers, ndim=1),
    optimizer=Optimizer,
)  # fmt: skip
def preflight(
    model: Sequential,
    images: np.ndarray,
    labels: np.ndarray,
    optimizer: Optimizer | None = None,
    **training: Any,
) -> Preflight:
    """Judge an initialized model by one batch, and its optimizer, if given, by a short trial.

    Parameters
    ----------
    model : Sequential
        Nothing of it changes.
    images : ndarray, shape (N, *input_shape), float
        Normalized as in training; some hundred, for a trial some thousand. Of these the first
        256 are the batch.
    labels : ndarray of int, shape (N,)
    optimizer : Optimizer, optional
        Of the model's parameters, with the learning rate to judge. Nothing of it changes.
    **training
        ``loss``, ``schedule``, ``batch_size``, ``total_steps`` and ``seed`` of the training to
        come, as :func:`minicnn.lab.trial.attempt` has them.
        The batch is judged by softmax cross-entropy, whatever the loss; the trial is of the loss
        itself. What guessing costs is known for cross-entropy without weights alone: for another
        loss its value before the trial stands for it, so a verdict on it is less sure.

    Returns
    -------
    Preflight

    Raises
    ------
    ArgumentError
        If the images or labels do not fit the model, there are less than two images or classes,
        or the model has no weights.
    """
    check_images(model, images)
    if optimizer is None:
        return _at_start(model, images, labels)
    found = _at_start(model, images[:IMAGES], labels[:IMAGES])
    shape: Any = model.output_shape
    data = Dataset(images, labels, shape[0])
    return _tried(found, model, optimizer, data, images[:IMAGES], labels[:IMAGES], **training)


def _tried(found, model, optimizer, data, images, labels, **training):
    """The verdict after a trial, if there is reason for one."""
    if not found.trains:
        return found
    trial = attempt(model, optimizer, data, images, labels, **training)
    guess = max(found.record.class_entropy, math.log(2))
    if not _guesses_cost_entropy(training.get("loss")):
        guess = trial.loss_before
    kind = trial.kind(guess, _tolerance(model) * FADED_SIGNAL)
    return replace(found, kind=kind, trial=trial)


def _guesses_cost_entropy(loss):
    """Whether the entropy of the classes is what guessing costs by this loss."""
    return loss is None or isinstance(loss, SoftmaxCrossEntropy) and loss.weight is None


def _at_start(model, images, labels):
    """The verdict on the model as it is."""
    if len(images) < 2 or model.output_shape is not None and model.output_shape[0] < 2:
        raise ArgumentError(
            "a verdict needs at least two images and two classes: with one there is nothing to"
            f" tell apart; got {len(images)} images and scores of shape {model.output_shape}."
        )
    weighted = _weighted(model)
    if not weighted:
        raise ArgumentError("the model has no weights: there is nothing that could train.")
    record, front = probe(model, images, labels), gradient_front.verdict(model)
    kind, layer = front.kind, None
    if kind == "free" or (kind == "tied" and not _every_way(model, front.collapsed)):
        if front.last_step > 1 or record.logit_std == 0:
            record = _awake(model, images, labels, front.last_step + AWAKE)
        kind, layer = _judge(record, weighted, images, _tolerance(model))
    return Preflight(kind, record, layer, front)


def _every_way(model, names):
    """Whether every way from the input to the scores leads through a layer of these names."""
    graph = trace(model)
    ways = graph.forward(True, lambda node, inputs: any(inputs) and node.name not in names)
    return not ways[graph.output]


def _tolerance(model):
    """The factor of the limits below which something has faded."""
    offset = any(isinstance(layer, Sigmoid) for layer in model.all_layers())
    return WITH_OFFSET if offset else 1.0


def _awake(model, images, labels, steps):
    """What is measured in a copy of the model after some steps of gradient descent on the batch."""
    twin, loss = copy.deepcopy(model), SoftmaxCrossEntropy()
    optimizer = SGD(twin.parameters(), SGD.default_lr)
    x = lanes.pack(images, twin.dtype)
    for _ in range(steps):
        _, gradient = loss(twin.forward(x, True, len(images)), labels)
        twin.backward(gradient)
        optimizer.step()
    return replace(probe(twin, images, labels), step=steps)


def _judge(record, weighted, images, factor):
    layers = [record[name] for name in weighted]
    size = float(np.sqrt(np.mean(np.square(images, dtype=np.float64))))
    signal, deltas = ([getattr(r, of).rms for r in layers] for of in ("output", "delta"))
    backwards = weighted[::-1], deltas[::-1]
    if not record.loss <= EXPLODED_LOSS:
        return "exploding", _first(weighted, signal, lambda rms: not rms <= 10 * size)
    if record.logit_std < factor * FADED_SIGNAL:
        return "fading signal", _first(weighted, signal, lambda rms: rms < size / 10)
    if not record.delta_ratio >= factor * FADED_GRADIENT:
        return "fading gradient", _first(*backwards, lambda rms: rms < deltas[-1] / 10)
    if record.delta_ratio > EXPLODED_GRADIENT:
        return "exploding", _first(*backwards, lambda rms: rms > EXPLODED_GRADIENT * deltas[-1])
    return "fine", None


def _first(names, values, holds):
    return next((name for name, value in zip(names, values) if holds(value)), None)


@takes(settings=Settings, dataset=Dataset)
def of_settings(settings: Settings, dataset: Dataset) -> Preflight:
    """The verdict on the model of a run, before it is trained.

    Parameters
    ----------
    settings : Settings
    dataset : Dataset
        Its training set; the first 256 images are looked at, and some thousand trained on.

    Returns
    -------
    Preflight
    """
    model, batch = settings.make_model(dataset), first_images(dataset, IMAGES)
    steps = -(-len(dataset) // min(settings.batch_size, len(dataset)))
    return _tried(
        _at_start(model, *batch), model, settings.make_optimizer(model.parameters()), dataset,
        *batch, loss=settings.make_loss(dataset), schedule=settings.schedule,
        batch_size=settings.batch_size, total_steps=settings.epochs * steps, seed=settings.seed,
    )  # fmt: skip


@takes(dataset=Dataset, count=check_count)
def first_images(dataset: Dataset, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first images of a data set, normalized, and their labels."""
    chosen = np.arange(min(count, len(dataset)))
    return dataset.normalized(chosen), dataset.labels[chosen]


@takes(model=initialized, labels=check_numbers)
def beside_theory(model: Sequential, images: np.ndarray, labels: np.ndarray) -> str:
    """A table of the layers with weights: what flows through them, and what theory says."""
    predictions = predict(model, images, labels)  # first, as it may have none
    record = probe(model, images, labels)
    return comparison.table(record, predictions, _weighted(model))


def _weighted(model):
    """Names of the layers with weights."""
    return [layer.name for layer in model.all_layers() if weight_of(layer) is not None]
