"""Before training: which learning rate, and whether the network can learn one batch at all."""

import itertools
import math
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from minicnn.checks import check_count, check_positive, check_seed
from minicnn.console.table import as_html
from minicnn.data.augmentation import Augmentation
from minicnn.data.batches import Batches
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.losses.reduction import batch_weight, mean_of
from minicnn.models import Sequential
from minicnn.optimizers import Optimizer
from minicnn.training.generators import unchanged
from minicnn.training.step import TrainingStep
from minicnn.training.validation import check_loss, check_parts

SMOOTHING = 0.9  # share of the mean that a step keeps
EXPLODED = 4.0  # times the least loss, behind which there is nothing to see


class LRCurve(NamedTuple):
    """The loss at rising learning rates.

    Attributes
    ----------
    lrs : ndarray of float64, shape (n,)
        A learning rate for each step.
    losses : ndarray of float64, shape (n,)
        The loss before each step.
    smoothed : ndarray of float64, shape (n,)
        An exponential moving average of the losses, corrected for its start.
    """

    lrs: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray

    @property
    def least(self) -> float | None:
        """The learning rate with the least smoothed loss; None if the loss never falls."""
        where = int(np.argmin(self.smoothed)) if len(self.smoothed) else 0
        return float(self.lrs[where]) if where else None

    @property
    def suggestion(self) -> float | None:
        """A third of `least`, for the peak of a schedule.

        The average lags some nine steps behind, in which the learning rate grows about fourfold at
        the default settings.
        """
        return None if self.least is None else self.least / 3

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        rows = [
            [f"{lr:.3g}", f"{loss:.4f}", f"{mean:.4f}"]
            for lr, loss, mean in zip(self.lrs, self.losses, self.smoothed)
        ]
        return as_html(["learning rate", "loss", "smoothed"], rows)


def find_lr(
    model: Sequential,
    optimizer: Optimizer,
    train: Dataset,
    *,
    loss: Any = None,
    batch_size: int = 64,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    seed: int = 0,
    augmentation: Augmentation | None = None,
) -> LRCurve:
    """Train with a learning rate that rises in each step by the same factor, and watch the loss.

    Smith, *Cyclical learning rates for training neural networks*, WACV 2017 (arXiv 1506.01186),
    with the exponential rise that fastai made common. It ends when the loss is not finite or its
    mean is 4 times the least. Model and optimizer are as before afterwards.

    Parameters
    ----------
    model, optimizer, train, loss, batch_size, seed, augmentation
        As for :class:`minicnn.training.Trainer`.
    lowest, highest : float
        Learning rates of the first and the last step, above 0.
    steps : int
        At least 3.

    Returns
    -------
    LRCurve

    Raises
    ------
    ArgumentError
        If a setting is out of range, or parts do not fit together.
    """
    loss = _checked(model, optimizer, loss, train)
    check_positive(lowest, "lowest")
    if check_positive(highest, "highest") <= lowest:
        raise ArgumentError(f"highest must be above lowest, got {highest:g} and {lowest:g}.")
    if check_count(steps, "steps") < 3:
        raise ArgumentError(f"steps must be at least 3, got {steps}.")
    batches = _endless(train, batch_size, seed, model.dtype, augmentation)
    lrs = np.geomspace(lowest, highest, steps)
    losses, smoothed, mean, least = [], [], 0.0, math.inf
    with _restored(model, optimizer), np.errstate(over="ignore", invalid="ignore"):
        step = TrainingStep(model, loss, optimizer)
        for number, (lr, batch) in enumerate(zip(lrs, batches), start=1):
            optimizer.lr = float(lr)
            value = _step(step, loss, batch, model)
            mean = SMOOTHING * mean + (1 - SMOOTHING) * value
            corrected = mean / (1 - SMOOTHING**number)
            if not math.isfinite(value) or corrected > EXPLODED * least:
                break
            least = min(least, corrected)
            losses.append(value)
            smoothed.append(corrected)
    return LRCurve(lrs[: len(losses)], np.array(losses), np.array(smoothed))


def overfit_batch(
    model: Sequential,
    optimizer: Optimizer,
    train: Dataset,
    *,
    loss: Any = None,
    batch_size: int = 64,
    steps: int = 100,
) -> np.ndarray:
    """Train on the first batch of a data set again and again, which every sound network can learn.

    If the loss does not come near 0, look for the fault before you train on more: labels that do
    not belong to their images, a layer without gradient, a learning rate that is far off. Model and
    optimizer are as before afterwards.

    Parameters
    ----------
    model, optimizer, train, loss, batch_size
        As for :class:`minicnn.training.Trainer`.
    steps : int

    Returns
    -------
    ndarray of float64, shape (steps,)
        The loss before each step; it ends early where the loss is not finite.

    Raises
    ------
    ArgumentError
        If a setting is out of range, or parts do not fit together.
    """
    loss = _checked(model, optimizer, loss, train)
    size, losses = min(check_count(batch_size, "batch_size"), len(train)), []
    (batch,) = Batches(train.subset(size), size, None, model.dtype)
    with _restored(model, optimizer), np.errstate(over="ignore", invalid="ignore"):
        step = TrainingStep(model, loss, optimizer)
        for _ in range(check_count(steps, "steps")):
            losses.append(_step(step, loss, batch, model))
            if not math.isfinite(losses[-1]):
                break
    return np.array(losses)


def _checked(model, optimizer, loss, train):
    loss = SoftmaxCrossEntropy() if loss is None else loss
    check_parts(model, optimizer, loss, train, None)
    check_loss(loss, model, train)
    return loss


def _step(step, loss, batch, model):
    targets = batch.targets(model.output_shape[0])
    return mean_of(loss, step(batch.x, targets), batch_weight(loss, targets))


def _endless(train, batch_size, seed, dtype, augmentation):
    """Batches of one size, epoch after epoch."""
    size = min(check_count(batch_size, "batch_size"), len(train))
    rng = np.random.default_rng(check_seed(seed))
    batches = Batches(
        train, size, rng, dtype, augmentation=augmentation, seed=seed, drop_last=True,
    )  # fmt: skip
    for number in itertools.count(1):
        yield from batches.epoch(batches.order(), 0, number)


@contextmanager
def _restored(model, optimizer):
    """A block of code after which model, optimizer and the layers' random numbers are as before.

    Averages that the optimizer makes in the block are 0 afterwards.
    """
    weights, state, lr = model.state_dict(), optimizer.state_dict(), optimizer.lr
    try:
        with unchanged(model):
            yield
    finally:
        model.load_state_dict(weights)
        own = optimizer.state_dict(copy=False)
        made = {name: np.zeros_like(array) for name, array in own.items()}
        optimizer.load_state_dict({**made, **state})
        optimizer.lr = lr
        model.release()
