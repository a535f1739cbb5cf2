"""Evaluation: mean loss, accuracy and predicted classes of a model on a data set."""

from typing import Any

import numpy as np

from minicnn.checks import check_callable, takes
from minicnn.data.batches import Batches
from minicnn.data.dataset import Dataset
from minicnn.losses import predicted_classes
from minicnn.losses.reduction import batch_weight, mean_of
from minicnn.models.sequential import Sequential, initialized
from minicnn.plan import Passes
from minicnn.plan.micro_batches import EVALUATION_BATCH, micro_batch_size
from minicnn.training.running_metrics import RunningMetrics
from minicnn.training.views import check_views, views


class Evaluation:
    """Evaluates one model, batch by batch.

    Parameters
    ----------
    model : Sequential
        Initialized.
    flip : bool
        Whether the scores of an image are the mean of its own and of its mirror image's.
    shift : int
        By how many pixels the image is moved for further views, see
        :func:`minicnn.training.views.views`.

    Raises
    ------
    ArgumentError
        With one of these for a model that does not see images, or that sees none larger than the
        shift.
    """

    @takes(model=initialized)
    def __init__(self, model: Sequential, flip: bool = False, shift: int = 0):
        self.model = model
        self.flip, self.shift = check_views(model.input_shape, flip, shift)
        self._passes = Passes(model)

    @takes(dataset=Dataset)
    def batches(self, dataset: Dataset) -> Batches:
        """A data set in its order, in batches that suit the model."""
        size = min(micro_batch_size(self.model, EVALUATION_BATCH), len(dataset))
        return Batches(dataset, size, None, self.model.dtype)

    @takes(batches=Batches)
    def __call__(self, loss: Any, batches: Batches) -> tuple[RunningMetrics, np.ndarray]:
        """Mean loss and accuracy, and the predicted class of each sample, in evaluation mode."""
        check_callable(loss, "loss", arguments=2)
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
        """The weighted mean over the views of each image."""
        if not (self.flip or self.shift):
            return self._passes.forward(batch.x, False, batch.samples)
        total: Any = 0
        for weight, view in views(batch.x.copy(), self.flip, self.shift):
            np.copyto(batch.x, view)  # its buffer is filled anew for each batch
            scores = self._passes.forward(batch.x, False, batch.samples)
            total = total + scores.dtype.type(weight) * scores
        return total
