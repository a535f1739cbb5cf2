"""Training: the loop, what watches it, and the folder of a run."""

from minicnn.training.callbacks import Callback, EarlyStopping, MetricsLog
from minicnn.training.checkpoint import Checkpoint
from minicnn.training.nan_guard import NanGuard
from minicnn.training.progress import Progress
from minicnn.training.trainer import Trainer
from minicnn.training.weights import load_weights

__all__ = [
    "Callback", "Checkpoint", "EarlyStopping", "MetricsLog", "NanGuard", "Progress", "Trainer",
    "load_weights",
]  # fmt: skip
