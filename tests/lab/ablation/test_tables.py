"""The tables hold every trial, and the statistics of those that finished."""

import csv
import io

import numpy as np
import pytest
from scipy import stats

from minicnn.console.table import as_text
from minicnn.errors import ArgumentError
from minicnn.lab.ablation.baseline import Baseline
from minicnn.lab.ablation.grid import Grid
from minicnn.lab.ablation.tables import csv_text, table
from tests.lab.ablation.small_grid import outcome

GRID = Grid({"init": ["zeros", "uniform:-0.1,0.1", "msra"], "betas": [(0.8, 0.9)]}, seeds=3)
ACCURACY = {"zeros": [0.5, 0.6, 0.8], "uniform:-0.1,0.1": [0.7, 0.9, 0.9], "msra": [0.9, 0.8, 0.7]}
BROKEN = {("uniform:-0.1,0.1", 1): "diverged", ("msra", 0): "crashed", ("msra", 1): "not done"}


def outcomes():
    result = []
    for trial in GRID.trials():
        name = trial.arm["init"]
        status = BROKEN.get((name, trial.seed), "finished")
        error = 'what, "ever"' if status in ("crashed", "diverged") else ""
        result.append(outcome(trial, [0.1, ACCURACY[name][trial.seed]], None, status, error))
    return result


def validated(outcomes):
    """With a validation set, on which the accuracies are those of the test set."""
    for one in outcomes:
        for line in one.history:
            line["validation_accuracy"] = line["test_accuracy"]
    return outcomes


def test_the_csv_has_a_line_for_each_trial():
    lines = list(csv.DictReader(io.StringIO(csv_text(GRID, outcomes()))))
    assert [line["folder"] for line in lines] == [trial.name for trial in GRID.trials()]
    first = {
        "init": "zeros", "betas": "0.8,0.9", "seed": "0", "status": "finished",
        "test_accuracy": "0.5", "best_test_accuracy": "0.5", "test_loss": "1.0",
        "train_accuracy": "0.25", "train_loss": "0.5", "predicted_classes": "10",
        "parameters": "77", "epochs_done": "2", "train_seconds": "1.5",
        "folder": "1-zeros-0.8_0.9-seed0", "error": "",
    }  # fmt: skip
    assert lines[0] == first and lines[1]["init"] == "uniform:-0.1,0.1"
    diverged, crashed = lines[4], lines[2]
    assert (diverged["status"], diverged["test_accuracy"]) == ("diverged", "")
    assert (diverged["parameters"], diverged["error"]) == ("77", 'what, "ever"')
    assert (crashed["status"], crashed["parameters"], crashed["train_loss"]) == ("crashed", "", "")
    assert lines[5]["status"] == "not done"


def cells(number, **settings):
    header, rows = table(GRID, validated(outcomes()), Baseline(GRID, settings))
    assert len(set(header)) == len(header) and len(rows) == 3
    return dict(zip(header, rows[number]))


