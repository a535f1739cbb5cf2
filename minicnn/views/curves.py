"""Loss and accuracy of one run over its epochs."""

import json
import os
from pathlib import Path
from typing import Any

from minicnn.checks import check_path, takes
from minicnn.errors import DataError
from minicnn.views import canvas

SETS = (("train", "-", "o"), ("validation", "-", "s"), ("test", "--", "^"))


@takes(run=check_path)
def curves(run: str | os.PathLike[str]) -> Any:
    """Loss and accuracy over epochs, as ``metrics.jsonl`` in the run's folder has them.

    Parameters
    ----------
    run : str or Path

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If the file is missing, empty or damaged.
    """
    path = Path(run, "metrics.jsonl")
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}.") from error
    if not lines:
        raise DataError(f"{path}: no epoch has ended yet, so there is nothing to draw.")
    figure = canvas.new_figure(10, 4)
    for axes, what, unit, factor in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), ("nats", "%"), (1, 100)
    ):
        for number, (name, style, marker) in enumerate(SETS):
            found = [(line["epoch"], line.get(f"{name}_{what}")) for line in lines]
            points = [(epoch, factor * value) for epoch, value in found if value is not None]
            if points:
                axes.plot(
                    *zip(*points), style, marker=marker, markersize=3,
                    color=canvas.COLOURS[number], label=name,
                )  # fmt: skip
        axes.set(xlabel="epoch", ylabel=f"{what} ({unit})")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
        axes.grid(alpha=0.3)
    figure.suptitle(Path(run).resolve().name)
    return figure
