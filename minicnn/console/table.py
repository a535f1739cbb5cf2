"""Tables in columns, for people who read them in a terminal."""

import itertools
import re
from collections.abc import Iterable
from functools import partial
from html import escape

from minicnn.checks import check_count, check_items, list_of, takes

NARROWEST = 8  # characters of a column whose cells are broken


def _check_rows(value, what):
    rows = enumerate(check_items(value, what))
    return [list_of(str)(row, f"{what}[{number}]") for number, row in rows]


@takes(header=list_of(str), rows=_check_rows, width=check_count, keys=partial(check_count, least=0))
def as_text(
    header: list[str], rows: Iterable[list[str]], width: int | None = None, keys: int = 0
) -> str:
    """A table in columns, ready to be printed; numbers stand to the right.

    What does not fit into lines of `width` characters stands in further tables below, each of which
    begins with the first `keys` columns again, whose cells are broken where that is needed.
    """
    table = [list(column) for column in zip(header, *rows)]
    first, rest = table[:keys], table[keys:]
    if width is not None and rest:
        first = _narrowed(first, min(width // 2, width - 2 - max(map(_width, rest))))
    blocks: list[list[list[str]]] = [[]]
    for column in rest:
        taken = sum(_width(other) + 2 for other in [*first, *blocks[-1]])
        if width is not None and blocks[-1] and taken + _width(column) > width:
            blocks.append([])
        blocks[-1].append(column)
    return "\n\n".join(_block([*first, *block]) for block in blocks)


@takes(header=list_of(str), rows=_check_rows)
def as_html(header: list[str], rows: Iterable[list[str]]) -> str:
    """A table as HTML, for notebooks; numbers stand to the right."""
    lines = [f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in header)}</tr>"]
    for row in rows:
        cells = (
            f'<td style="text-align: {"right" if _is_number(cell) else "left"}">{escape(cell)}</td>'
            for cell in row
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _block(columns):
    right = [all(_is_number(cell) for cell in column[1:]) for column in columns]
    widths = list(map(_width, columns))
    lines = []
    for row in zip(*columns):
        cells = [cell.split("\n") for cell in row]
        for parts in itertools.zip_longest(*cells, fillvalue=""):
            placed = (
                part.rjust(width) if numeric else part.ljust(width)
                for part, width, numeric in zip(parts, widths, right)
            )
            lines.append("  ".join(placed).rstrip())
    return "\n".join(lines)


def _width(column):
    return max(len(line) for cell in column for line in cell.split("\n"))


def _narrowed(columns, most):
    """The columns with their cells broken, so that together they take `most` characters."""
    limits = list(map(_width, columns))
    while limits and sum(limits) + 2 * len(limits) - 2 > most and max(limits) > NARROWEST:
        limits[limits.index(max(limits))] -= 1
    return [[_broken(cell, limit) for cell in column] for column, limit in zip(columns, limits)]


def _broken(cell, width):
    """The cell in lines of so many characters, ended after a separator where there is one."""
    lines = [""]
    for part in re.findall(r"[^,:;_ -]+[,:;_ -]*|[,:;_ -]+", cell):
        if len(lines[-1]) + len(part.rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += part
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return "\n".join(line.rstrip() for line in lines)


def _is_number(cell):
    """Whether it ends in a digit or in per cent, or stands for a number that there is not."""
    cell = cell.removesuffix(" %")
    return not cell or cell[-1].isdigit() or cell == "-"
