"""The width of lines, and colours where they can be shown."""

import io
import sys

import pytest

from minicnn.console import terminal


class Terminal(io.StringIO):
    def isatty(self):
        return super().isatty() or True  # an error once it is closed


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize(("file", "environment", "expected"), [
    (Terminal(), {}, True),
    (Terminal(), {"NO_COLOR": "1"}, False),
    (Terminal(), {"NO_COLOR": ""}, True),
    (Terminal(), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    (Terminal(), {"TERM": "dumb"}, False),
    (io.StringIO(), {}, False),
    (io.StringIO(), {"FORCE_COLOR": "1"}, True),
    (None, {}, False),
])  # fmt: skip
def test_where_colours_are_shown(file, environment, expected, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", file)
    assert terminal.has_colours(file) == expected
    text = terminal.coloured("finished", "green")
    assert text == ("\x1b[32mfinished\x1b[0m" if expected else "finished")


def test_a_closed_file_has_none():
    file = Terminal()
    file.close()
    assert not terminal.has_colours(file)


def test_lines_are_as_wide_as_columns_says(monkeypatch):
    monkeypatch.setattr(sys, "__stdout__", io.StringIO())
    assert terminal.width() == 80
    monkeypatch.setenv("COLUMNS", "132")
    assert terminal.width() == 132
