"""What an experiment gives: a table, what was checked, and a figure."""

from dataclasses import dataclass, field
from pathlib import Path

from minicnn import extras
from minicnn.console.table import as_text
from minicnn.errors import unknown


@dataclass
class Result:
    """The outcome of an experiment.

    Attributes
    ----------
    title : str
    header : list of str
    rows : list of list of str
        A table with that header.
    checks : list of (str, bool)
        What had to hold, and whether it did.
    draw : callable or None
        ``draw(figure)`` fills a matplotlib figure.
    figsize : pair of float
        The figure's width and height in inches.
    """

    title: str
    header: list
    rows: list
    checks: list = field(default_factory=list)
    draw: object = None
    figsize: tuple = (7.2, 4.2)

    @property
    def holds(self):
        """Whether everything did."""
        return all(held for _, held in self.checks)

    def __str__(self):
        marks = [f"{'holds' if held else 'FAILS'}: {text}" for text, held in self.checks]
        return "\n".join([self.title, "", as_text(self.header, self.rows), "", *marks])

    def save(self, path):
        """Draw the figure into an SVG file.

        Raises
        ------
        ArgumentError
            If matplotlib is not installed.
        """
        plt = extras.load("matplotlib.pyplot", "to draw an experiment's figure")
        with plt.rc_context({"svg.hashsalt": "minicnn", "font.size": 10}):
            figure = plt.figure(figsize=self.figsize, layout="constrained")
            self.draw(figure)
            figure.savefig(Path(path), metadata={"Date": None})
            plt.close(figure)


def of_size(forms, size):
    """What an experiment needs to be of this size.

    Parameters
    ----------
    forms : dict
        By the name of the size: ``full``, ``quick`` for a few minutes of all experiments, and
        ``tiny`` for a few seconds of one.
    size : str

    Raises
    ------
    ArgumentError
        For another size.
    """
    if size not in forms:
        raise unknown("size", size, forms)
    return forms[size]
