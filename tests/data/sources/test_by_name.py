"""Data sets by name or folder."""

from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

from minicnn.data import load
from minicnn.errors import ArgumentError, DataError
from tests.data.idx_files import digits, write_folder


def test_mnist_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_DATA", str(write_folder(tmp_path)))
    train, test = load("mnist")
    assert len(train) == 20 and len(test) == 8 and train.classes == 10
    assert train.class_names == tuple("0123456789")


def test_digits_of_scikit_learn():
    train, test = load("digits")
    given = sklearn.datasets.load_digits()
    assert (len(train), len(test), train.shape, train.classes) == (1438, 359, (1, 8, 8), 10)
    both = np.concatenate([train.indices, test.indices])
    np.testing.assert_array_equal(np.sort(both), np.arange(1797))
    np.testing.assert_array_equal(train.images[:, 0], 15 * given.images[train.indices])
    np.testing.assert_array_equal(test.labels, given.target[test.indices])
    pixels = train.normalized(slice(None))
    assert abs(pixels.mean()) < 1e-5 and abs(pixels.std() - 1) < 1e-5
    assert "digits has no test set: 359 of its 1,797 images" in train.notes[0]


def test_a_folder(tmp_path, monkeypatch):
    write_folder(tmp_path / "letters", digits(classes=4))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    folder = tmp_path / "letters"
    for name in (folder, str(folder), "letters", "./letters", "letters/", "~/letters"):
        train, test = load(name)
        assert train.classes == test.classes == 4
        assert (train.name, test.name) == ("letters training set", "letters test set")
        np.testing.assert_array_equal(train.images[:, 0], digits(classes=4)[0])


@pytest.mark.parametrize("name", ["mnits", "Mnist", "", "cifar", None, "x" * 5000, "~nobody"])
def test_unknown_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(write_folder(tmp_path))
    with pytest.raises(ArgumentError, match="unknown data set.*Known: cifar10, .*mnist") as caught:
        load(name)
    assert ("Did you mean 'mnist'" in str(caught.value)) == (name in ("mnits", "Mnist"))


def test_a_path_that_leads_nowhere_is_missing_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("./letters", "letters/", tmp_path / "mnist", Path("mnist"), "~/no/such/folder"):
        with pytest.raises(DataError, match="no such folder"):
            load(name)
    with pytest.raises(DataError, match="found no train-images"):
        load(tmp_path)
