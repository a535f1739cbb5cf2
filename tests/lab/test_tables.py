"""The tables hold every trial, and the statistics of those that finished."""

import csv
import io

import numpy as np
import pytest
from scipy import stats

from minicnn.lab.grid import Grid
from minicnn.lab.tables import as_text, csv_text, table
from tests.lab.small_grid import outcome

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


def cells(number):
    header, rows = table(GRID, outcomes())
    assert len(set(header)) == len(header) and len(rows) == 3
    return dict(zip(header, rows[number]))


def half_width(values):
    return stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)


def test_an_arm_that_finished():
    row, values = cells(0), 100 * np.array(ACCURACY["zeros"])
    assert (row["init"], row["betas"]) == ("zeros", "0.8,0.9")
    assert row["test accuracy (%)"] == f"{values.mean():.2f} ± {half_width(values):.2f}"
    assert [row[f"seed {seed}"] for seed in range(3)] == ["50.00", "60.00", "80.00"]
    assert row["training loss (nats)"] == "0.5000 ± 0.0000" and row["status"] == "3 finished"
    assert row["difference to the first"] == ""


def test_seeds_that_did_not_finish_are_left_out_and_shown():
    row = cells(1)
    assert row["test accuracy (%)"] == f"80.00 ± {half_width([70, 90]):.2f}"
    assert [row[f"seed {seed}"] for seed in range(3)] == ["70.00", "diverged", "90.00"]
    assert row["status"] == "2 finished, 1 diverged"
    row = cells(2)
    assert row["test accuracy (%)"] == "70.00"
    assert [row[f"seed {seed}"] for seed in range(3)] == ["crashed", "not done", "70.00"]
    assert row["status"] == "1 crashed, 1 not done, 1 finished"


def test_the_difference_is_paired_by_seed():
    assert cells(1)["difference to the first"] == f"+15.00 ± {half_width([20, 10]):.2f}"
    assert cells(2)["difference to the first"] == "-10.00"


def test_an_arm_without_results():
    grid = Grid({"init": ["zeros", "msra"]}, seeds=1)
    broken = [outcome(trial, [], status="crashed", error="x") for trial in grid.trials()]
    _, rows = table(grid, broken)
    assert rows[1] == ["msra", "-", "crashed", "-", "-", "1 crashed"]


def test_columns_stand_below_each_other():
    lines = as_text(["name", "number", "rest"], [["a", "1.5", "x y"], ["long one", "12.5", ""]])
    assert lines.splitlines() == [
        "name      number  rest",
        "a            1.5  x y",
        "long one    12.5",
    ]


@pytest.mark.parametrize("cell", ["-", "3 ± 1", "+1.00"])
def test_numbers_stand_to_the_right(cell):
    assert as_text(["heading"], [[cell]]).splitlines()[1] == cell.rjust(7)
