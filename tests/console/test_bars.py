"""Progress bars in a real notebook kernel, in a terminal, and where nobody looks."""

import io
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from minicnn.console.bars import progress_bar

BAR = """
from minicnn.console.bars import progress_bar
with progress_bar(total=5, desc="counted") as bar:
    bar.update(5)
"""
WITHOUT_WIDGETS = "import sys; sys.modules['ipywidgets'] = None\n"
REPRS = """
from minicnn.data import Dataset
from minicnn.models import zoo
from minicnn.training.history import History
import numpy as np
images = np.zeros((3, 1, 28, 28), np.uint8)
dataset = Dataset(images, np.arange(3), 3, class_names=["a", "<b>", "c"])
model = zoo.build("lenet5")
model.initialize((1, 28, 28))
display(dataset, model, History([{"epoch": 1, "test_accuracy": 0.5}]))
"""


def outputs(tmp_path, source):
    """What a cell showed, in a kernel of its own."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    client = NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    return notebook.cells[0].outputs


def test_a_notebook_shows_a_widget(tmp_path):
    (shown,) = outputs(tmp_path, BAR)
    assert "application/vnd.jupyter.widget-view+json" in shown["data"]


def test_a_notebook_without_widgets_shows_a_line(tmp_path):
    shown = outputs(tmp_path, WITHOUT_WIDGETS + BAR)
    assert "counted: 100%" in "".join(one["text"] for one in shown if one["name"] == "stderr")


def test_a_notebook_shows_tables(tmp_path):
    dataset, model, history = (one["data"]["text/html"] for one in outputs(tmp_path, REPRS))
    assert "&lt;b&gt;" in dataset and "conv" in model and "50.00 %" in history


def test_no_bar_in_a_file_without_a_stderr_or_when_quiet(monkeypatch):
    for stderr, quiet in ((io.StringIO(), False), (None, False), (sys.__stderr__, True)):
        monkeypatch.setattr(sys, "stderr", stderr)
        with progress_bar(quiet, total=5) as bar:
            bar.update(5)
        assert bar.disable
    monkeypatch.undo()


@pytest.mark.parametrize("quiet", [False, True])
def test_a_line_in_a_terminal(monkeypatch, quiet):
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar(quiet, total=5, desc="counted") as bar:
        bar.update(5)
    assert ("counted: 100%" in terminal.getvalue()) is not quiet
