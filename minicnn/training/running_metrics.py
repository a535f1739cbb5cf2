"""Running metrics: mean loss and accuracy over batches.

For the package itself: it checks nothing of what it is handed.
"""

from typing import Any

import numpy as np


class RunningMetrics:
    """Mean loss and accuracy over batches.

    In the loss each batch counts by its weight, so that it is the mean of all samples; in the
    accuracy each of the `samples` counts once, whatever its weight. `correct` of them were
    predicted correctly.
    """

    def __init__(self):
        self.samples, self.weight, self._loss, self.correct = 0, 0.0, 0.0, 0

    def add(
        self, loss: float, predicted: np.ndarray, labels: np.ndarray, weight: float | None = None
    ) -> None:
        """Add a batch: its mean loss, and the predicted and the true class of each sample.

        Its `weight` is what :func:`minicnn.losses.reduction.batch_weight` gives; by default the
        number of samples.
        """
        self.samples += len(labels)
        weight = float(len(labels)) if weight is None else weight
        self.weight += weight
        self._loss += loss * weight
        self.correct += int(np.count_nonzero(predicted == labels))

    @property
    def loss(self) -> float:
        """Mean over the samples; NaN if none counts."""
        return self._loss / self.weight if self.weight else float("nan")

    @property
    def accuracy(self) -> float:
        """Fraction of correct predictions; NaN if there are no samples."""
        return self.correct / self.samples if self.samples else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """The sums, as plain values."""
        return {
            "samples": self.samples, "weight": self.weight, "loss": float(self._loss),
            "correct": self.correct,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from these sums."""
        self.samples, self.correct = int(state["samples"]), int(state["correct"])
        self.weight = float(state.get("weight", self.samples))  # earlier versions had none
        self._loss = float("nan" if state["loss"] is None else state["loss"])  # JSON has no NaN
