"""Training: the loop, what watches it, and the folder of a run."""

from minicnn.training.averaging import EMA, SWA, update_bn
from minicnn.training.callbacks.base import Callback, MetricsLog
from minicnn.training.callbacks.checkpoint import Checkpoint
from minicnn.training.callbacks.early_stopping import EarlyStopping, ReduceLROnPlateau
from minicnn.training.callbacks.nan_guard import NanGuard
from minicnn.training.callbacks.progress import Progress
from minicnn.training.lr_finder import find_lr, overfit_batch
from minicnn.training.runs.fine_tuning import fine_tune
from minicnn.training.runs.weights import load_weights, save_weights
from minicnn.training.trainer import Trainer

__all__ = [
    "EMA", "SWA", "Callback", "Checkpoint", "EarlyStopping", "MetricsLog", "NanGuard", "Progress",
    "ReduceLROnPlateau", "Trainer", "find_lr", "fine_tune", "load_weights", "overfit_batch",
    "save_weights", "update_bn",
]  # fmt: skip
