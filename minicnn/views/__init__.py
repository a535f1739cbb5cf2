"""Figures of a trained model: what it has learned, and where it errs."""

from minicnn.views.curves import curves
from minicnn.views.images import errors, features, filters, saliency
from minicnn.views.learning_rates import learning_rates
from minicnn.views.matrix import confusion

__all__ = ["confusion", "curves", "errors", "features", "filters", "learning_rates", "saliency"]
