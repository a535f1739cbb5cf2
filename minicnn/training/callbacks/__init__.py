"""Callbacks: what watches a training, stops it, or writes it down."""

from minicnn.training.callbacks.base import Callback, EarlyStopping, MetricsLog

__all__ = ["Callback", "EarlyStopping", "MetricsLog"]
