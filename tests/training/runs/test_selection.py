"""Nothing is chosen by the test set: with random test labels the same weights are chosen."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import minicnn
from minicnn.errors import ArgumentError
from minicnn.lab.ablation.ablation import Ablation
from minicnn.lab.ablation.grid import Grid
from minicnn.lab.ablation.tables import table
from minicnn.training import EarlyStopping
from minicnn.training.runs.run import Run
from minicnn.training.runs.settings import Settings
from tests.data.idx_files import digits, write_folder


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """Twice the same data, but for the labels of the test set."""
    monkeypatch.chdir(tmp_path)
    images, labels, test_images, test_labels = digits(train=200, test=60, classes=4)
    images[...] = images // 8 + 50 * labels[:, None, None]
    write_folder(Path("honest"), [images, labels, test_images, test_labels])
    drawn = np.random.default_rng(9).integers(0, 4, 60).astype(np.uint8)
    write_folder(Path("random"), [images, labels, test_images, drawn])


def settings(data, **given):
    chosen = {"model": "mlp:6", "epochs": 5, "lr": 0.02, "threads": 1, "batch_size": 16}
    return Settings(data=f"./{data}", **{**chosen, **given})


def run(data, callbacks=(), **given):
    made = Run(settings(data, **given), f"out-{data}")
    made.train(True, callbacks)
    return made


def arrays(path):
    return safetensors.numpy.load_file(path)


@pytest.mark.parametrize("stopping", [False, True])
def test_the_same_epoch_is_chosen_whatever_the_test_labels_are(stopping):
    both = [
        run(data, [EarlyStopping(patience=1)] if stopping else [], validation=40, lr=0.2)
        for data in ("honest", "random")
    ]
    summaries = [one.summary for one in both]
    assert summaries[0]["test_accuracy"] != summaries[1]["test_accuracy"]
    for name in ("epochs", "best_epoch", "best_validation_accuracy", "validation_accuracy"):
        assert summaries[0][name] == summaries[1][name]
    for name in ("best.safetensors", "model.safetensors"):
        one, other = (arrays(f"out-{data}/{name}") for data in ("honest", "random"))
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def test_the_summary_tells_the_test_accuracy_of_the_chosen_epoch():
    made = run("honest", validation=0.2)
    lines = [json.loads(line) for line in Path("out-honest/metrics.jsonl").read_text().splitlines()]
    held = [line["validation_accuracy"] for line in lines]
    best = held.index(max(held))
    assert made.summary["best_epoch"] == best + 1
    assert made.summary["test_accuracy_of_best"] == lines[best]["test_accuracy"]
    assert len(made.trainer.validation) == 40 and len(made.trainer.train) == 160
    config = json.loads(Path("out-honest/config.json").read_text())
    assert config["validation"] == 0.2 and config["data_set"]["validation_images"] == 40


def test_without_a_validation_set_no_epoch_is_chosen():
    run("honest")
    assert not Path("out-honest/best.safetensors").exists()


def test_the_best_arm_is_the_same_whatever_the_test_labels_are():
    chosen = []
    for data in ("honest", "random"):
        grid = Grid({"lr": [1e-4, 0.02, 0.05]}, seeds=2, base={**base(), "data": f"./{data}"})
        header, rows = table(grid, Ablation(grid, f"ablation-{data}", 1).run(True))
        chosen.append([row[header.index("difference to best")] == "best" for row in rows])
        assert "validation accuracy (%)" in header and "test accuracy (%)" in header
    assert chosen[0] == chosen[1] and sum(chosen[0]) == 1


def test_without_a_validation_set_the_first_arm_is_the_baseline():
    grid = Grid({"lr": [1e-4, 0.05]}, seeds=1, base={**base(), "data": "./honest"})
    del grid.base["validation"]
    header, rows = table(grid, Ablation(grid, "ablation", 1).run(True))
    assert rows[0][header.index("difference to first")] == "first"
    assert "validation accuracy (%)" not in header


def base():
    return {"model": "mlp:6", "epochs": 2, "batch_size": 16, "validation": 40}


def test_no_code_selects_by_the_test_set():
    """Names of results of the test set stand where they are measured, kept or shown, only."""
    allowed = {
        "training/trainer.py", "training/trainer_state.py", "training/callbacks/progress.py",
        "training/runs/run.py",
        "training/runs/snapshot.py", "training/callbacks/nan_guard.py",
        "training/callbacks/loss_watch.py", "lab/ablation/tables.py", "lab/ablation/figures.py",
        "lab/ablation/ablation.py", "lab/ablation/results.py", "cli/main.py",
    }  # fmt: skip
    package = Path(minicnn.__file__).parent
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if "test_accuracy" in path.read_text() or "test_loss" in path.read_text()
    }
    assert found <= allowed


def test_a_validation_set_as_large_as_the_training_set():
    with pytest.raises(ArgumentError, match="the validation set of 200 is 200 of 200 images"):
        Run(settings("honest", validation=200), "out")
    for share in (0, 1, 1.0, -3, "10 %", float("nan")):
        with pytest.raises(ArgumentError, match="validation must be a number of images"):
            settings("honest", validation=share)
    assert not Path("out").exists()
