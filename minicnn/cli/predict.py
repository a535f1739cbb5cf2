"""``minicnn predict RUN picture.png …``: the classes of people's own pictures."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.cli.options import Parser
from minicnn.console import terminal
from minicnn.console.output import say, show_note
from minicnn.console.table import as_text

HELP = "say what is on pictures"
TOP = 3


def parser() -> Parser:
    """The parser of this command."""
    made = Parser(prog="minicnn predict", description="Say what is on pictures, by a trained run.")
    made.add_argument("run", metavar="RUN", help="folder of a run, or a file of its weights")
    made.add_argument("pictures", metavar="PICTURE", nargs="+", help="PNG, JPEG, WebP, ...")
    made.add_argument("--top", metavar="N", type=int, default=TOP, help=f"classes to show ({TOP})")
    made.add_argument("--as-is", action="store_true", help="invert and centre nothing")
    form = made.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print comma-separated values")
    form.add_argument("--json", action="store_true", help="print JSON")
    return made


def run(words: Sequence[str]) -> int:
    """Carry the command out; returns the exit code."""
    given = parser().parse_args(words)
    from minicnn.checks import check_count
    from minicnn.data.pictures import read_picture
    from minicnn.training.runs.trained import load_run

    top = check_count(given.top, "--top")
    trained = load_run(given.run)
    plain = given.as_is
    digits = (
        not plain and "mnist" in trained.settings.data and trained.class_names[:2] == ("0", "1")
    )
    background = None if plain else trained.about["images"].get("border")
    pictures = [read_picture(p, trained.shape, background, digits) for p in given.pictures]
    shares = trained.probabilities(np.stack([picture.pixels for picture in pictures]))
    rows: list[dict[str, Any]] = []
    for path, picture, share in zip(given.pictures, pictures, shares):
        order = np.argsort(-share, kind="stable")[:top]
        classes = [{"class": trained.class_names[k], "probability": float(share[k])} for k in order]
        rows.append({"picture": path, "classes": classes, "notes": list(picture.notes)})
    say(_as_json(rows) if given.json else _as_csv(rows) if given.csv else _as_table(rows))
    if not (given.json or given.csv):
        for row in rows:
            for note in row["notes"]:
                show_note(f"{row['picture']}: {note}.")
    return 0


def _as_json(rows):
    return json.dumps(rows, indent=2, ensure_ascii=False)


def _flat(rows):
    """A header and a line for each picture, its classes side by side."""
    count = max(len(row["classes"]) for row in rows)
    header = ["picture"] + [f"{word} {n}" for n in range(1, count + 1) for word in HEADER]
    return header, [
        [row["picture"], *[cell for one in row["classes"] for cell in one.values()]] for row in rows
    ]


HEADER = ("class", "probability")


def _as_csv(rows):
    text = io.StringIO()
    header, lines = _flat(rows)
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    return text.getvalue().rstrip("\n")


def _as_table(rows):
    header, lines = _flat(rows)
    texts = [[_cell(cell) for cell in line] for line in lines]
    header = [word.replace("probability", "%") for word in header]
    return as_text(header, texts, terminal.width(), keys=1)


def _cell(cell):
    return f"{100 * cell:.1f}" if isinstance(cell, float) else cell
