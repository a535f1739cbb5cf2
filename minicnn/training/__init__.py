"""Training: the loop, what watches it, and the folder of a run."""

from minicnn.training.callbacks import Callback, EarlyStopping, MetricsLog
from minicnn.training.nan_guard import NanGuard
from minicnn.training.progress import Progress
from minicnn.training.trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "MetricsLog", "NanGuard", "Progress", "Trainer"]
