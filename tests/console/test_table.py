"""Tables in columns: nothing is lost, and lines fit the width."""

import pytest

from minicnn.console.table import as_text


def test_columns_stand_below_each_other():
    lines = as_text(["name", "number", "rest"], [["a", "1.5", "x y"], ["long one", "12.5", ""]])
    assert lines.splitlines() == [
        "name      number  rest",
        "a            1.5  x y",
        "long one    12.5",
    ]


@pytest.mark.parametrize("cell", ["-", "3 ± 1", "+1.00", "12.5 %"])
def test_numbers_stand_to_the_right(cell):
    assert as_text(["heading"], [[cell]]).splitlines()[1] == cell.rjust(7)


def test_each_block_has_the_labels_and_wide_terminals_have_one_block():
    header, rows = ["arm", "first", "second"], [["a,b", "x" * 20, "y" * 20], ["c", "u", "v"]]
    assert as_text(header, rows, 30, keys=1).splitlines() == [
        "arm  first",
        "a,b  " + "x" * 20,
        "c    u",
        "",
        "arm  second",
        "a,b  " + "y" * 20,
        "c    v",
    ]
    assert as_text(header, rows, 47, keys=1) == as_text(header, rows)
