"""Running metrics: mean loss and accuracy over batches.

For the package itself: it checks nothing of what it is handed.
"""

from typing import Any

import numpy as np


class RunningMetrics:
    """Mean loss and accuracy over batches, in which each of the `samples` counts once.

    `correct` of them were predicted correctly.
    """

    def __init__(self):
        self.samples, self._loss, self.correct = 0, 0.0, 0

    def add(self, loss: float, predicted: np.ndarray, labels: np.ndarray) -> None:
        """Add a batch: its mean loss, and the predicted and the true class of each sample."""
        self.samples += len(labels)
        self._loss += loss * len(labels)
        self.correct += int(np.count_nonzero(predicted == labels))

    @property
    def loss(self) -> float:
        """Mean over the samples; NaN if there are none."""
        return self._loss / self.samples if self.samples else float("nan")

    @property
    def accuracy(self) -> float:
        """Fraction of correct predictions; NaN if there are no samples."""
        return self.correct / self.samples if self.samples else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """The sums, as plain values."""
        return {"samples": self.samples, "loss": float(self._loss), "correct": self.correct}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from these sums."""
        self.samples, self.correct = int(state["samples"]), int(state["correct"])
        self._loss = float("nan" if state["loss"] is None else state["loss"])  # JSON has no NaN
