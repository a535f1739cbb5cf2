"""NumPy's files as data: found by their arrays' names, mapped into memory, nothing executed."""

import numpy as np
import pytest

from minicnn.data import Batches, load
from minicnn.data.sources.numpy_files import PAIRS, SINGLES
from minicnn.errors import DataError
from tests.data.idx_files import digits


@pytest.mark.parametrize("names", PAIRS)
@pytest.mark.parametrize("ending", ["npz", "npy"])
def test_a_training_and_a_test_set(tmp_path, names, ending):
    arrays = dict(zip(names, digits(classes=4)))
    if ending == "npz":
        path = tmp_path / "shapes.npz"
        np.savez_compressed(path, **arrays, val_images=np.zeros(3))
    else:
        path = tmp_path / "shapes"
        path.mkdir()
        for name, array in arrays.items():
            np.save(path / f"{name}.npy", array)
    train, test = load(path)
    assert train.classes == test.classes == 4 and train.name == "shapes training set"
    np.testing.assert_array_equal(train.images[:, 0], digits()[0])
    np.testing.assert_array_equal(test.labels, digits(classes=4)[3])


@pytest.mark.parametrize("names", SINGLES)
def test_one_set_is_split(tmp_path, names):
    images, labels, _, _ = digits(classes=4)
    np.savez(tmp_path / "shapes.npz", **dict(zip(names, (images, labels))))
    train, test = load(str(tmp_path / "shapes.npz"))
    assert (len(train), len(test)) == (16, 4) and "4 of its 20 images" in train.notes[0]


def test_files_are_mapped_into_memory_and_not_read(tmp_path):
    for name, array in zip(PAIRS[0], digits()):
        np.save(tmp_path / f"{name}.npy", array)
    train, _ = load(tmp_path / "x_train.npy")
    base = train.storage
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    [batch] = Batches(train, 20)
    lanes = np.moveaxis(batch.x, -1, 1).reshape(-1, *train.shape)[:20]
    np.testing.assert_array_equal(lanes, train.normalized(slice(None)))


def test_labels_as_keras_has_them(tmp_path):
    images, labels, test_images, test_labels = digits()
    arrays = (images, labels[:, None], test_images, test_labels[:, None])
    np.savez(tmp_path / "x.npz", **dict(zip(PAIRS[0], arrays)))
    np.testing.assert_array_equal(load(tmp_path / "x.npz")[0].labels, labels)


def test_labels_that_are_text_name_the_classes(tmp_path):
    names = np.array(["cat", "dog", "ant"])
    images, labels, test_images, test_labels = digits(classes=3)
    arrays = (images, names[labels], test_images, names[test_labels])
    np.savez(tmp_path / "x.npz", **dict(zip(PAIRS[0], arrays)))
    train, test = load(tmp_path / "x.npz")
    assert train.class_names == ("ant", "cat", "dog")
    for dataset, given in ((train, labels), (test, test_labels)):
        assert [dataset.class_names[i] for i in dataset.labels] == list(names[given])
    arrays[3][2] = "emu"
    np.savez(tmp_path / "x.npz", **dict(zip(PAIRS[0], arrays)))
    with pytest.raises(DataError, match="test set has the class 'emu'"):
        load(tmp_path / "x.npz")


def test_bytes_that_were_saved_as_floats(tmp_path):
    images, labels, test_images, test_labels = digits()
    for scale, kind in ((1, np.uint8), (1 / 255, np.float32), (0.5, np.float32)):
        given = (images * np.float32(scale), labels, test_images * np.float32(scale), test_labels)
        np.savez(tmp_path / "x.npz", **dict(zip(PAIRS[0], given)))
        train, _ = load(tmp_path / "x.npz")
        assert train.storage.dtype == kind
        pixels = train.normalized(slice(None))
        assert abs(pixels.mean()) < 1e-5 and abs(pixels.std() - 1) < 1e-5


def save(path, **arrays):
    np.savez(path, **arrays)


def pickled(path):
    save(path, images=np.array([{}, []], object), labels=np.arange(2))


def channels_last(path):
    save(path, images=np.zeros((20, 8, 8, 3), np.uint8), labels=np.arange(20) % 2)


def other_names(path):
    save(path, pictures=np.zeros((20, 8, 8), np.uint8), kinds=np.arange(20))


def many_classes(path):
    save(path, images=np.zeros((2000, 2, 2), np.uint8), labels=np.arange(2000))


def numbered_by_floats(path):
    save(path, images=np.zeros((20, 8, 8), np.uint8), labels=np.arange(20.0))


def one_image(path):
    save(path, images=np.zeros((1, 8, 8), np.uint8), labels=[0])


def cut(path):
    other_names(path)
    path.write_bytes(path.read_bytes()[:-30])


def no_zip(path):
    path.write_text("hello")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (pickled, "holds Python objects, which are refused"),
        (channels_last, r"look like \(N, H, W, C\).*transpose\(0, 3, 1, 2\)"),
        (other_names, "found arrays called kinds, pictures: expected .* x_train, y_train"),
        (many_classes, "2,000 classes for 2,000 images"),
        (numbered_by_floats, "labels must be whole numbers"),
        (one_image, "1 image and no test set"),
        (cut, "cannot be read"),
        (no_zip, "cannot be read|refused"),
    ],
)
def test_files_that_cannot_be(tmp_path, make, message):
    make(tmp_path / "x.npz")
    with pytest.raises(DataError, match=message):
        load(tmp_path / "x.npz")


def test_labels_from_1_are_warned_of(tmp_path):
    save(tmp_path / "x.npz", images=np.zeros((20, 8, 8), np.uint8), labels=np.arange(20) % 2 + 1)
    with pytest.warns(UserWarning, match="labels - 1 begins at 0"):
        load(tmp_path / "x.npz")


def test_another_file(tmp_path):
    (tmp_path / "data.csv").write_text("1,2\n")
    with pytest.raises(DataError, match=r"expected a folder, or a file .npz or .npy.*file.py:load"):
        load(tmp_path / "data.csv")
