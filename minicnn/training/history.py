"""History: the lines of a training, which a notebook shows as a table."""

import math
from typing import Any

from minicnn.console.table import as_html

PER_CENT = "accuracy"  # what is shown so, by the end of its name


class History(list[dict[str, Any]]):
    """A list of the epochs' lines, see `Trainer.history`."""

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        names = list(self[0]) if self else []
        rows = [[_shown(name, line) for name in names] for line in self]
        return as_html([name.replace("_", " ") for name in names], rows)


def _shown(name, line):
    value, part = line.get(name), name.rpartition("_")[0]
    if value is None or math.isnan(line.get(f"{part}_{PER_CENT}", 0)):  # it was not evaluated
        return ""
    if name.endswith(PER_CENT):
        return f"{100 * value:.2f} %"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
