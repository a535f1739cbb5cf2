"""Averages of the weights in the course of training: EMA and SWA.

The weights go around a minimum as long as the learning rate is not small; their average lies nearer
to it. A :class:`minicnn.training.trainer.Trainer` with an average trains the weights themselves,
evaluates the average after each epoch, and leaves the average in the model when training ends.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minicnn.checks import check_count, check_dict, check_number, restoring, takes
from minicnn.data.batches import Batches
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError
from minicnn.hints.habits import Habits
from minicnn.kernels.average import average
from minicnn.layers import BatchNorm
from minicnn.models.sequential import Sequential, initialized
from minicnn.optimizers.runs import find_runs, memory_order
from minicnn.parameter import assign, zeros_side_by_side
from minicnn.plan import Passes
from minicnn.training.generators import unchanged


class WeightAverage(Habits):
    """Base of averages; a subclass says when to add the weights, and with which share.

    Attributes
    ----------
    count : int
        How often weights have been added.
    in_model : bool
        Whether the average is in the model, and the weights that are trained are kept here.
    """

    _made = "count"

    def __init__(self):
        self.count, self.in_model = 0, False
        self._model: Any = None
        self._dataset: Any = None
        self._means: dict[str, np.ndarray] = {}
        self._share = np.zeros(1)

    @takes(model=initialized, dataset=Dataset)
    def follow(self, model: Sequential, dataset: Dataset) -> None:
        """Average the weights of this model, which is trained on this data set."""
        if model is self._model and dataset is self._dataset:
            return
        if self._model is not None:
            raise ArgumentError(
                f"this {type(self).__name__} averages the weights of another training: make"
                " another one."
            )
        self._model, self._dataset = model, dataset
        parameters = model.parameters()
        order = memory_order(parameters)
        rows = dict(zip(order, zeros_side_by_side([parameters[i].value for i in order])))
        means = [rows[i] for i in range(len(parameters))]
        self._runs = find_runs(parameters, {"mean": means}, by_decay=False)
        statistics = _statistics(model)
        of_statistics = {name: np.zeros_like(array) for name, array in statistics.items()}
        self._statistics = [(array, of_statistics[name]) for name, array in statistics.items()]
        self._values = {p.name: p.value for p in parameters} | statistics
        self._means = dict(zip((p.name for p in parameters), means)) | of_statistics

    def is_due(self, step: int, epoch_steps: int, total_steps: int) -> bool:
        """Whether the weights after that many steps are added."""
        raise NotImplementedError(f"{type(self).__name__} needs is_due and share.")

    def share(self) -> float:
        """The share of the weights that are added in the new average; `count` were before."""
        raise NotImplementedError

    def update(self, step: int, epoch_steps: int, total_steps: int) -> None:
        """Add the weights of now, if they are due; before `follow` an ArgumentError."""
        if self._model is None:
            raise ArgumentError(
                f"this {type(self).__name__} follows no model yet: call follow(model, dataset), or"
                " give it to a Trainer."
            )
        if not self.is_due(step, epoch_steps, total_steps):
            return
        if self.count == 0:
            for name, value in self._values.items():
                self._means[name][...] = value
        else:
            self._share[0] = self.share()
            for run in self._runs:
                average(run.value, run.averages["mean"], self._share)
            for array, mean in self._statistics:
                mean += self._share[0] * (array - mean)
        self.count += 1
        self._changed()

    def _changed(self):
        """The average is another one."""

    def swap(self) -> None:
        """Put the average into the model and keep its weights here, or the other way round."""
        if not self.count:
            return
        for name, value in self._values.items():
            mean = self._means[name]
            kept = value.copy()
            value[...] = mean
            mean[...] = kept
        self.in_model = not self.in_model

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Have the average in the model for a block of code, if there is one yet."""
        inside = self.in_model
        if not inside:
            self.swap()
        try:
            yield
        finally:
            if not inside:
                self.swap()

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on: arrays by name, which are no copies, and plain values."""
        plain = {"count": self.count, "in_model": self.in_model}
        return {"arrays": dict(self._means) if self.count else {}, "about": plain}

    @takes(state=check_dict)
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, after `follow`; anything else is a DataError."""
        with restoring(state, type(self).__name__):
            count, in_model = int(state["about"]["count"]), bool(state["about"]["in_model"])
            arrays = dict(state["arrays"])
        if count:
            assign(self._means, arrays)
        self.count, self.in_model = count, in_model


