"""Figures of an ablation: accuracy and loss in the course of training, every seed drawn."""

import io
import math
from collections.abc import Iterable
from typing import Any

from minicnn import extras
from minicnn.checks import takes
from minicnn.lab.ablation.grid import Grid, label, text_of
from minicnn.lab.ablation.results import Outcome, check_outcomes
from minicnn.views.canvas import COLOURS

STYLES = ("-", "--", ":", "-.")
MARKERS = "os^DvP<X>"
POINTS = 50  # of a curve: neighbours are averaged
MARKS = 6  # markers on a curve of more points
LABELLED = 10  # arms at most whose curves have their name at the end
APART = 0.06  # of a panel's height: between two names

# Of a panel the key, the axis with its unit, a factor, and up to where values are drawn.
TEST = ("test_accuracy", "test accuracy (%)", 100, 100)
TRAINING = ("train_accuracy", "training accuracy (%)\nhollow markers: test", 100, 100)
LOSS = ("train_loss", "training loss (nats)", 1, 10)  # to guess costs ln K, less than 6 for K < 400


@takes(grid=Grid, outcomes=check_outcomes)
def curves(grid: Grid, outcomes: Iterable[Outcome]) -> list[tuple[str, bytes]]:
    """Accuracy and training loss over epochs, a figure for each value of the later axes.

    Losses are drawn within epochs, where runs have kept them, and the accuracy is that on the
    test set after each epoch. With a single epoch that would be a point: the training accuracy
    within the epoch is drawn then, with the test accuracy as a marker at its end.

    An arm has a colour, a line style and a marker of its own. Lines of the first arms are broad
    and lie below those of later ones, so that both are seen where they coincide. An arm's seeds
    are thin lines; those that finished have a thick one for their mean, and a band from the
    least to the greatest. A cross ends the line of a seed that diverged. All figures have the
    same scales, that of losses of different orders is logarithmic; losses above 10 nats are
    outside of the picture.

    Of each figure comes what its arms have in common, and the SVG file; ArgumentError if
    matplotlib is not installed.
    """
    first = next(iter(grid.axes))
    common: dict[str, list[Any]] = {}
    for arm in grid.arms():
        rest = label({name: value for name, value in arm.items() if name != first})
        found = [o for o in outcomes if o.trial.arm == arm]
        common.setdefault(rest, []).append((text_of(arm[first]), found))
    panels = (TRAINING if within_one_epoch(outcomes) else TEST), LOSS
    scales = [_scale(outcomes, key, factor, cap) for key, _, factor, cap in panels]
    return [(rest, _figure(rest, first, arms, panels, scales)) for rest, arms in common.items()]


@takes(outcomes=check_outcomes)
def within_one_epoch(outcomes: Iterable[Outcome]) -> bool:
    """Whether no run has a second epoch, and some have a curve within the first."""
    return all(len(o.history) < 2 for o in outcomes) and any(o.steps for o in outcomes)


def _figure(title, first, arms, panels, scales):
    modules = ("matplotlib", "matplotlib.figure", "matplotlib.ticker")
    matplotlib, figures, ticker = (extras.load(module, "a figure") for module in modules)
    labels = [_legend(text, outcomes) for text, outcomes in arms]
    height = max(3.6, 0.22 * sum(1 + text.count("\n") for text in labels) + 0.5)
    figure = figures.Figure(figsize=(10, height), layout="constrained")
    for axes, (key, name, factor, _), (scale, *limits) in zip(
        figure.subplots(1, 2), panels, scales
    ):
        for number, (text, (_, outcomes)) in enumerate(zip(labels, arms)):
            look = _look(number, len(arms))
            _draw(axes, [_line(o, key, factor) for o in outcomes], look, text)
            if key == TRAINING[0]:
                ends = [_line(o, *TEST[::2])[0] for o in outcomes if o.status == "finished"]
                _draw_end(axes, [value for values in ends for value in values.items()], look)
        axes.set(xlabel="epoch", ylabel=name, yscale=scale, ylim=limits)
        if len(arms) <= LABELLED:
            _name_ends(axes, [text for text, _ in arms])
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, min_n_ticks=1))
        axes.spines[["top", "right"]].set_visible(False)
        if scale == "log":
            axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(lambda value, at: f"{value:g}")
            axes.yaxis.set_minor_locator(ticker.NullLocator())
    handles = axes.get_legend_handles_labels()
    figure.legend(*handles, title=first, frameon=False, loc="outside right upper", handlelength=4)
    if title:
        figure.suptitle(title, fontsize="medium")
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "minicnn"}):  # equal data give equal files
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def _look(number, arms):
    """Colour, line style and marker of an arm, and how broad: later ones lie on earlier ones."""
    above = min(arms - 1 - number, 4)  # arms that may lie on it
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": STYLES[number % len(STYLES)],
        "marker": MARKERS[number % len(MARKERS)],
        "linewidth": 1.4 + 0.8 * above,
        "markersize": 4 + 1.5 * above,
        "zorder": 3 + number / arms,
    }


