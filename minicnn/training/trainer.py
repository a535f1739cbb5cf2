"""Trainer: the loop of stochastic gradient descent, and nothing else."""

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any

import numpy as np

from minicnn import schedules
from minicnn.checks import check_count, check_kind, check_seed
from minicnn.data import Dataset
from minicnn.data.augmentation import Augmentation
from minicnn.data.batches import Batches
from minicnn.errors import ArgumentError
from minicnn.losses import SoftmaxCrossEntropy, predicted_classes
from minicnn.losses.reduction import batch_weight, mean_of
from minicnn.models import Sequential
from minicnn.optimizers import Optimizer
from minicnn.training.averaging import WeightAverage
from minicnn.training.callbacks.base import Callback
from minicnn.training.callbacks.calling import look_at_gradients, tell, tell_all
from minicnn.training.evaluation import Evaluation
from minicnn.training.running_metrics import RunningMetrics
from minicnn.training.step import TrainingStep
from minicnn.training.trainer_state import COUNTED, TrainerState
from minicnn.training.validation import as_callbacks, check_loss, check_parts

SHUFFLE = 1  # keeps the shuffle's random numbers apart from those of the model's seed


class Trainer(TrainerState):
    """Trains a model on one data set and evaluates it on another after every epoch.

    A step, for each batch (x, labels) of a shuffled epoch::

        lr         = base_lr * schedule(step, total_steps)
        scores     = model.forward(x)
        E, dE/ds   = loss(scores, labels)
        dE/dw      = model.backward(dE/ds)
        w          = optimizer.step()

    Large batches are computed in parts (:mod:`minicnn.training.gradients`).
    Everything else, such as progress, files or early stopping, is a callback.

    A setting out of range, or images that do not fit the model, are an ArgumentError, and a label
    outside the model's classes is a DataError.

    Parameters
    ----------
    model : Sequential
        Initialized; its output is a vector of scores, one for each class.
    optimizer : Optimizer
        Of ``model.parameters()``; its learning rate is the base of the schedule.
    train, test : Dataset
        Images that fit the model and labels within its classes. Without a test set there is none of
        its results in the history.
    validation : Dataset, optional
        A part of the training data that is not trained on, to choose by: the best epoch, when to
        stop. Nothing is chosen by the test set, which is looked at for the report alone.
    augmentation : Augmentation, optional
        How training images are changed, anew each time they are seen.
    loss : Loss, optional
        `SoftmaxCrossEntropy` by default.
    schedule : str or Schedule
    batch_size : int
        The last batch of an epoch may be smaller.
    epochs : int
    seed : int
        Of the shuffle; independent of the random numbers that made the model.
    callbacks : iterable of Callback
    average : WeightAverage, optional
        `EMA` or `SWA`: what is evaluated, and what the model ends with.
    eval_flip : bool
        Whether the scores of an image are the mean of its own and of its mirror image's when the
        model is evaluated.
    eval_shift : int
        By how many pixels images are moved for further views then, see `Evaluation`; 0 for none.
    eval_every : int
        The model is evaluated after every so many epochs, and after the last.
    drop_last : bool
        Whether a smaller last batch is left out of each epoch.

    Attributes
    ----------
    epoch, step, total_steps, totals, history, predicted, trained_images, ... : see `TrainerState`
    batch, loss_value : Batch, float
        The one that training computed last, and its loss: the mean, if the loss gives the sum.
    loss_weight : float
        How much that batch counts in a mean over several: its number of samples, or what
        ``loss.batch_weight`` says where classes have weights or labels are ignored.
    test_batches : Batches or None
        Of the test set.
    base_lr : float
        The learning rate that the schedule multiplies: the optimizer's, when training begins.
    """

    def __init__(
        self,
        model: Sequential,
        optimizer: Optimizer,
        train: Dataset,
        test: Dataset | None = None,
        *,
        loss: Any = None,
        schedule: str | schedules.Schedule = "constant",
        batch_size: int = 64,
        epochs: int = 5,
        seed: int = 0,
        callbacks: Iterable[Callback] = (),
        validation: Dataset | None = None,
        augmentation: Augmentation | None = None,
        average: WeightAverage | None = None,
        eval_flip: bool = False,
        eval_shift: int = 0,
        eval_every: int = 1,
        drop_last: bool = False,
    ):
        self.callbacks = as_callbacks(callbacks)
        self.model, self.optimizer = model, optimizer
        self.train, self.test, self.validation = train, test, validation
        self.loss = SoftmaxCrossEntropy() if loss is None else loss
        check_parts(model, optimizer, self.loss, train, test, validation)
        self.schedule = schedules.from_string(schedule)
        self.batch_size = min(check_count(batch_size, "batch_size"), len(train))
        self.epochs = check_count(epochs, "epochs")
        self.base_lr = self._rate = optimizer.lr
        self._rng = np.random.default_rng([check_seed(seed), SHUFFLE])
        self._batches = Batches(
            train, self.batch_size, self._rng, model.dtype, augmentation=augmentation, seed=seed,
            drop_last=drop_last,
        )  # fmt: skip
        self.average, self.eval_flip, self.eval_shift = average, eval_flip, eval_shift
        self.eval_every = check_count(eval_every, "eval_every")
        if average is not None:
            check_kind(average, WeightAverage, "average").follow(model, train)
        self._evaluation = Evaluation(model, eval_flip, eval_shift)
        self.test_batches, self._validation_batches = (
            None if dataset is None else self._evaluation.batches(dataset)
            for dataset in (test, validation)
        )
        self._start()
        self.schedule(0, self.total_steps)  # a warm-up longer than the training is refused here
        self.batch: Any = None
        self.loss_value: Any = None
        self.loss_weight = 0.0

    def fit(self) -> list[dict[str, Any]]:
        """Train for the epochs that are left, or go on in one that was broken off.

        The optimizer has its own learning rate again afterwards. An exception that comes from
        outside, as Ctrl-C does, may end a step half done: go on from a saved state then, or
        train by `Run`, which waits for the step's end.

        Returns
        -------
        list of dict
            ``history``.
        """
        self._check_unchanged()
        check_loss(self.loss, self.model, self.train)
        if self.optimizer.lr != self._rate:  # set since, or that of another optimizer
            self.base_lr = self._rate = self.optimizer.lr
        # Overflow is NanGuard's to report, with its layer; NumPy would only name a line.
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                if self.average is not None and self.average.in_model:
                    self.average.swap()
                tell(self, "on_train_begin")
                while self._steps_of_epoch() or not self.has_ended():
                    self._train_epoch()
            finally:
                self.optimizer.lr = self._rate = self.base_lr
                try:
                    tell_all(self, "on_train_end")
                finally:
                    if self.average is not None:
                        self.average.swap()
                    self.model.release()
        return self.history

    def stop(self) -> None:
        """End training after the epoch that is running; for callbacks."""
        self._stopped = True

    def has_ended(self) -> bool:
        """Whether no epoch follows the one that is running, or ran last."""
        return self._stopped or self.epoch >= self.epochs

    def evaluate(self) -> RunningMetrics:
        """Mean loss and accuracy on the test set, in evaluation mode.

        Returns
        -------
        RunningMetrics
            The predicted classes go to ``predicted``.

        Raises
        ------
        ArgumentError
            If there is no test set.
        """
        if self.test_batches is None:
            raise ArgumentError(
                "there is no test set to evaluate on: give one, Trainer(model, optimizer, train,"
                " test)."
            )
        totals, self.predicted = self._evaluate(self.test_batches)
        return totals

    def averaged(self) -> AbstractContextManager[None]:
        """A block of code in which the model has the averaged weights, if there are any yet."""
        return nullcontext() if self.average is None else self.average.averaged()

    def _evaluate(self, batches):
        """Mean loss and accuracy on batches, and the predicted classes."""
        if self._evaluation.model is not self.model:
            self._evaluation = Evaluation(self.model, self.eval_flip, self.eval_shift)
        with self.averaged():
            return self._evaluation(self.loss, batches)

    def _check_unchanged(self):
        """Raise unless the parts still fit: what belongs to them can be changed at any time."""
        check_parts(self.model, self.optimizer, self.loss, self.train, self.test, self.validation)
        batches, size = self._batches, self.batch_size
        made = batches.dataset is self.train and batches.batch_size == size
        fewer = self.epochs * len(batches) <= self.total_steps
        tested = None if self.test_batches is None else self.test_batches.dataset
        if not (made and fewer) or tested is not self.test:
            raise ArgumentError(
                "a Trainer keeps the data sets and the batch size that it was made with, and has no"
                " more epochs than its schedule: make another Trainer for others."
            )

    def _train_epoch(self):
        self.epoch = len(self.history) + 1
        rng, done = self._rng.bit_generator, self._steps_of_epoch()
        if done:  # it was broken off: draw its order again
            rng.state = self._drawn_from
        else:
            self._drawn_from, self.totals, self._epoch_seconds = rng.state, RunningMetrics(), 0.0
        order = self._batches.order()
        tell(self, "on_epoch_begin")
        self._check_unchanged()
        if self.optimizer.lr != self._rate:
            raise ArgumentError(
                "a callback has set optimizer.lr, which the schedule sets anew in every step: set"
                " trainer.base_lr, which it multiplies."
            )
        before = self._before
        start = self._epoch_begin = time.perf_counter() - self._epoch_seconds
        try:
            # Closing ends their thread on an error, too.
            with closing(self._batches.epoch(order, done, self.epoch)) as batches:
                self._train_steps(batches)
        finally:
            self._rate = self.optimizer.lr
            self._epoch_seconds = time.perf_counter() - start
            self.trained_images = before["trained_images"] + self.totals.samples
            self.step_seconds = before["step_seconds"] + self._epoch_seconds
            self.train_seconds = before["train_seconds"] + self._epoch_seconds
        due = self.epoch % self.eval_every == 0 or self.has_ended()
        found, nothing = {"train": self.totals}, RunningMetrics()
        if self._validation_batches is not None:
            held = self._validation_batches
            found["validation"] = self._evaluate(held)[0] if due else nothing
        if self.test_batches is not None:
            found["test"] = self.evaluate() if due else nothing
        seconds = time.perf_counter() - start
        self.train_seconds = before["train_seconds"] + seconds
        self._before = {name: getattr(self, name) for name in COUNTED}
        line: dict[str, Any] = {"epoch": self.epoch, "step": self.step}
        for name, metrics in found.items():
            line |= {f"{name}_loss": metrics.loss, f"{name}_accuracy": metrics.accuracy}
        speed = self.totals.samples / self._epoch_seconds
        self.history.append({**line, "seconds": seconds, "images_per_second": speed})
        tell(self, "on_epoch_end")

    def _train_steps(self, batches):
        make, predicted = TrainingStep(self.model, self.loss, self.optimizer), []

        def look(scores, samples):
            predicted.append(predicted_classes(scores, samples))

        def between(value):
            self.loss_value = mean_of(self.loss, value, self.loss_weight)
            tell(self, "on_loss")
            make.optimizer = self.optimizer  # a callback may choose another

        classes = self.model.output_shape[0]
        for batch in batches:
            self.batch = batch
            self.optimizer.lr = self.base_lr * self.schedule(self.step, self.total_steps)
            make.loss, make.optimizer = self.loss, self.optimizer
            hooked = look_at_gradients(self.callbacks)
            targets = batch.targets(classes)
            self.loss_weight = weight = batch_weight(self.loss, targets)
            value = make(batch.x, targets, look, between if hooked else None)
            self.loss_value = mean_of(self.loss, value, weight)
            self.totals.add(self.loss_value, np.concatenate(predicted), batch.labels, weight)
            predicted.clear()
            self.step += 1
            if self.average is not None:
                self.average.update(self.step, len(self._batches), self.total_steps)
            tell(self, "on_step_end")
