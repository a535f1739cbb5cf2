"""``minicnn evaluate RUN … --data …``: how often trained models are right, alone and together."""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.cli.options import Parser
from minicnn.console import terminal
from minicnn.console.output import say, show_note
from minicnn.console.table import as_text

HELP = "measure the accuracy of trained runs"
CONFUSIONS = 5  # pairs of classes to show


def parser() -> Parser:
    """The parser of this command."""
    made = Parser(
        prog="minicnn evaluate",
        description="Measure how often a trained run is right; several runs vote, by the mean of"
        " their probabilities.",
    )
    made.add_argument("runs", metavar="RUN", nargs="+", help="folder of a run")
    made.add_argument("--data", help="data set or folder (that of the first run)")
    made.add_argument("--set", choices=("test", "train"), default="test", help="which part (test)")
    made.add_argument(
        "--flip", action=argparse.BooleanOptionalAction,
        help="look at mirrored images, too (as the run was evaluated)",
    )  # fmt: skip
    made.add_argument(
        "--shift", metavar="N", type=int,
        help="look at images moved by N pixels, too; 0 for none (as the run was evaluated)",
    )  # fmt: skip
    made.add_argument("--json", action="store_true", help="print JSON")
    return made


def run(words: Sequence[str]) -> int:
    """Carry the command out; returns the exit code."""
    given = parser().parse_args(words)
    import json

    from minicnn.checks import check_count
    from minicnn.data import sources
    from minicnn.errors import DataError
    from minicnn.metrics import accuracy, confusion_matrix
    from minicnn.training.runs.trained import load_runs
    from minicnn.training.views import described

    shift = None if given.shift is None else check_count(given.shift, "--shift", least=0)
    trained = load_runs(given.runs)
    first = trained[0]
    both = sources.load(given.data or first.settings.data, **first.settings.reading())
    dataset = both[given.set == "test"]
    if dataset.shape != first.shape or dataset.classes > len(first.class_names):
        raise DataError(
            f"{dataset.name} has images of shape {dataset.shape} in {dataset.classes} classes, the"
            f" run is of {first.shape} in {len(first.class_names)}."
        )
    each = [one.probabilities(dataset.images, given.flip, shift) for one in trained]
    names = [str(run) for run in given.runs]
    views: list[Any] = [one.views(given.flip, shift) for one in trained]
    if len(each) > 1:
        each.append(np.mean(each, axis=0))
        names.append(f"all {len(trained)} together")
        views.append((None, None))
    labels = dataset.labels
    rows: list[dict[str, Any]] = []
    for name, shares, (flip, moved) in zip(names, each, views):
        right = accuracy(shares.argmax(1), labels)
        least = np.finfo(np.float64).tiny
        loss = float(-np.mean(np.log(np.maximum(shares[np.arange(len(labels)), labels], least))))
        rows.append({"run": name, "accuracy": right, "loss": loss, "images": len(labels)})
        rows[-1].update({} if flip is None else {"flip": flip, "shift": moved})
    counts = confusion_matrix(labels, each[-1].argmax(1), len(first.class_names))
    confused = _confusions(counts, first.class_names)
    if given.json:
        say(json.dumps({"data": dataset.name, "runs": rows, "confusions": confused}, indent=2))
        return 0
    lines = [
        [r["run"], f"{100 * r['accuracy']:.2f}", f"{r['loss']:.4f}", f"{r['images']:,}"]
        for r in rows
    ]
    say(as_text(["run", "accuracy (%)", "loss", "images"], lines, terminal.width(), keys=1))
    if confused:
        said = "; ".join(f"{c['count']} {c['true']} as {c['predicted']}" for c in confused)
        say("", f"most often confused: {said}")
    own = given.flip is None or shift is None
    for name, one, (flip, moved) in zip(names, trained, views):
        if own and (flip or moved) and (flip, moved) == one.views():
            show_note(
                f"{name} looks at {described(flip, moved)}, as its training did: --no-flip --shift"
                " 0 evaluates plain images."
            )
    for note in dataset.notes:
        show_note(note)
    return 0


def _confusions(counts, names):
    """The pairs of classes that are confused most often."""
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:CONFUSIONS]
    pairs = zip(*np.unravel_index(order, counts.shape))
    return [
        {"true": names[i], "predicted": names[j], "count": int(counts[i, j])}
        for i, j in pairs
        if counts[i, j]
    ]
