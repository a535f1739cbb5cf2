"""The loss at rising learning rates."""

from typing import Any

from minicnn.checks import takes
from minicnn.training.lr_finder import LRCurve
from minicnn.views import canvas


@takes(curve=LRCurve)
def learning_rates(curve: LRCurve) -> Any:
    """The losses of :func:`minicnn.training.find_lr` over the learning rate, and its suggestion.

    Parameters
    ----------
    curve : LRCurve

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = canvas.new_figure(6, 4)
    axes = figure.subplots()
    axes.plot(curve.lrs, curve.losses, color=canvas.COLOURS[5], label="loss of a step")
    axes.plot(curve.lrs, curve.smoothed, color=canvas.COLOURS[0], label="smoothed")
    if curve.suggestion is not None:
        axes.axvline(
            curve.suggestion, color=canvas.COLOURS[1], linestyle="--",
            label=f"suggestion: {curve.suggestion:.2g}",
        )  # fmt: skip
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss (nats)")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
