"""Figures of an ablation: accuracy and loss over the epochs, every seed drawn."""

import io
import math

from minicnn.lab import extras
from minicnn.lab.grid import label, text_of

# Okabe & Ito's palette, which the colour-blind can tell apart, without its pale yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", ":", "-.")
PANELS = (  # key of the history, axis with unit, factor, up to where values are drawn
    ("test_accuracy", "test accuracy (%)", 100, 100),
    ("train_loss", "training loss (nats)", 1, 10),  # to guess costs ln K, less than 6 for K < 400
)


def curves(grid, outcomes):
    """Test accuracy and training loss over epochs, a figure for each value of the later axes.

    The first axis has the colours, and line styles where it has more values than those. An
    arm's seeds are thin lines; those that finished have a thick one for their mean, and a band
    from the least to the greatest. A cross ends the line of a seed that diverged. All figures
    have the same scales, that of losses of different orders is logarithmic; losses above
    10 nats are outside of the picture.

    Parameters
    ----------
    grid : Grid
    outcomes : iterable of Outcome

    Returns
    -------
    list of (str, bytes)
        Of each figure what its arms have in common, and the SVG file.

    Raises
    ------
    ArgumentError
        If matplotlib is not installed.
    """
    extras.load("matplotlib", "a figure")
    outcomes, first = list(outcomes), next(iter(grid.axes))
    common = {}
    for arm in grid.arms():
        rest = label({name: value for name, value in arm.items() if name != first})
        found = [o for o in outcomes if o.trial.arm == arm]
        common.setdefault(rest, []).append((text_of(arm[first]), found))
    scales = [_scale(outcomes, key, factor, cap) for key, _, factor, cap in PANELS]
    return [(rest, _figure(rest, first, arms, scales)) for rest, arms in common.items()]


def _figure(title, first, arms, scales):
    matplotlib = extras.load("matplotlib", "a figure")
    figures = extras.load("matplotlib.figure", "a figure")
    ticker = extras.load("matplotlib.ticker", "a figure")
    labels = [_legend(text, outcomes) for text, outcomes in arms]
    height = max(3.6, 0.22 * sum(1 + text.count("\n") for text in labels) + 0.5)
    figure = figures.Figure(figsize=(9, height), layout="constrained")
    for axes, (key, name, factor, _), (scale, *limits) in zip(
        figure.subplots(1, 2), PANELS, scales
    ):
        for number, (text, (_, outcomes)) in enumerate(zip(labels, arms)):
            look = {
                "color": COLOURS[number % len(COLOURS)],
                "linestyle": STYLES[number // len(COLOURS) % len(STYLES)],
            }
            _draw(axes, [_line(o, key, factor) for o in outcomes], look, text)
        axes.set(xlabel="epoch", ylabel=name, yscale=scale, ylim=limits)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, min_n_ticks=1))
        axes.spines[["top", "right"]].set_visible(False)
        if scale == "log":
            axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(lambda value, at: f"{value:g}")
            axes.yaxis.set_minor_locator(ticker.NullLocator())
    handles = axes.get_legend_handles_labels()
    figure.legend(*handles, title=first, frameon=False, loc="outside right upper")
    if title:
        figure.suptitle(title, fontsize="medium")
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "minicnn"}):  # equal data give equal files
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def _draw(axes, lines, look, name):
    """The seeds of one arm."""
    finished = [values for values, diverged in lines if not diverged]
    at = sorted({epoch for values in finished for epoch in values})
    seeds = [[values[epoch] for values in finished if epoch in values] for epoch in at]
    mean = [math.fsum(several) / len(several) for several in seeds]
    marker = {"marker": "o", "markersize": 4} if len(at) == 1 else {}  # no line, but a point
    axes.plot(at, mean, lw=2, label=name, **marker, **look)
    axes.fill_between(
        at, list(map(min, seeds)), list(map(max, seeds)), color=look["color"], alpha=0.15, lw=0
    )
    for values, diverged in lines:
        axes.plot(list(values), list(values.values()), lw=0.7, alpha=0.7, **marker, **look)
        if diverged and values:
            axes.plot(*list(values.items())[-1], marker="x", color=look["color"])


def _line(outcome, key, factor):
    """The finite values of a trial by epoch, and whether it diverged."""
    values = {
        line["epoch"]: factor * line[key] for line in outcome.history if line[key] is not None
    }
    return values, outcome.status == "diverged"


def _legend(text, outcomes):
    failed = [o.status for o in outcomes if o.status != "finished"]
    kinds = " or ".join(sorted(set(failed)))
    return f"{text}\n({len(failed)} of {len(outcomes)} {kinds})" if failed else text


def _scale(outcomes, key, factor, cap):
    """The kind of scale, and limits that hold every value up to the cap."""
    values = [v for o in outcomes for v in _line(o, key, factor)[0].values()]
    values = [value for value in values if value <= cap] or [cap, *values]
    least, most = min(values), max(values)
    if key == "train_loss" and most > 10 * least > 0:
        return "log", least / 1.2, most * 1.2
    room = 0.05 * (most - least) or 0.05 * most or 1
    return "linear", least - room, most + room
