"""A folder of four IDX files: found in every spelling, checked as a whole."""

import itertools

import numpy as np
import pytest

from minicnn.data.sources.idx_folder import find_files, load_folder
from minicnn.data.statistics import normalization
from minicnn.errors import DataError
from tests.data.idx_files import NAMES, digits, write_folder, write_idx


@pytest.mark.parametrize(
    ("dot", "ending"), list(itertools.product([False, True], ["", ".gz"])), ids=str
)
def test_every_spelling(tmp_path, dot, ending):
    names = [(n.replace("-idx", ".idx") if dot else n) + ending for n in NAMES]
    arrays = digits()
    train, test = load_folder(write_folder(tmp_path, arrays, names))
    for dataset, images, labels in zip((train, test), arrays[::2], arrays[1::2]):
        np.testing.assert_array_equal(dataset.images[:, 0], images)
        np.testing.assert_array_equal(dataset.labels, labels)


def test_a_folder_with_the_name_of_a_file_is_passed_over(tmp_path):
    """As some programs unpack: the file within a folder of the same name."""
    for name in NAMES:
        (tmp_path / name).mkdir()
    assert find_files(tmp_path) == [None] * 4
    write_folder(tmp_path)
    assert [path.name for path in find_files(tmp_path)] == [f"{n}.gz" for n in NAMES]


def test_the_compressed_file_is_preferred(tmp_path):
    write_folder(tmp_path, digits(seed=1))
    write_folder(tmp_path, digits(seed=2), NAMES)
    train, _ = load_folder(tmp_path)
    np.testing.assert_array_equal(train.images[:, 0], digits(seed=1)[0])


def test_both_sets_are_normalized_as_the_training_set_needs(tmp_path):
    train, test = load_folder(write_folder(tmp_path))
    mean, std = normalization(train)
    assert not np.array_equal(normalization(test)[0], mean)
    for dataset in (train, test):
        np.testing.assert_array_equal(dataset.mean, mean)
        np.testing.assert_array_equal(dataset.std, std)


def test_classes_are_those_of_both_sets(tmp_path):
    images, labels, test_images, test_labels = digits(classes=5)
    test_labels[3] = 7
    write_folder(tmp_path, [images, labels, test_images, test_labels])
    with pytest.warns(UserWarning, match="training set: . of 8 classes have no image"):
        assert [dataset.classes for dataset in load_folder(tmp_path)] == [8, 8]
    assert [dataset.classes for dataset in load_folder(tmp_path, classes=9)] == [9, 9]
    write_folder(tmp_path, digits(classes=3))
    for dataset in load_folder(tmp_path):
        assert dataset.classes == 3


def test_letters_that_are_numbered_from_1(tmp_path):
    """As EMNIST numbers them."""
    images, labels, test_images, test_labels = digits(classes=1)
    write_folder(tmp_path, [images, labels + 1, test_images, test_labels + 1])
    with pytest.warns(UserWarning, match="training set: class 0 has no image") as caught:
        load_folder(tmp_path)
    assert len(caught) == 1


@pytest.mark.parametrize("gone", range(4))
def test_missing_files_are_named(tmp_path, gone):
    write_folder(tmp_path)
    (tmp_path / f"{NAMES[gone]}.gz").unlink()
    with pytest.raises(DataError) as caught:
        load_folder(tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message
    assert [name in message for name in NAMES] == [i == gone for i in range(4)]


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder"):
        load_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="this is no folder"):
        load_folder(write_folder(tmp_path) / f"{NAMES[0]}.gz")


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (0, lambda a: a.astype(np.int16), "unsigned bytes in 3 dimension.*found int16"),
        (0, lambda a: a[:, None], r"found uint8 of shape \(20, 1, 6, 5\)"),
        (1, lambda a: a.astype(np.int32), "unsigned bytes in 1 dimension.*found int32"),
        (2, lambda a: a[0], r"t10k-images.*found uint8 of shape \(6, 5\)"),
        (3, lambda a: a[:, None], r"t10k-labels.*found uint8 of shape \(8, 1\)"),
    ],
)
def test_files_of_the_wrong_kind_are_named(tmp_path, place, change, message):
    arrays = digits()
    arrays[place] = change(arrays[place])
    with pytest.raises(DataError, match=message) as caught:
        load_folder(write_folder(tmp_path, arrays))
    assert f"{NAMES[place]}.gz: " in str(caught.value)


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (1, lambda a: a[:-1], "letters training set: 19 labels for 20 images"),
        (2, lambda a: a[:-1], "letters test set: 8 labels for 7 images"),
        (2, lambda a: a[:, :5], r"of shape \(1, 6, 5\), test images of \(1, 5, 5\)"),
        (3, lambda a: a + 10, "letters test set: 8 labels are outside the classes 0 to 9"),
    ],
)
def test_files_that_do_not_fit_together(tmp_path, place, change, message):
    arrays = digits()
    arrays[place] = change(arrays[place])
    with pytest.raises(DataError, match=message):
        load_folder(write_folder(tmp_path / "letters", arrays), classes=10)


def test_no_images(tmp_path):
    empty = [a[:0] for a in digits()]
    with pytest.raises(DataError, match="at least one"):
        load_folder(write_folder(tmp_path, empty))


def test_a_damaged_file_is_named(tmp_path):
    write_folder(tmp_path)
    path = tmp_path / f"{NAMES[2]}.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=f"{NAMES[2]}.gz: the gzip data"):
        load_folder(tmp_path)
    write_idx(path, digits()[2])
    assert len(load_folder(tmp_path)[1]) == 8
