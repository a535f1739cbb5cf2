"""The confusion matrix: which class is taken for which."""

from typing import Any

import numpy as np

from minicnn.checks import takes
from minicnn.data import Dataset
from minicnn.metrics import accuracy, confusion_matrix
from minicnn.training.runs.trained import Trained
from minicnn.views import canvas

WRITTEN = 30  # classes up to which the counts are written into the cells


@takes(trained=Trained, dataset=Dataset)
def confusion(trained: Trained, dataset: Dataset) -> Any:
    """How many images of each class, a row, are taken for each, a column.

    Colours are shares of the row, so that classes of different sizes look alike.

    Parameters
    ----------
    trained : Trained
    dataset : Dataset

    Returns
    -------
    matplotlib.figure.Figure
    """
    names = trained.class_names
    predicted = trained.probabilities(dataset.images).argmax(1)
    counts = confusion_matrix(dataset.labels, predicted, len(names))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(16.0, max(4.5, 0.5 * len(names) + 1.5))
    figure = canvas.new_figure(side + 1, side)
    axes = figure.subplots()
    shown = axes.imshow(100 * shares, cmap=canvas.ONE_SIGN, vmin=0, vmax=100)
    figure.colorbar(shown, ax=axes, label="share of the class (%)", shrink=0.8)
    if len(names) <= WRITTEN:
        for i, row in enumerate(counts):
            for j, count in enumerate(row):
                colour = "black" if shares[i, j] > 0.6 else "white"
                if count:
                    axes.text(j, i, str(count), ha="center", va="center", color=colour, fontsize=7)
        ticks = range(len(names))
        axes.set_xticks(ticks, names, rotation=90, fontsize=8)
        axes.set_yticks(ticks, names, fontsize=8)
    right = 100 * accuracy(predicted, dataset.labels)
    axes.set(xlabel="predicted", ylabel="true", title=f"{dataset.name}: {right:.2f} % right")
    return figure
