"""A small grid, its data, and outcomes that no training had to make."""

from minicnn.lab.ablation.grid import Grid
from minicnn.lab.ablation.results import Outcome
from tests.data.idx_files import digits, write_folder

BASE = {"model": "mlp:8", "data": "./data", "batch_size": 16, "epochs": 2}


def write_data(folder):
    """What ``./data`` stands for in BASE when `folder` is the working directory."""
    write_folder(folder / "data", digits(train=50, test=21))


def small_grid(axes=None, seeds=2, **base):
    return Grid(axes or {"init": ["xavier", "msra"]}, seeds, base={**BASE, **base})


def outcome(trial, accuracies, losses=None, status="finished", error="", steps=()):
    """One with these test accuracies and losses by epoch, and losses by step."""
    losses = losses or [1 / epoch for epoch in range(1, len(accuracies) + 1)]
    history = [
        {"epoch": epoch, "test_accuracy": a, "test_loss": b and 2 * b, "train_accuracy": a / 2,
         "train_loss": b}
        for epoch, (a, b) in enumerate(zip(accuracies, losses), 1)
    ]  # fmt: skip
    summary = {
        "best_test_accuracy": max(accuracies, default=None), "epochs": len(accuracies),
        "parameters": 77, "predicted_classes": 10, "train_seconds": 1.5,
    }  # fmt: skip
    ended = status in ("finished", "diverged")
    length = len(steps) / max(1, len(accuracies))
    lines = [
        {"step": n, "epoch": n / length, "train_loss": loss, "train_accuracy": n / len(steps)}
        for n, loss in enumerate(steps, 1)
    ]
    summary, history = (summary, history) if ended else ({}, [])
    return Outcome(trial, status, summary, history, error, lines)
