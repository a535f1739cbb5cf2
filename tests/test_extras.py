"""A package that is missing is named in one sentence, with the extra."""

import sys

import pytest

from minicnn import extras
from minicnn.errors import ArgumentError


def test_what_is_there_is_loaded():
    assert extras.load("xml.sax", "a test") is sys.modules["xml.sax"]


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ArgumentError, match=r"^a figure needs matplotlib: .*'minicnn\[lab\]'"):
        extras.load("matplotlib.figure", "a figure")


def test_each_extra_is_named_with_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ArgumentError, match=r"needs pillow: install the data extra"):
        extras.load("PIL.Image", "reading images", "data")
