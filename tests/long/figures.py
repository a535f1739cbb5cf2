"""Figures: what a long test found."""

from dataclasses import dataclass, field


@dataclass
class Figures:
    """What went wrong, and the numbers for a table.

    Attributes
    ----------
    failures : list of str
        A line for each thing that went wrong; empty when all is well.
    figures : dict of str to str
        What goes into a table, such as ``{"resumed bit for bit": "50 of 50"}``.
    """

    failures: list = field(default_factory=list)
    figures: dict = field(default_factory=dict)

    @property
    def passed(self):
        """Whether nothing went wrong."""
        return not self.failures

    def table(self):
        """The figures as Markdown rows, ``| what | figure |``."""
        return "\n".join(f"| {what} | {figure} |" for what, figure in self.figures.items())
