"""A trial: a short training of a copy, to see whether a learning rate suits a network.

On a quadratic of curvature c, gradient descent with momentum m diverges from a learning rate of
``2 (1 + m) / c`` on. In a network the curvature changes as soon as training begins, mostly to
what the learning rate allows (Cohen et al., *Gradient descent on neural networks typically
occurs at the edge of stability*, ICLR 2021, arXiv 2103.00065). So the curvature at the start is
poor evidence, and a trial is better: the same optimizer, batches and schedule, from its warm-up
to its end, in some 60 steps. A learning rate that is too high destroys the signal or lets the
loss rise within them; one that is too low hardly moves the weights. A momentum that would take
longer than the trial to build up is replaced by a smaller one, with the learning rate that gives
steps as long in the end, ``lr / (1 - momentum)``.
"""

import copy
import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from minicnn import lanes, schedules
from minicnn.checks import check_count, check_number, check_numbers, takes
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError, DivergedError
from minicnn.losses import Loss, SoftmaxCrossEntropy
from minicnn.losses.reduction import batch_weight, mean_of
from minicnn.models.inference import check_images
from minicnn.models.sequential import Sequential, initialized
from minicnn.optimizers import Optimizer
from minicnn.plan import NEVER
from minicnn.training.callbacks.nan_guard import NanGuard
from minicnn.training.trainer import Trainer

IMAGES = 3840  # to train on
LEAST, MOST = 20, 200  # steps
MEMORY = 5  # times a velocity's memory of 1 / (1 - momentum) steps must fit into a trial
BATCH = 256  # a larger one would take longer and hardly be less stable
RISEN = 1.2  # loss after over before, or over that of guessing
LEARNING = 0.95  # of the loss of guessing: what is below it learns
LOST = 2.5  # std of a score before over after; where training works it rises, sooner or later
FAR = 0.5  # of the weights' length: a signal that went with so much of them does not return
STILL = 0.015  # of the weights' length: what moved less in all had not learned


@dataclass(frozen=True)
class Trial:
    """What became of the copy."""

    lr: float  # the learning rate, at the schedule's peak
    steps: int  # of the trial
    total_steps: int  # of the training that the trial stands for
    loss_before: float  # the mean on some images, in nats
    loss: float  # and after; not a number if the copy diverged
    std_before: float  # of a score over those images, as the root mean square over classes
    std: float  # and after
    moved: float  # ‖w after - w before‖ / ‖w before‖ over all weights

    @property
    def moved_in_all(self) -> float:
        """How far the weights would go in the whole training, if they went on like that."""
        return self.moved * self.total_steps / self.steps

    @takes(guess=check_number, faded=check_number)
    def kind(self, guess: float, faded: float) -> str:
        """``fine``, ``too fast`` or ``too slow``.

        `guess` is the loss of guessing, in nats, `faded` the least std of a score that counts as a
        signal.
        """
        lost = self.loss > LEARNING * guess and self.std < self.std_before / LOST
        lost = lost and self.moved > FAR or not self.std >= faded
        if lost or not self.loss <= RISEN * max(self.loss_before, guess):
            return "too fast"
        return "too slow" if self.total_steps > LEAST and self.moved_in_all < STILL else "fine"

    def __str__(self) -> str:
        if math.isnan(self.loss):
            return f"a trial of {self.steps} steps diverged"
        return (
            f"in a trial of {self.steps} steps the loss went from {self.loss_before:.3g} to"
            f" {self.loss:.3g} and the variation of scores from {self.std_before:.2g} to"
            f" {self.std:.2g}"
        )


