"""Tables of an ablation: every training for a spreadsheet, every arm for a reader."""

import csv
import io
import itertools
import math
import re
from collections import Counter

from minicnn.lab.baseline import Baseline
from minicnn.lab.grid import text_of
from minicnn.lab.interval import interval, paired

NARROWEST = 8  # characters of a column whose cells are broken

METRICS = {  # of results.csv: the column, and where the number comes from
    "test_accuracy": lambda o: o.final("test_accuracy"),
    "best_test_accuracy": lambda o: o.summary.get("best_test_accuracy"),
    "test_loss": lambda o: o.final("test_loss"),
    "train_accuracy": lambda o: o.final("train_accuracy"),
    "train_loss": lambda o: o.final("train_loss"),
    "predicted_classes": lambda o: o.summary.get("predicted_classes"),
    "parameters": lambda o: o.summary.get("parameters"),
    "epochs_done": lambda o: o.summary.get("epochs"),
    "train_seconds": lambda o: o.summary.get("train_seconds"),
}


def csv_text(grid, outcomes):
    """A line for each trial: axes, seed, status, final metrics, folder, error.

    Accuracies are fractions, losses in nats; what there is not is empty.

    Parameters
    ----------
    grid : Grid
    outcomes : iterable of Outcome

    Returns
    -------
    str
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*grid.axes, "seed", "status", *METRICS, "folder", "error"])
    for outcome in outcomes:
        trial = outcome.trial
        settings = [text_of(trial.arm[name]) for name in grid.axes]
        numbers = [read(outcome) for read in METRICS.values()]
        end = [trial.name, outcome.error]
        writer.writerow([*settings, trial.seed, outcome.status, *numbers, *end])
    return file.getvalue()


def table(grid, outcomes, baseline=None):
    """A row for each arm: mean and 95 % interval over the seeds that finished, and each seed.

    The difference is to the baseline and paired: the mean of the seeds' differences, among the
    seeds that finished in both; how many these are is said where seeds are missing.

    Parameters
    ----------
    grid : Grid
    outcomes : iterable of Outcome
    baseline : Baseline, optional
        By default the best arm.

    Returns
    -------
    header : list of str
        The names of the axes come first.
    rows : list of list of str
    """
    baseline = baseline or Baseline(grid)
    seeds, arms = grid.all_seeds(), grid.arms()
    by_seed = [{o.trial.seed: o for o in outcomes if o.trial.arm == arm} for arm in arms]
    accuracy = [_percent(found) for found in by_seed]
    others = baseline.of_arms(accuracy)
    differences = [paired(own, accuracy[other]) for own, other in zip(accuracy, others)]
    losses = [
        interval([o.final("train_loss") for o in found.values() if o.status == "finished"])
        for found in by_seed
    ]
    columns = {
        "test accuracy (%)": _shown([interval([*own.values()]) for own in accuracy], 0, 100, ".2f"),
        f"difference to {baseline}": [
            str(baseline) if number == other else words + _few(count, len(seeds))
            for number, (other, words, (_, count)) in enumerate(
                zip(others, _shown([d for d, _ in differences], -100, 100, "+.2f"), differences)
            )
        ],
        "training loss (nats)": _shown(losses, 0, math.inf, ".4f"),
    }
    for seed in seeds:
        columns[f"seed {seed}"] = [
            f"{own[seed]:.2f}" if seed in own else found[seed].status
            for own, found in zip(accuracy, by_seed)
        ]
    counts = [Counter(outcome.status for outcome in found.values()) for found in by_seed]
    columns["status"] = [", ".join(f"{n} {status}" for status, n in c.items()) for c in counts]
    axes = [list(map(text_of, arm.values())) for arm in arms]
    cells = zip(*columns.values())
    return [*grid.axes, *columns], [[*key, *row] for key, row in zip(axes, cells)]


def as_text(header, rows, width=None, keys=0):
    """A table in columns, ready to be printed; numbers stand to the right.

    Parameters
    ----------
    header : list of str
    rows : list of list of str
    width : int, optional
        Characters in a line. What does not fit stands in further tables below, each of which
        begins with the first columns again, whose cells are broken where that is needed.
    keys : int
        How many columns those are.

    Returns
    -------
    str
    """
    table = [list(column) for column in zip(header, *rows)]
    first, rest = table[:keys], table[keys:]
    if width is not None and rest:
        first = _narrowed(first, min(width // 2, width - 2 - max(map(_width, rest))))
    blocks = [[]]
    for column in rest:
        taken = sum(_width(other) + 2 for other in [*first, *blocks[-1]])
        if width is not None and blocks[-1] and taken + _width(column) > width:
            blocks.append([])
        blocks[-1].append(column)
    return "\n\n".join(_block([*first, *block]) for block in blocks)


def _block(columns):
    right = [all(_is_number(cell) for cell in column[1:]) for column in columns]
    widths = list(map(_width, columns))
    lines = []
    for row in zip(*columns):
        cells = [cell.split("\n") for cell in row]
        for parts in itertools.zip_longest(*cells, fillvalue=""):
            placed = (
                part.rjust(width) if numeric else part.ljust(width)
                for part, width, numeric in zip(parts, widths, right)
            )
            lines.append("  ".join(placed).rstrip())
    return "\n".join(lines)


def _width(column):
    return max(len(line) for cell in column for line in cell.split("\n"))


def _narrowed(columns, most):
    """The columns with their cells broken, so that together they take `most` characters."""
    limits = list(map(_width, columns))
    while limits and sum(limits) + 2 * len(limits) - 2 > most and max(limits) > NARROWEST:
        limits[limits.index(max(limits))] -= 1
    return [[_broken(cell, limit) for cell in column] for column, limit in zip(columns, limits)]


def _broken(cell, width):
    """The cell in lines of so many characters, ended after a separator where there is one."""
    lines = [""]
    for part in re.findall(r"[^,:;_ -]+[,:;_ -]*|[,:;_ -]+", cell):
        if len(lines[-1]) + len(part.rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += part
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return "\n".join(line.rstrip() for line in lines)


def _percent(found):
    """The accuracy of each seed that finished, in per cent."""
    return {
        seed: 100 * outcome.final("test_accuracy")
        for seed, outcome in found.items()
        if outcome.status == "finished"
    }


def _shown(results, least, most, form):
    """Each mean with its interval, the numbers below each other; ``-`` for None."""
    numbers = [r and [r.mean, *(r.within(least, most) or [])] for r in results]
    words = [[f"{number:{form}}" for number in each or []] for each in numbers]
    widths = [max(map(len, column)) for column in itertools.zip_longest(*words, fillvalue="")]
    shown = []
    for each in words:
        mean, *ends = [word.rjust(width) for word, width in zip(each, widths)] or ["-"]
        shown.append(f"{mean} [{ends[0]}, {ends[1]}]" if ends else mean)
    return shown


def _few(count, seeds):
    return f" ({count} seed{'s'[: count - 1]})" if 0 < count < seeds else ""


def _is_number(cell):
    return not cell or cell[-1].isdigit() or cell == "-"
