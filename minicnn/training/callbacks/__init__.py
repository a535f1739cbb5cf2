"""Callbacks: what watches a training, stops it, or writes it down."""

from minicnn.training.callbacks.base import Callback, MetricsLog
from minicnn.training.callbacks.early_stopping import EarlyStopping, ReduceLROnPlateau

__all__ = ["Callback", "EarlyStopping", "MetricsLog", "ReduceLROnPlateau"]
