"""The table that a model's summary is; for the package itself: it checks nothing."""

from typing import TYPE_CHECKING

from minicnn.console import terminal
from minicnn.console.table import as_text

if TYPE_CHECKING:
    from minicnn.models.sequential import Sequential


def table(model: "Sequential") -> str:
    """A row for each layer with the initializers of its parameters, and the total.

    The model is initialized; the table is as wide as the terminal at most.
    """
    rows = []
    for layer in model.all_layers():
        own = layer.own_parameters()
        made = [
            f"{name}: {initializer} ({std:.4g})"
            for name, (initializer, std) in layer.initializers().items()
        ]
        count = str(sum(p.size for p in own.values())) if own else ""
        shape = "x".join(map(str, layer.output_shape))
        rows.append([f"{layer.name} {layer.describe()}".rstrip(), shape, count, "\n".join(made)])
    rows.append(["total", "", str(sum(p.size for p in model.parameters())), ""])
    header = ["layer", "output", "parameters", "initializer (std)"]
    return as_text(header, rows, terminal.width(), keys=1)