def _statistics(model):
    """The running statistics by name; not copies."""
    found: dict[str, np.ndarray] = {}
    for layer in model.all_layers():
        found |= {f"{layer.name}.{name}": array for name, array in layer.state().items()}
    return found


class EMA(WeightAverage):
    """Exponential moving average of the weights, and of the running statistics.

    ::

        mean <- decay mean + (1 - decay) w        after every step; at first mean = w

    Polyak & Juditsky, *Acceleration of stochastic approximation by averaging*, 1992, with a memory
    of some ``1 / (1 - decay)`` steps; ``torch.optim.swa_utils.get_ema_multi_avg_fn``.

    Parameters
    ----------
    decay : float
        In (0, 1).

    Raises
    ------
    ArgumentError
        For another decay.
    """

    def __init__(self, decay: float = 0.999):
        super().__init__()
        self.decay = check_number(decay, "EMA: decay")
        if not 0 < self.decay < 1:
            raise ArgumentError(f"EMA: decay must be in (0, 1), got {decay!r}.")

    @takes(step=check_count, epoch_steps=check_count, total_steps=check_count)
    def is_due(self, step: int, epoch_steps: int, total_steps: int) -> bool:
        """After every step."""
        return True

    def share(self) -> float:
        """``1 - decay``."""
        return 1 - self.decay


class SWA(WeightAverage):
    """Stochastic weight averaging: the mean of the weights at the ends of the last epochs.

    The running statistics of batch normalization are not those of the average, and are computed
    anew, see `update_bn`. Izmailov et al., *Averaging weights leads to wider optima and better
    generalization*, UAI 2018 (arXiv 1803.05407); ``torch.optim.swa_utils.AveragedModel``. It wants
    a learning rate that stays above 0 in these epochs, as ``constant`` or ``step`` has it.

    Parameters
    ----------
    start : float
        The share of training after which averaging begins, in [0, 1).
    images : int
        Of the training set, on which the statistics are computed anew.

    Raises
    ------
    ArgumentError
        For a setting out of range.
    """

    def __init__(self, start: float = 0.75, images: int = 10_000):
        super().__init__()
        self.start = check_number(start, "SWA: start")
        if not 0 <= self.start < 1:
            raise ArgumentError(f"SWA: start must be in [0, 1), got {start!r}.")
        self.images = check_count(images, "SWA: images")
        self._stale = False  # whether the statistics are not those of the average

    @takes(step=check_count, epoch_steps=check_count, total_steps=check_count)
    def is_due(self, step: int, epoch_steps: int, total_steps: int) -> bool:
        """At the end of an epoch, from `start` on; at the end of training in any case."""
        late = step > self.start * total_steps
        return late and (step % epoch_steps == 0 or step == total_steps)

    def share(self) -> float:
        """``1 / (count + 1)``: all count alike."""
        return 1 / (self.count + 1)

    def _changed(self):
        self._stale = True

    def swap(self) -> None:
        """As `WeightAverage.swap`; an average that is new gets its statistics."""
        super().swap()
        if self.in_model and self._stale:
            update_bn(self._model, self._dataset.subset(min(self.images, len(self._dataset))))
            self._stale = False

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As `WeightAverage.load_state_dict`."""
        super().load_state_dict(state)
        self._stale = not self.in_model


@takes(model=initialized, dataset=Dataset, batch_size=check_count)
def update_bn(model: Sequential, dataset: Dataset, batch_size: int = 128) -> None:
    """Compute the running statistics of batch normalization anew, as means over batches.

    For weights that were averaged or changed otherwise, for which no statistics were gathered. The
    images are taken in their order, as they are; ``torch.optim.swa_utils.update_bn``.

    Parameters
    ----------
    model : Sequential
        Initialized.
    dataset : Dataset
        Training images.
    batch_size : int
    """
    norms = [layer for layer in model.all_layers() if isinstance(layer, BatchNorm)]
    if not norms:
        return
    kept = [layer.momentum for layer in norms]
    passes, size = Passes(model), min(batch_size, len(dataset))
    try:
        with model.lock.taken(), unchanged(model):
            for array in (array for layer in norms for array in layer.state().values()):
                array.fill(0)
            for number, batch in enumerate(Batches(dataset, size, None, model.dtype)):
                for layer in norms:
                    layer.momentum = 1 / (number + 1)
                passes.forward(batch.x, True, batch.samples)
    finally:
        for layer, momentum in zip(norms, kept):
            layer.momentum = momentum
        model.forget()