def _draw(axes, lines, look, name):
    """The seeds of one arm."""
    finished = [values for values, diverged in lines if not diverged]
    at = sorted({epoch for values in finished for epoch in values})
    seeds = [[values[epoch] for values in finished if epoch in values] for epoch in at]
    mean = [math.fsum(several) / len(several) for several in seeds]
    apart = max(1, len(at) // MARKS)
    begin = int(apart * look["zorder"]) % apart  # each arm at other places
    axes.plot(at, mean, label=name, markevery=(begin, apart), **look)
    axes.fill_between(
        at, list(map(min, seeds)), list(map(max, seeds)), color=look["color"], alpha=0.12, lw=0
    )
    point = look["marker"] if len(at) == 1 else ""  # no line, but a point
    for values, diverged in lines:
        axes.plot(
            list(values), list(values.values()), lw=0.7, alpha=0.6, color=look["color"],
            marker=point, markersize=look["markersize"],
        )  # fmt: skip
        if diverged and values:
            axes.plot(*list(values.items())[-1], marker="x", color=look["color"])


def _name_ends(axes, names):
    """Each arm's name where its mean ends, moved up or down so that no two are too close."""
    means = [line for line in axes.lines if not line.get_label().startswith("_")]
    to_share = axes.transData + axes.transAxes.inverted()
    ends = []
    for name, line in zip(names, means):
        x, y = line.get_data()
        if len(y):
            height = float(to_share.transform((x[-1], y[-1]))[1])
            ends.append([min(max(height, 0), 1), name, line.get_color()])
    ends.sort(key=lambda end: end[0])
    places = _spread([height for height, _, _ in ends])
    for (height, name, colour), place in zip(ends, places):
        axes.annotate(
            name if len(name) < 25 else f"{name[:11]}…{name[-11:]}", (1, height), (1.06, place),
            xycoords="axes fraction", textcoords="axes fraction", color=colour, size="small",
            va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip


def _spread(heights):
    """Rising heights, moved as little as it takes to stand `APART`, within [0, 1]."""
    places = list(heights)
    for _ in range(200):
        for number in range(len(places) - 1):
            lack = APART - (places[number + 1] - places[number])
            if lack > 1e-9:
                places[number] -= lack / 2
                places[number + 1] += lack / 2
        places = [min(max(place, 0.0), 1.0) for place in places]
    return places


def _draw_end(axes, ends, look):
    """The test accuracy of the seeds at the end of a curve of the training accuracy."""
    still = {name: look[name] for name in ("color", "marker", "markersize", "zorder")}
    axes.plot(*zip(*ends), linestyle="", markerfacecolor="white", clip_on=False, **still)


def _line(outcome, key, factor):
    """The finite values of a trial by epoch, and whether it diverged."""
    lines = _thinned(outcome.steps, key) if key != TEST[0] else []
    lines = lines or [(line["epoch"], line[key]) for line in outcome.history]
    values = {epoch: factor * value for epoch, value in lines if value is not None}
    return values, outcome.status == "diverged"


def _thinned(steps, key):
    """Means of neighbours, each in the middle of what it is the mean of."""
    count, begin, points = min(len(steps), POINTS), 0.0, []
    for number in range(count):
        part = steps[len(steps) * number // count : len(steps) * (number + 1) // count]
        values = [line[key] for line in part if line[key] is not None]
        if values:
            points.append(((begin + part[-1]["epoch"]) / 2, math.fsum(values) / len(values)))
        begin = part[-1]["epoch"]
    return points


def _legend(text, outcomes):
    failed = [o.status for o in outcomes if o.status != "finished"]
    kinds = " or ".join(sorted(set(failed)))
    return f"{text}\n({len(failed)} of {len(outcomes)} {kinds})" if failed else text


def _scale(outcomes, key, factor, cap):
    """The kind of scale, and limits that hold every value up to the cap."""
    values = [v for o in outcomes for v in _line(o, key, factor)[0].values()]
    if key == TRAINING[0]:
        values += [v for o in outcomes for v in _line(o, *TEST[::2])[0].values()]
    values = [value for value in values if value <= cap] or [cap, *values]
    least, most = min(values), max(values)
    if key == LOSS[0] and most > 10 * least > 0:
        return "log", least / 1.2, most * 1.2
    room = 0.05 * (most - least) or 0.05 * most or 1
    return "linear", least - room, most + room
