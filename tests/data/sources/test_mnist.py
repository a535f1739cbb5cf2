"""MNIST as it comes with the project, and where else it is looked for."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import minicnn
from minicnn.data import load_mnist
from minicnn.data.sources import places as where
from minicnn.errors import DataError
from tests.data.idx_files import NAMES, digits, write_folder

CLONE = Path(minicnn.__file__).parents[1] / "datasets" / "mnist"
COUNTS = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}
SEEDS = {"variable": 1, "clone": 2, "cache": 3}


@pytest.fixture(scope="module")
def real():
    return load_mnist(CLONE)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The three places where MNIST is looked for, all empty; the variable is not set."""
    monkeypatch.delenv("MINICNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(minicnn, "__file__", str(tmp_path / "clone" / "minicnn" / "__init__.py"))
    return {
        "variable": tmp_path / "variable",
        "clone": tmp_path / "clone" / "datasets",
        "cache": tmp_path / "cache" / "minicnn",
    }


def put(folder, place):
    """Four files that tell where they were."""
    return write_folder(folder, digits(seed=SEEDS[place]))


def found_in(place, *folder):
    train, _ = load_mnist(*folder)
    return np.array_equal(train.images[:, 0], digits(seed=SEEDS[place])[0])


def test_the_files_are_those_that_were_published():
    lines = (CLONE / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in map(str.split, lines)}
    assert sorted(sums) == sorted(f"{name}.gz" for name in NAMES)
    readme = (CLONE / "README.md").read_text()
    for name, digest in sums.items():
        content = (CLONE / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        assert f"{digest}  {name}" in readme and f"{len(content):,}" in readme


def test_the_real_mnist(real):
    for dataset, part in zip(real, COUNTS):
        count = sum(COUNTS[part])
        assert len(dataset) == count and dataset.shape == (1, 28, 28) and dataset.classes == 10
        np.testing.assert_array_equal(np.rint(dataset.class_frequencies() * count), COUNTS[part])
        assert dataset.mean[0].round(4) == 0.1307 and dataset.std[0].round(4) == 0.3081
        assert dataset.images.max() == 255 and dataset.images.dtype == np.uint8
    assert list(real[0].labels[:10]) == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert list(real[1].labels[:10]) == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_normalized_pixels_of_the_real_mnist(real):
    pixels = real[0].normalized(np.arange(2000))
    assert pixels.min() == pytest.approx(-0.4241, abs=1e-4)
    assert pixels.max() == pytest.approx(2.8215, abs=1e-4)
    second_moment = np.mean((real[0].images / np.float32(255)) ** 2, dtype=np.float64)
    assert second_moment == pytest.approx(0.1120, abs=1e-4)


@pytest.mark.parametrize("inner", ["", "mnist"])
def test_order_of_the_places(places, monkeypatch, inner):
    put(places["cache"] / inner, "cache")
    assert found_in("cache")
    put(places["clone"] / inner, "clone")
    assert found_in("clone")
    put(places["variable"] / inner, "variable")
    assert found_in("clone")
    monkeypatch.setenv("MINICNN_DATA", str(places["variable"]))
    assert found_in("variable")
    monkeypatch.setenv("MINICNN_DATA", "")
    assert found_in("clone")


@pytest.mark.parametrize("inner", ["", "mnist"])
def test_a_given_folder_goes_before_the_variable(places, monkeypatch, inner):
    put(places["clone"], "clone")
    put(places["variable"] / inner, "variable")
    monkeypatch.setenv("MINICNN_DATA", "nowhere")
    assert found_in("variable", places["variable"])
    assert found_in("variable", str(places["variable"]))


def test_the_variable_is_not_silently_passed_over(places, monkeypatch):
    put(places["clone"], "clone")
    places["variable"].mkdir()
    monkeypatch.setenv("MINICNN_DATA", str(places["variable"]))
    with pytest.raises(DataError, match="MINICNN_DATA is set, so nowhere else") as caught:
        load_mnist()
    assert f"{places['variable']}" in str(caught.value)
    assert str(places["clone"]) not in str(caught.value)


def test_a_given_folder_without_the_files(places):
    put(places["clone"], "clone")
    with pytest.raises(DataError, match="variable") as caught:
        load_mnist(places["variable"])
    assert str(places["clone"]) not in str(caught.value)
    assert "is set" not in str(caught.value)


def test_nowhere_says_where_it_looked_and_what_to_do(places):
    with pytest.raises(DataError, match="set MINICNN_DATA to the folder") as caught:
        load_mnist()
    for text in [*NAMES, *(str(places[p] / "mnist") for p in ("clone", "cache"))]:
        assert text in str(caught.value)
    assert str(places["variable"]) not in str(caught.value)


def test_a_folder_with_some_of_the_files_says_which_are_missing(places):
    put(places["clone"] / "mnist", "clone")
    (places["clone"] / "mnist" / f"{NAMES[1]}.gz").unlink()
    with pytest.raises(DataError, match=f"clone/datasets/mnist: found no {NAMES[1]}, with"):
        load_mnist()
    put(places["cache"], "cache")
    assert found_in("cache")


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/minicnn"),
        ("linux", {}, "/home/me/.cache/minicnn"),
        ("linux", {"XDG_CACHE_HOME": ""}, "/home/me/.cache/minicnn"),
        ("darwin", {}, "/home/me/Library/Caches/minicnn"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/minicnn"),
        ("win32", {}, "/home/me/AppData/Local/minicnn"),
    ],
)
def test_the_cache_of_each_system(monkeypatch, platform, variables, expected):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", "USERPROFILE": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(where.sys, "platform", platform)
    assert [path.as_posix() for path in where.cache()] == [expected]


def test_labels_are_digits_and_classes_ten(places):
    put(places["clone"], "clone")
    assert [dataset.classes for dataset in load_mnist()] == [10, 10]
    write_folder(places["clone"], digits(classes=11))
    with pytest.raises(DataError, match="mnist training set: 1 labels are outside .* 0 to 9"):
        load_mnist()
    write_folder(places["clone"], digits(classes=3))
    assert [dataset.classes for dataset in load_mnist()] == [10, 10]