@dataclass(frozen=True)
class _Shortened(schedules.Schedule):
    """A schedule over `steps` steps, run through in fewer."""

    schedule: schedules.Schedule
    steps: int
    name = "shortened"

    def factor(self, step, total_steps):
        """Factor at `step`."""
        return self.schedule(step * self.steps // total_steps, self.steps)


@takes(
    model=initialized, optimizer=Optimizer, data=Dataset, images=check_numbers,
    labels=partial(check_numbers, ndim=1), loss=Loss, batch_size=check_count,
    total_steps=check_count,
)  # fmt: skip
def attempt(
    model: Sequential,
    optimizer: Optimizer,
    data: Dataset,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    loss: Loss | None = None,
    schedule: str | schedules.Schedule = "constant",
    batch_size: int = 64,
    total_steps: int | None = None,
    seed: int = 0,
) -> Trial:
    """Train a copy of a model for a few dozen steps.

    Parameters
    ----------
    model : Sequential
    optimizer : Optimizer
        Of the model's parameters. Neither changes.
    data : Dataset
        To train on; up to 3,840 images, spread evenly over it, are used.
    images, labels : ndarray
        Normalized images to measure loss and scores on.
    loss, schedule, batch_size, seed : see `Trainer`
    total_steps : int, optional
        Of the training that the trial stands for; as many as the trial has by default.

    Raises
    ------
    ArgumentError
        If the images, labels or data do not fit the model, or it has no weights.
    """
    images = check_images(model, images)
    if len(labels) != len(images) or not len(images):
        raise ArgumentError(
            f"a trial needs images and a label for each, got {len(images)} images and"
            f" {len(labels)} labels."
        )
    if not any(parameter.decay for parameter in model.parameters()):
        raise ArgumentError("the model has no weights: there is nothing that could train.")
    twin, optimizer = copy.deepcopy((model, optimizer))
    loss = SoftmaxCrossEntropy() if loss is None else copy.deepcopy(loss)
    size = min(batch_size, BATCH, len(data))
    steps = min(max(IMAGES // size, LEAST), MOST)
    part = _part(data, min(steps * size, len(data)))
    epochs = max(steps * size // len(part), 1)
    steps = epochs * -(-len(part) // size)
    total_steps, lr = total_steps or steps, optimizer.lr
    _shorten_memory(optimizer, steps, total_steps)
    trainer = Trainer(
        twin, optimizer, part, part.subset(1), loss=loss, batch_size=size, epochs=epochs, seed=seed,
        schedule=_Shortened(schedules.from_string(schedule), total_steps), callbacks=[NanGuard()],
    )  # fmt: skip
    weights = _weights(twin)

    def measure():
        x = lanes.pack(images, twin.dtype)
        scores = twin.run(x, True, len(images), backward=NEVER)
        variance = np.var(lanes.unpack(scores, len(images)), axis=0, dtype=np.float64)
        value = mean_of(loss, loss(scores, labels)[0], batch_weight(loss, labels))
        return value, float(np.sqrt(np.mean(variance)))

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        loss_before, std_before = measure()
        try:
            trainer.fit()
            loss_after, std_after = measure()
        except DivergedError:
            loss_after = std_after = math.nan
        moved = np.linalg.norm(_weights(twin) - weights) / np.linalg.norm(weights)
    return Trial(
        lr, steps, total_steps, loss_before, loss_after, std_before, std_after, float(moved)
    )


def _shorten_memory(optimizer, steps, total_steps):
    """Let the velocity be as large within the trial as the training would let it become."""
    rest, least = 1 - getattr(optimizer, "momentum", 0.0), MEMORY / steps
    if rest < least:
        optimizer.lr *= least / max(rest, 1 / total_steps)
        optimizer.momentum = 1 - least


def _part(data, count):
    """As many images, spread evenly over a data set whatever its order."""
    chosen = np.arange(count) * len(data) // count
    part = Dataset(data.images[chosen], data.labels[chosen], data.classes)
    return part.with_normalization(data.mean, data.std)


def _weights(model):
    """All weights in one array of float64."""
    weights = [p.value.ravel() for p in model.parameters() if p.decay]
    return np.concatenate(weights).astype(np.float64)
