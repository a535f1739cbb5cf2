"""Evaluation: mean loss, accuracy and predicted classes of a model on a data set."""

from typing import Any

import numpy as np

from minicnn.checks import check_flag, takes
from minicnn.data.batches import Batches
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError
from minicnn.losses import predicted_classes
from minicnn.losses.reduction import batch_weight, mean_of
from minicnn.models.sequential import Sequential, initialized
from minicnn.plan import Passes
from minicnn.plan.micro_batches import EVALUATION_BATCH, micro_batch_size
from minicnn.training.running_metrics import RunningMetrics


class Evaluation:
    """Evaluates one model, batch by batch.

    Parameters
    ----------
    model : Sequential
        Initialized.
    flip : bool
        Whether the scores of an image are the mean of its own and of its mirror image's.

    Raises
    ------
    ArgumentError
        With `flip`, for a model that does not see images.
    """

    @takes(model=initialized)
    def __init__(self, model: Sequential, flip: bool = False):
        self.model, self.flip = model, check_flag(flip, "flip")
        if flip and len(model.input_shape) != 3:
            raise ArgumentError(
                f"the model sees samples of shape {model.input_shape}, which have no mirror image:"
                " leave eval_flip out."
            )
        self._passes = Passes(model)

    @takes(dataset=Dataset)
    def batches(self, dataset: Dataset) -> Batches:
        """A data set in its order, in batches that suit the model."""
        size = min(micro_batch_size(self.model, EVALUATION_BATCH), len(dataset))
        return Batches(dataset, size, None, self.model.dtype)

    @takes(batches=Batches)
    def __call__(self, loss: Any, batches: Batches) -> tuple[RunningMetrics, np.ndarray]:
        """Mean loss and accuracy, and the predicted class of each sample, in evaluation mode."""
        totals, predicted = RunningMetrics(), []
        with self.model.lock.taken():
            for batch in batches:
                scores = self._scores(batch)
                weight = batch_weight(loss, batch.labels)
                value = loss(scores, batch.labels)[0] if weight else 0.0
                predicted.append(predicted_classes(scores, batch.samples))
                totals.add(mean_of(loss, value, weight), predicted[-1], batch.labels, weight)
        return totals, np.concatenate(predicted)

    def _scores(self, batch):
        scores = self._passes.forward(batch.x, False, batch.samples)
        if not self.flip:
            return scores
        own = scores.copy()
        np.copyto(batch.x, batch.x[:, :, :, ::-1].copy())  # its buffer is filled anew each time
        scores = self._passes.forward(batch.x, False, batch.samples)
        scores += own
        scores *= scores.dtype.type(0.5)
        return scores
