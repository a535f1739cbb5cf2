"""What a notebook shows of a data set, a model and a history: well-formed, complete, escaped."""

from html.parser import HTMLParser

import numpy as np

from minicnn import Sequential
from minicnn.data import Dataset
from minicnn.layers import Dense, Flatten
from tests.training.toys import toy, trainer


class Cells(HTMLParser):
    """The texts of a page's cells, row by row; every element must be closed in its turn."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.text, self._open = [], "", []
        self.feed(page)
        assert not self._open

    def handle_starttag(self, tag, _):
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self._open[-1] in ("td", "th"):
            self.rows[-1].append(data)


def test_a_data_set_shows_its_classes():
    names = ["cat", "<b>dog</b> & co"]
    dataset = Dataset(np.zeros((3, 1, 4, 5)), [0, 1, 1], 2, name="pets", class_names=names)
    assert repr(dataset) == "<pets: 3 images of 1 x 4 x 5, 2 classes>"
    assert Cells(dataset._repr_html_()).rows == [["class", "images"], ["cat", "1"], [names[1], "2"]]


def test_a_model_shows_its_summary():
    model = Sequential(Flatten(), Dense(3))
    assert "Sequential" in Cells(model._repr_html_()).text
    model.initialize((1, 4, 5), seed=0)
    assert Cells(model._repr_html_()).text == model.summary()


def test_a_history_shows_its_epochs():
    run = trainer(epochs=2, validation=toy(seed=4))
    assert Cells(run.history._repr_html_()).rows == [[]]
    header, first, second = Cells(run.fit()._repr_html_()).rows
    assert header[:3] == ["epoch", "step", "train loss"] and "validation accuracy" in header
    assert first[0] == "1" and second[0] == "2"
    at = header.index("test accuracy")
    assert second[at] == f"{100 * run.history[1]['test_accuracy']:.2f} %"