def ends(values, least=0, most=100, form=".2f"):
    """Mean and interval in words, without spaces before numbers."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    mean = np.mean(values)
    low, high = max(least, mean - half), min(most, mean + half)
    return f"{mean:{form}} [{low:{form}}, {high:{form}}]"


def single(words):
    return " ".join(words.split()).replace("[ ", "[")


def test_an_arm_that_finished():
    row, values = cells(0), 100 * np.array(ACCURACY["zeros"])
    assert (row["init"], row["betas"]) == ("zeros", "0.8,0.9")
    assert single(row["test accuracy (%)"]) == ends(values) and ", 100.00]" in ends(values)
    assert [row[f"seed {seed}"] for seed in range(3)] == ["50.00", "60.00", "80.00"]
    assert (
        row["training loss (nats)"] == "0.5000 [0.5000, 0.5000]" and row["status"] == "3 finished"
    )
    assert row["difference to best"] == "best"


def test_seeds_that_did_not_finish_are_left_out_and_shown():
    row = cells(1)
    assert single(row["test accuracy (%)"]) == ends([70, 90])
    assert [row[f"seed {seed}"] for seed in range(3)] == ["70.00", "diverged", "90.00"]
    assert row["status"] == "2 finished, 1 diverged"
    row = cells(2)
    assert row["test accuracy (%)"] == "70.00"
    assert [row[f"seed {seed}"] for seed in range(3)] == ["crashed", "not done", "70.00"]
    assert row["status"] == "1 crashed, 1 not done, 1 finished"


def test_the_difference_is_paired_by_seed():
    expected = ends([20, 10], -100, 100, "+.2f")
    assert single(cells(1)["difference to best"]) == f"{expected} (2 seeds)"
    assert cells(2)["difference to best"] == "-10.00 (1 seed)"
    column = "difference to init=msra"
    assert [cells(n, init="msra")[column] for n in range(3)] == [
        "+10.00 (1 seed)", "+20.00 (1 seed)", "init=msra",
    ]  # fmt: skip


def test_the_best_arm_is_one_of_those_with_the_most_seeds():
    """The second has the greatest mean, 80, but a seed of it diverged."""
    assert cells(0)["difference to best"] == "best"


def test_a_baseline_of_some_axes_is_the_same_in_all_else():
    grid = Grid({"init": ["zeros", "msra"], "activation": ["relu", "tanh"]}, seeds=1)
    several = [outcome(t, [0.1 * n]) for n, t in enumerate(grid.trials(), 1)]
    header, rows = table(grid, several, Baseline(grid, {"init": "msra"}))
    column = [row[header.index("difference to init=msra")] for row in rows]
    assert column == ["-20.00", "-20.00", "init=msra", "init=msra"]
    whole = Baseline(grid, {"activation": "tanh", "init": "zeros"})
    header, rows = table(grid, several, whole)
    column = [row[header.index("difference to activation=tanh, init=zeros")] for row in rows]
    assert [words[:6] for words in column] == ["-10.00", "activa", "+10.00", "+20.00"]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["init"], "baseline 'init': expected OPTION=VALUE"),
        (["init="], "baseline 'init=': expected OPTION=VALUE"),
        (["lr=3"], "the baseline has lr, which is no axis of this comparison: .*init, betas"),
        (["out=x"], "the baseline has out, which is no axis"),
        (["init=he"], "the baseline has init he, expected one of the axis: zeros, uniform"),
        (["init=zeros", "init=msra"], "the baseline has init twice"),
    ],
)
def test_a_baseline_that_cannot_be(texts, said):
    with pytest.raises(ArgumentError, match=said):
        Baseline.from_strings(GRID, texts, lambda name, word: word)


def test_an_arm_without_results():
    grid = Grid({"init": ["zeros", "msra"]}, seeds=1)
    broken = [outcome(trial, [], status="crashed", error="x") for trial in grid.trials()]
    _, rows = table(grid, broken)
    assert rows[1] == ["msra", "-", "-", "-", "crashed", "1 crashed"]


LONG = ["mlp:" + ",".join(9 * ["512"]), "lenet5", "m" * 70]
SHORT = ["gelu", "leaky-relu", "tanh"]


@pytest.mark.parametrize("width", [60, 80, 100, 200, 1000])
@pytest.mark.parametrize("seeds", [1, 3, 20])
@pytest.mark.parametrize("axes", [{"init": SHORT}, {"model": LONG}, {"model": LONG, "init": SHORT}])
def test_a_table_fits_its_width_and_nothing_is_lost(width, seeds, axes):
    grid = Grid(axes, seeds)
    several = [outcome(t, [0.1 * (t.seed % 7), 0.9]) for t in grid.trials()]
    header, rows = table(grid, several)
    text = as_text(header, rows, width, keys=len(axes))
    assert max(map(len, text.splitlines())) <= width
    blocks = [block.splitlines() for block in text.split("\n\n")]
    whole = max(map(len, as_text(header, rows).splitlines()))
    assert len(blocks) == 1 if whole <= width else len(blocks) <= 1 + whole // (width // 3)
    squeezed = "".join(text.split())
    for cell in {*header, *(cell for row in rows for cell in row)}:
        if cell not in LONG:
            assert "".join(cell.split()) in squeezed
    if len(axes) == 1:
        for block in blocks:  # the broken label, put together again
            first = max(len(line.split("  ")[0]) for line in block)
            words = "".join(line[:first].strip() for line in block)
            assert words == "".join([*axes, *next(iter(axes.values()))])
