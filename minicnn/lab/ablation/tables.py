"""Tables of an ablation: every training for a spreadsheet, every arm for a reader."""

import csv
import io
import itertools
import math
from collections import Counter
from collections.abc import Iterable

from minicnn.checks import takes
from minicnn.errors import ArgumentError
from minicnn.lab.ablation.baseline import Baseline
from minicnn.lab.ablation.grid import Grid, label, text_of
from minicnn.lab.ablation.interval import interval, paired
from minicnn.lab.ablation.results import Outcome, check_outcomes, is_validated

VALIDATION = {  # as METRICS, if there is such a set
    "validation_accuracy": lambda o: o.summary.get("validation_accuracy"),
    "best_validation_accuracy": lambda o: o.summary.get("best_validation_accuracy"),
    "best_epoch": lambda o: o.summary.get("best_epoch"),
    "test_accuracy_of_best": lambda o: o.summary.get("test_accuracy_of_best"),
}
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


@takes(grid=Grid, outcomes=check_outcomes)
def csv_text(grid: Grid, outcomes: Iterable[Outcome]) -> str:
    """A line for each trial: axes, seed, status, final metrics, folder, error.

    Accuracies are fractions, losses in nats; what there is not is empty.
    """
    file, metrics = io.StringIO(), METRICS
    if is_validated(outcomes):
        metrics = {**VALIDATION, **METRICS}
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*grid.axes, "seed", "status", *metrics, "folder", "error"])
    for outcome in outcomes:
        trial = outcome.trial
        settings = [text_of(trial.arm[name]) for name in grid.axes]
        numbers = [read(outcome) for read in metrics.values()]
        end = [trial.name, outcome.error]
        writer.writerow([*settings, trial.seed, outcome.status, *numbers, *end])
    return file.getvalue()


@takes(grid=Grid, outcomes=check_outcomes, baseline=Baseline)
def table(
    grid: Grid, outcomes: Iterable[Outcome], baseline: Baseline | None = None
) -> tuple[list[str], list[list[str]]]:
    """A row for each arm: mean and 95 % interval over the seeds that finished, and each seed.

    The difference is to the baseline, by default the best arm on the validation set, and paired:
    the mean of the seeds' differences, among the seeds that finished in both; how many these are is
    said where seeds are missing.

    Returns
    -------
    (header, rows)
        The names of the axes come first.

    Raises
    ------
    ArgumentError
        If the outcome of a trial is missing.
    """
    baseline = baseline or Baseline(grid)
    seeds, arms = grid.all_seeds(), grid.arms()
    by_seed = [{o.trial.seed: o for o in outcomes if o.trial.arm == arm} for arm in arms]
    for arm, found in zip(arms, by_seed):
        for seed in seeds:
            if seed not in found:
                raise ArgumentError(
                    f"the outcome of {label(arm)}, seed {seed}, is missing: give that of every"
                    " trial of the grid."
                )
    accuracy = [_percent(found) for found in by_seed]
    held = None
    if is_validated(outcomes):
        held = [_percent(found, "validation_accuracy") for found in by_seed]
    others, name = baseline.of_arms(held), baseline.name(held is not None)
    differences = [paired(own, accuracy[other]) for own, other in zip(accuracy, others)]
    losses = [
        interval([o.final("train_loss") for o in found.values() if o.status == "finished"])
        for found in by_seed
    ]
    columns = {} if held is None else {"validation accuracy (%)": _accuracies(held)}
    columns |= {
        "test accuracy (%)": _accuracies(accuracy),
        f"difference to {name}": [
            name if number == other else words + _few(count, len(seeds))
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


def _accuracies(by_arm):
    return _shown([interval([*own.values()]) for own in by_arm], 0, 100, ".2f")


def _percent(found, metric="test_accuracy"):
    """The accuracy of each seed that finished, in per cent."""
    return {
        seed: 100 * outcome.final(metric)
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
