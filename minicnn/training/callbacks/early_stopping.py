"""What training does when its results stop improving: it ends, or its learning rate falls."""

from typing import TYPE_CHECKING, Any

from minicnn.checks import check_count, check_number, is_finite
from minicnn.errors import ArgumentError
from minicnn.training.callbacks.base import Callback, is_better

if TYPE_CHECKING:
    from minicnn.training.trainer import Trainer


def _number_or_none(value):
    return None if value is None else float(value)


def _count_or_none(value):
    return None if value is None else int(value)


class _Watch(Callback):
    """Base of callbacks that compare each epoch's result with the best before."""

    METRICS = ("validation_accuracy", "validation_loss", "train_accuracy", "train_loss")
    STATE = {"best": _number_or_none, "best_epoch": _count_or_none}

    def __init__(self, patience: int, metric: str, min_delta: float):
        who = type(self).__name__
        self.patience = check_count(patience, f"{who}: patience")
        if metric not in self.METRICS:
            raise ArgumentError(
                f"{who}: metric must be one of {', '.join(self.METRICS)}, got {metric!r}."
            )
        if not (is_finite(min_delta) and min_delta >= 0):
            raise ArgumentError(f"{who}: min_delta must be at least 0, got {min_delta!r}.")
        self.metric, self.min_delta = metric, min_delta
        self.best: float | None = None
        self.best_epoch: int | None = None

    def on_train_begin(self, trainer: "Trainer") -> None:
        """Raise an ArgumentError if there is no validation set to go by."""
        if self.metric.startswith("validation") and trainer.validation is None:
            raise ArgumentError(
                f"{type(self).__name__}: there is no {self.metric} without a validation set: give"
                " the Trainer one, as in train, held = data.split(train, 0.1), or go by train_loss."
            )

    def _is_best(self, trainer: "Trainer") -> bool:
        """Whether the epoch that has ended is the best so far, which is noted."""
        result = trainer.history[-1][self.metric]
        sign = 1 if self.metric.endswith("accuracy") else -1
        best = None if self.best is None else sign * self.best
        found = is_better(sign * result, best, self.min_delta)
        if found:
            self.best, self.best_epoch = result, trainer.epoch
        return found


class EarlyStopping(_Watch):
    """Ends training when an epoch's result has stopped improving.

    Prechelt, *Early stopping - but when?*, in *Neural networks: tricks of the trade*, 1998. A
    setting out of range is an ArgumentError.

    Parameters
    ----------
    patience : int
        After so many epochs in a row without a new best, training ends. At least 1. NaN is never
        the best.
    metric : str
        ``"validation_accuracy"`` or ``"train_accuracy"`` (larger is better),
        ``"validation_loss"`` or ``"train_loss"`` (smaller is better). Not one of the test set: what
        is chosen by it has no honest test.
    min_delta : float
        By how much a result must beat the best to count; at least 0.

    Attributes
    ----------
    best : float or None
        The best result so far; None while there was only NaN.
    best_epoch : int or None
        The epoch that it was reached in, from 1.
    """

    def __init__(
        self, patience: int = 3, metric: str = "validation_accuracy", min_delta: float = 0.0
    ):
        super().__init__(patience, metric, min_delta)

    def on_epoch_end(self, trainer: "Trainer") -> None:
        """Compare with the best, and stop when the patience is used up; not between evaluations."""
        if not trainer.evaluated:
            return
        if not self._is_best(trainer) and trainer.epoch - (self.best_epoch or 0) >= self.patience:
            trainer.stop()


class ReduceLROnPlateau(_Watch):
    """Multiplies the learning rate by a factor when an epoch's result has stopped improving.

    PyTorch's ``ReduceLROnPlateau``, for the base learning rate, which the schedule multiplies: take
    it with ``constant``. As there, the learning rate falls when more than `patience` epochs in a
    row have no new best, and again after as many. A setting out of range is an ArgumentError.

    Parameters
    ----------
    factor : float
        In (0, 1).
    patience : int
        At least 1.
    metric, min_delta : str, float
        See `EarlyStopping`. PyTorch's threshold of 1e-4 is a share of the best; here it is a
        difference, and 0.
    min_lr : float
        The learning rate does not fall below it; at least 0.

    Attributes
    ----------
    lr : float or None
        The base learning rate that it has set last.
    waiting_since : int
        The epoch after which the patience is counted.
    """

    STATE = {**_Watch.STATE, "lr": _number_or_none, "waiting_since": int}

    def __init__(
        self,
        factor: float = 0.1,
        patience: int = 10,
        metric: str = "validation_loss",
        min_delta: float = 0.0,
        min_lr: float = 0.0,
    ):
        super().__init__(patience, metric, min_delta)
        self.factor = check_number(factor, "ReduceLROnPlateau: factor")
        self.min_lr = check_number(min_lr, "ReduceLROnPlateau: min_lr")
        if not 0 < self.factor < 1:
            raise ArgumentError(f"ReduceLROnPlateau: factor must be in (0, 1), got {factor!r}.")
        if not (is_finite(self.min_lr) and self.min_lr >= 0):
            raise ArgumentError(f"ReduceLROnPlateau: min_lr must be at least 0, got {min_lr!r}.")
        self.lr: float | None = None
        self.waiting_since = 0

    def on_train_begin(self, trainer: "Trainer") -> None:
        """Go on with the learning rate that was set before."""
        super().on_train_begin(trainer)
        if self.lr is not None:
            trainer.base_lr = self.lr

    def on_epoch_end(self, trainer: "Trainer") -> None:
        """Compare with the best, and lower the learning rate when the patience is used up."""
        if not trainer.evaluated:
            return
        if self._is_best(trainer):
            self.waiting_since = trainer.epoch
        elif trainer.epoch - self.waiting_since > self.patience:
            self.waiting_since = trainer.epoch
            lower: Any = max(trainer.base_lr * self.factor, self.min_lr)
            self.lr = trainer.base_lr = min(lower, trainer.base_lr)
