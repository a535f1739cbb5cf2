"""``minicnn evaluate RUN … --data …``: how often trained models are right, alone and together."""

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
    made.add_argument("--flip", action="store_true", help="look at mirrored images, too")
    made.add_argument(
        "--shift", metavar="N", type=int, default=0,
        help="look at images moved by N pixels in each direction, too",
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

    shift = check_count(given.shift, "--shift", least=0)
    trained = load_runs(given.runs)
    first = trained[0]
    both = sources.load(given.data or first.settings.data, **first.settings.reading())
    dataset = both[given.set == "test"]
    if dataset.shape != first.shape or dataset.classes > len(first.class_names):
        raise DataError(
            f"{dataset.name} has images of shape {dataset.shape} in {dataset.classes} classes, the"
            f" run is of {first.shape} in {len(first.class_names)}."
        )
    shifts = (-shift, 0, shift) if shift else (0,)
    each = [one.probabilities(dataset.images, given.flip, shifts) for one in trained]
    names = [str(run) for run in given.runs]
    if len(each) > 1:
        each.append(np.mean(each, axis=0))
        names.append(f"all {len(trained)} together")
    labels = dataset.labels
    rows: list[dict[str, Any]] = []
    for name, shares in zip(names, each):
        right = accuracy(shares.argmax(1), labels)
        least = np.finfo(np.float64).tiny
        loss = float(-np.mean(np.log(np.maximum(shares[np.arange(len(labels)), labels], least))))
        rows.append({"run": name, "accuracy": right, "loss": loss, "images": len(labels)})
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
