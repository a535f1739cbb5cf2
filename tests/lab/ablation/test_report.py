"""The report: one page that needs nothing else, and the files beside it."""

import base64
import os
import re
import sys
from html.parser import HTMLParser

import pytest

from minicnn.lab.ablation import figures, report
from minicnn.lab.ablation.grid import Grid
from minicnn.lab.ablation.tables import csv_text, table
from tests.lab.ablation.small_grid import outcome

EVIL = '<script>alert("&")</script>'


@pytest.fixture
def results():
    grid = Grid({"init": ["zeros", "msra"], "activation": ["relu", "tanh"]}, 2, base={"epochs": 2})
    outcomes = [outcome(trial, [0.1, 0.6]) for trial in grid.trials()]
    outcomes[3] = outcome(grid.trials()[3], [], status="crashed", error=EVIL)
    return grid, outcomes


class Reader(HTMLParser):
    """Collects the cells of the tables, the sources of the images, and what is not closed."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.sources, self.open, self.tags = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "img":
            self.sources.append(dict(attributes)["src"])
        elif tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_the_page_holds_the_table_and_the_figures(results, tmp_path):
    assert report.write(*results, tmp_path) is None
    files = ["curves-1.svg", "curves-2.svg", "report.html", "table.txt"]
    assert sorted(os.listdir(tmp_path)) == files
    page = (tmp_path / "report.html").read_text("utf-8")
    reader = Reader(page)
    header, rows = table(*results)
    assert reader.rows == [header, *rows] and reader.open == []
    images = [base64.b64decode(source.partition("base64,")[2]) for source in reader.sources]
    assert images == [(tmp_path / name).read_bytes() for name in files[:2]]
    assert "epochs 2" in page and "batch_size 64" in page and "4 arms, 2 seeds each" in page


def test_the_page_needs_no_other_file(results, tmp_path):
    report.write(*results, tmp_path)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert not re.search(r"https?:|url\(|<link|<script", page)
    assert all(source.startswith("data:image/svg+xml") for source in Reader(page).sources)


def test_errors_are_shown_and_cannot_write_the_page(results):
    grid, outcomes = results
    page = report.page(grid, outcomes, [])
    assert "&lt;script&gt;" in page and "script" not in Reader(page).tags
    text = report.text(grid, outcomes)
    assert f"init=msra, activation=tanh, seed 0 crashed: {EVIL}" in text
    assert text.startswith("init ")


def test_without_matplotlib_there_are_the_table_and_the_page(results, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    missing = report.write(*results, tmp_path)
    assert "needs matplotlib" in missing
    assert sorted(os.listdir(tmp_path)) == ["report.html", "table.txt"]
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "needs matplotlib" in page and "<img" not in page


def test_outcomes_may_be_given_one_by_one(results, tmp_path):
    grid, outcomes = results
    for what in (report.text, table, figures.curves, csv_text):
        assert what(grid, iter(outcomes)) == what(grid, outcomes)
    assert report.page(grid, iter(outcomes), []) == report.page(grid, outcomes, [])
    report.write(grid, iter(outcomes), tmp_path)
    assert (tmp_path / "table.txt").read_text("utf-8") == report.text(grid, outcomes) + "\n"
