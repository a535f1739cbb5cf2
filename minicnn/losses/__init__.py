"""Losses: how wrong the scores are, and in which direction to change them.

A loss is called as ``loss(scores, targets)`` with the scores in lanes, ``(G, K, 16)``, and
returns the value, the mean or the sum over the samples that are there, with its gradient
dE/d(scores) of the same shape, which is where the backward pass begins. Names, settings and
defaults are PyTorch's, but for `SoftmaxCrossEntropy` (``CrossEntropyLoss``) and `MeanSquaredError`
(``MSELoss``).
"""

from minicnn.hints.habits import no_such_name
from minicnn.losses.base import Buffers, Loss, check_result, check_scores, predicted_classes
from minicnn.losses.binary import BCELoss, BCEWithLogitsLoss, SigmoidFocalLoss
from minicnn.losses.cross_entropy import FocalLoss, NLLLoss, SoftmaxCrossEntropy
from minicnn.losses.labels import check_labels
from minicnn.losses.regression import HuberLoss, L1Loss, MeanSquaredError, SmoothL1Loss

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "Buffers", "FocalLoss", "HuberLoss", "L1Loss", "Loss",
    "MeanSquaredError", "NLLLoss", "SigmoidFocalLoss", "SmoothL1Loss", "SoftmaxCrossEntropy",
    "check_labels", "check_result", "check_scores", "predicted_classes",
]  # fmt: skip


def __getattr__(name):
    raise no_such_name("minicnn.losses", name)
