"""Report: the table, figures and page of an ablation, written into its folder."""

import base64
import os
import textwrap
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from minicnn.checks import check_count, check_kind, check_path, check_text, list_of, takes
from minicnn.console.table import as_text
from minicnn.errors import ArgumentError
from minicnn.lab.ablation import figures
from minicnn.lab.ablation.baseline import Baseline
from minicnn.lab.ablation.grid import Grid, label, text_of
from minicnn.lab.ablation.results import Outcome, check_outcomes, is_validated
from minicnn.lab.ablation.tables import table
from minicnn.training.runs.files import write_atomically
from minicnn.training.runs.values import versions

NOTE = (
    "In brackets the 95 % interval of the mean (Student's t over the seeds that finished; cut to"
    " 0 to 100 % for accuracies). The arms of a seed train on the same batches, so a difference is"
    " the mean of the seeds' differences, over the seeds that finished in both arms."
)
BEST = " The best arm was chosen by its validation accuracy, not by the test set."
FIRST = (
    " Differences are to the first arm, as nothing is chosen by the test set: --validation 0.1 lets"
    " the best be chosen by a part of the training set, and --baseline names another arm."
)
WIDTH = 80  # of a line in a file
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; }
th, td { padding: .25em .8em; border-bottom: 1px solid #ccc; text-align: left; }
th { white-space: nowrap; }
td { font-variant-numeric: tabular-nums; white-space: pre; }
th:first-child, td:first-child { position: sticky; left: 0; background: white; }
div, figure { overflow-x: auto; }
figure { margin: 1.5em 0; } img { width: 100%; min-width: 40em; }
"""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body>
<h1>{title}</h1>
<p>{settings}</p>
{body}
<p>{versions}</p>
</body>
</html>
"""


@takes(grid=Grid, outcomes=check_outcomes, baseline=Baseline, width=check_count)
def text(
    grid: Grid, outcomes: Iterable[Outcome], baseline: Baseline | None = None, width: int = WIDTH
) -> str:
    """The table with its explanation and the errors there were, in lines of `width` characters.

    Differences are to the baseline, by default the best arm on the validation set.
    """
    shown = as_text(*table(grid, outcomes, baseline), width, keys=len(grid.axes))
    found = [textwrap.fill(line, width, subsequent_indent="  ") for line in errors(outcomes)]
    return "\n".join([shown, "", textwrap.fill(_note(grid, outcomes, baseline), width), *found])


def _note(grid, outcomes, baseline):
    name = (baseline or Baseline(grid)).name(is_validated(outcomes))
    return NOTE + {"best": BEST, "first": FIRST}.get(name, "")


@takes(outcomes=check_outcomes)
def errors(outcomes: Iterable[Outcome]) -> list[str]:
    """A sentence for each trial that diverged or crashed, as a list of str."""
    return [
        f"{label(o.trial.arm)}, seed {o.trial.seed} {o.status}: {o.error}"
        for o in outcomes
        if o.error
    ]


@takes(grid=Grid, outcomes=check_outcomes, folder=check_path, baseline=Baseline)
def write(
    grid: Grid,
    outcomes: Iterable[Outcome],
    folder: str | os.PathLike[str],
    baseline: Baseline | None = None,
) -> str | None:
    """Write ``table.txt``, the figures ``curves-N.svg``, and ``report.html`` with all of it.

    Gives the reason if there are no figures, else None. ArgumentError if a file cannot be written.
    """
    folder = Path(folder)
    write_atomically(folder / "table.txt", (text(grid, outcomes, baseline) + "\n").encode())
    try:
        drawn, missing = figures.curves(grid, outcomes), None
    except ArgumentError as error:
        drawn, missing = [], str(error)
    for number, (_, image) in enumerate(drawn, 1):
        write_atomically(folder / f"curves-{number}.svg", image)
    html_page = page(grid, outcomes, drawn, missing, baseline)
    write_atomically(folder / "report.html", html_page.encode())
    return missing


def _check_drawn(value, what):
    """Pairs of a title and an image."""
    pairs = list_of((tuple, list))(value, what)
    for pair in pairs:
        if len(pair) != 2:
            raise ArgumentError(
                f"{what} must hold pairs of a title and an image, got {pair!r:.100}."
            )
        check_text(pair[0], f"{what}: a title")
        check_kind(pair[1], bytes, f"{what}: an image")
    return pairs


@takes(
    grid=Grid, outcomes=check_outcomes, drawn=_check_drawn, missing=check_text, baseline=Baseline
)
def page(
    grid: Grid,
    outcomes: Iterable[Outcome],
    drawn: Sequence[tuple[str, bytes]],
    missing: str | None = None,
    baseline: Baseline | None = None,
) -> str:
    """The page as HTML that needs no other file.

    `drawn` holds the figures, as `figures.curves` gives them; `missing` says why there are none.
    """
    header, rows = table(grid, outcomes, baseline)
    parts = [
        "<div><table>",
        _row("th", header),
        *(_row("td", row) for row in rows),
        "</table></div>",
        f"<p>{escape(_note(grid, outcomes, baseline))}</p>",
    ]
    if found := errors(outcomes):
        parts += ["<ul>", *(f"<li>{escape(sentence)}</li>" for sentence in found), "</ul>"]
    parts += [_figure(title, image) for title, image in drawn]
    if drawn:
        parts.append(
            "<p>A thin line for each seed; of those that finished the mean in bold, and a band"
            " from the least to the greatest. Lines of later arms lie on the broader ones of"
            " earlier arms. A cross where a seed diverged. Losses above 10 nats are outside of the"
            " picture.</p>"
        )
    if missing:
        parts.append(f"<p>{escape(missing)}</p>")
    return PAGE.format(
        title=escape(f"Ablation of {', '.join(grid.axes)}"),
        style=STYLE,
        settings=escape(_settings(grid)),
        body="\n".join(parts),
        versions=escape(", ".join(f"{name} {number}" for name, number in versions().items())),
    )


def _settings(grid):
    """What all arms have in common."""
    shared = grid.settings(grid.arms()[0], grid.first_seed).as_dict()
    hidden = {*grid.axes, "seed", "threads"}
    words = [f"{k} {text_of(v)}" for k, v in shared.items() if k not in hidden and v is not None]
    return f"{len(grid.arms())} arms, {grid.seeds} seeds each. In all: {', '.join(words)}."


def _row(tag, cells):
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _figure(title, image):
    name = escape(f"Accuracy and loss over epochs {title}".strip())
    data = base64.b64encode(image).decode()
    return f'<figure><img alt="{name}" src="data:image/svg+xml;base64,{data}"></figure>'
