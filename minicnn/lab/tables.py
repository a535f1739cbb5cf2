"""Tables of an ablation: every training for a spreadsheet, every arm for a reader."""

import csv
import io
from collections import Counter

from minicnn.lab.grid import text_of
from minicnn.lab.interval import interval

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


def table(grid, outcomes):
    """A row for each arm: mean and 95 % interval over the seeds that finished, and each seed.

    The difference is to the first arm and paired: the mean of the seeds' differences, among
    the seeds that finished in both, so that what the seeds have in common falls out.

    Parameters
    ----------
    grid : Grid
    outcomes : iterable of Outcome

    Returns
    -------
    header : list of str
    rows : list of list of str
    """
    outcomes, seeds, arms = list(outcomes), grid.all_seeds(), grid.arms()
    by_seed = [{o.trial.seed: o for o in outcomes if o.trial.arm == arm} for arm in arms]
    accuracy = [_percent(found) for found in by_seed]
    header = [
        *grid.axes, "test accuracy (%)", *(f"seed {seed}" for seed in seeds),
        "difference to the first", "training loss (nats)", "status",
    ]  # fmt: skip
    rows = []
    for arm, found, own in zip(arms, by_seed, accuracy):
        difference = [own[s] - accuracy[0][s] for s in seeds if s in own and s in accuracy[0]]
        loss = [o.final("train_loss") for o in found.values() if o.status == "finished"]
        count = Counter(outcome.status for outcome in found.values())
        rows.append(
            [
                *map(text_of, arm.values()),
                _shown(interval(list(own.values())), ".2f"),
                *(f"{own[s]:.2f}" if s in own else found[s].status for s in seeds),
                "" if arm is arms[0] else _shown(interval(difference), "+.2f"),
                _shown(interval(loss), ".4f"),
                ", ".join(f"{number} {status}" for status, number in count.items()),
            ]
        )
    return header, rows


def as_text(header, rows):
    """A table in columns, ready to be printed; numbers stand to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    right = [all(_is_number(cell) for cell in column) for column in zip(*rows)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(row, widths, right)
        ).rstrip()
        for row in (header, *rows)
    )


def _percent(found):
    """The accuracy of each seed that finished, in per cent."""
    return {
        seed: 100 * outcome.final("test_accuracy")
        for seed, outcome in found.items()
        if outcome.status == "finished"
    }


def _shown(result, form):
    if result is None:
        return "-"
    spread = "" if result.half_width is None else f" ± {result.half_width:{form.lstrip('+')}}"
    return f"{result.mean:{form}}{spread}"


def _is_number(cell):
    return not cell or cell[-1].isdigit() or cell == "-"
