"""Folders of images: every mode and size, kept in the cache, and each fault named."""

import os

import numpy as np
import pytest
from PIL import Image

from minicnn.data import Batches, load, load_images
from minicnn.data.sources import images as module
from minicnn.data.sources.decode import decode, read_header
from minicnn.errors import ArgumentError, DataError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def pixels(seed, size=(6, 5), channels=3):
    shape = size if channels == 1 else (*size, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path, array, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **settings)


def pets(root, train=4, test=2, channels=3, ending="png"):
    """Cats and dogs; the images of a set by class."""
    for number, (part, count) in enumerate((("train", train), ("test", test))):
        for label, name in enumerate(("cat", "dog")):
            for i in range(count):
                seed = 1000 * number + 100 * label + i
                save(root / part / name / f"{i}.{ending}", pixels(seed, channels=channels))
    return root


def entries(tmp_path):
    folder = tmp_path / "cache" / "minicnn" / "images"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_a_folder_with_a_training_and_a_test_set(tmp_path):
    train, test = load(pets(tmp_path / "pets"))
    assert (train.shape, train.classes, train.class_names) == ((3, 6, 5), 2, ("cat", "dog"))
    assert (train.name, test.name) == ("pets training set", "pets test set")
    np.testing.assert_array_equal(train.labels, [0, 1] * 4)  # any first images are of all classes
    np.testing.assert_array_equal(test.labels, [0, 1] * 2)
    for i in range(4):
        np.testing.assert_array_equal(train.images[2 * i + 1], pixels(100 + i).transpose(2, 0, 1))
    np.testing.assert_array_equal(test.images[3], pixels(1101).transpose(2, 0, 1))
    scaled = train.normalized(slice(None)).astype(np.float64)
    np.testing.assert_allclose(scaled.mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std((0, 2, 3)), 1, rtol=1e-6)
    assert train.notes == ()


def test_a_folder_of_classes_alone_is_split_class_by_class(tmp_path):
    for name, count in (("ant", 10), ("bee", 30)):
        for i in range(count):
            save(tmp_path / "insects" / name / "more" / f"{i}.png", pixels(count + i, channels=1))
    train, test = load(tmp_path / "insects")
    assert train.shape == (1, 6, 5)
    assert list(np.bincount(train.labels)) == [8, 24] and list(np.bincount(test.labels)) == [2, 6]
    assert "8 of its 40 images" in train.notes[0]
    again, _ = load(tmp_path / "insects")
    np.testing.assert_array_equal(again.images, train.images)
    np.testing.assert_array_equal(again.mean, train.mean)


def test_the_first_images_have_a_share_of_each_class(tmp_path):
    for name, count in (("ant", 8), ("bee", 24), ("cow", 4)):
        for i in range(count):
            save(tmp_path / "animals" / "train" / name / f"{i}.png", pixels(i, channels=1))
            save(tmp_path / "animals" / "test" / name / f"{i}.png", pixels(i, channels=1))
    train, _ = load(tmp_path / "animals")
    for n in (9, 18, 27):
        assert list(np.bincount(train.labels[:n])) == [2 * n // 9, 6 * n // 9, n // 9]


def test_the_second_time_nothing_is_decoded(tmp_path, monkeypatch):
    first = load(pets(tmp_path / "pets"))
    monkeypatch.setattr(module, "decode", None)
    second = load(tmp_path / "pets")
    for one, other in zip(first, second):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.std, other.std)
        assert one.class_names == other.class_names and one.notes == other.notes
    assert isinstance(second[0].storage.base, np.memmap) and len(entries(tmp_path)) == 1


def test_a_change_in_the_folder_is_seen(tmp_path):
    root = pets(tmp_path / "pets")
    load(root)
    save(root / "train" / "cat" / "0.png", pixels(9))
    os.utime(root / "train" / "cat" / "0.png", ns=(1, 1))
    np.testing.assert_array_equal(load(root)[0].images[0], pixels(9).transpose(2, 0, 1))
    (root / "train" / "dog" / "3.png").unlink()
    assert len(load(root)[0]) == 7
    assert len(entries(tmp_path)) == 1
    assert len(list(entries(tmp_path)[0].parent.iterdir())) == 1  # nothing half-done beside it


def test_batches_come_from_the_file(tmp_path):
    train, _ = load(pets(tmp_path / "pets"))
    [batch] = Batches(train, 8)
    lanes = np.moveaxis(batch.x, -1, 1).reshape(-1, *train.shape)[:8]
    np.testing.assert_array_equal(lanes, train.normalized(slice(None)))


def test_images_of_different_sizes(tmp_path):
    root = tmp_path / "pets"
    for i, size in enumerate([(40, 60), (30, 30), (90, 50), (31, 200)]):
        save(root / "train" / "cat" / f"{i}.png", np.full((*size, 3), 40 * i, np.uint8))
    save(root / "test" / "cat" / "0.png", np.full((70, 70, 3), 7, np.uint8))
    train, test = load(root)
    assert train.shape == (3, 30, 30) and len(train.notes) == 1
    assert "30 x 30 to 31 x 200 pixels" in train.notes[0] and "--image-size" in train.notes[0]
    for i in range(4):
        assert (train.images[i] == 40 * i).all()
    assert load(root, image_size=(8, 12))[0].shape == (3, 8, 12)
    assert (load(root, image_size=16)[1].images == 7).all()


def test_the_middle_is_taken(tmp_path):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    save(tmp_path / "wide.png", wide)
    np.testing.assert_array_equal(
        decode(tmp_path / "wide.png", 3, (10, 10)), np.full((3, 10, 10), 200)
    )


MODES = {
    "1": lambda: Image.fromarray(pixels(1, channels=1)).convert("1"),
    "L": lambda: Image.fromarray(pixels(1, channels=1)),
    "P": lambda: Image.fromarray(pixels(1)).convert("P", palette=Image.Palette.ADAPTIVE),
    "RGB": lambda: Image.fromarray(pixels(1)),
    "RGBA": lambda: Image.fromarray(pixels(1, channels=4)),
    "CMYK": lambda: Image.fromarray(pixels(1)).convert("CMYK"),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode(tmp_path, mode):
    """Held against Pillow's own conversion."""
    image, path = MODES[mode](), tmp_path / f"image.{'tif' if mode == 'CMYK' else 'png'}"
    image.save(path)
    header = read_header(path)
    assert (header.width, header.height) == (5, 6) and header.grey == (mode in "1L")
    assert header.alpha == (mode == "RGBA") and not header.deep
    expected = image.convert("RGB")
    if mode == "RGBA":
        array = np.asarray(image).astype(float)
        alpha = array[..., 3:] / 255
        expected = np.rint(array[..., :3] * alpha + 255 * (1 - alpha))
    found = decode(path, 3)
    np.testing.assert_allclose(found.transpose(1, 2, 0), np.asarray(expected), atol=1)
    assert decode(path, 1).shape == (1, 6, 5)


def test_sixteen_bits(tmp_path):
    deep = np.linspace(0, 65535, 30).astype(np.uint16).reshape(6, 5)
    save(tmp_path / "deep.png", deep)
    assert read_header(tmp_path / "deep.png").deep
    np.testing.assert_array_equal(decode(tmp_path / "deep.png", 1)[0], np.rint(deep / 257))


def test_a_photograph_that_lies_on_its_side(tmp_path):
    image, exif = Image.fromarray(pixels(1)), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    image.save(tmp_path / "side.png", exif=exif)
    header = read_header(tmp_path / "side.png")
    assert (header.height, header.width) == (5, 6)
    upright = np.rot90(pixels(1), -1).transpose(2, 0, 1)
    np.testing.assert_array_equal(decode(tmp_path / "side.png", 3), upright)


@pytest.mark.parametrize("ending", ["jpg", "webp", "bmp", "gif", "tif"])
def test_other_formats(tmp_path, ending):
    train, _ = load(pets(tmp_path / "pets", ending=ending))
    assert train.shape == (3, 6, 5) and len(train) == 8


def test_mixed_modes_become_colour_and_it_is_said(tmp_path):
    root = pets(tmp_path / "pets")
    save(root / "train" / "cat" / "9.png", pixels(5, channels=1))
    save(root / "train" / "dog" / "9.png", pixels(5, channels=4))
    train, _ = load(root)
    assert train.shape[0] == 3 and len(train) == 10
    assert train.notes == (
        "1 images are grey: they were read as colour.",
        "1 images are partly transparent: they were put on white.",
    )


def test_hidden_files_are_passed_over(tmp_path):
    root = pets(tmp_path / "pets")
    for name in (".DS_Store", "Thumbs.db"):
        (root / "train" / "cat" / name).write_bytes(b"x")
    (root / ".git").mkdir()
    (root / "train" / ".cache").mkdir()
    assert len(load(root)[0]) == 8


def text(root):
    (root / "train" / "cat" / "notes.txt").write_text("the third one is blurred")


def cut(root):
    path = root / "train" / "cat" / "1.png"
    path.write_bytes(path.read_bytes()[:-40])


def empty_file(root):
    (root / "train" / "dog" / "2.png").write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "name", "left"),
    [(text, "notes.txt", 8), (cut, "1.png", 7), (empty_file, "2.png", 7)],
)
def test_what_is_no_image_is_named_and_counted(tmp_path, damage, name, left):
    root = pets(tmp_path / "pets")
    damage(root)
    with pytest.raises(DataError, match=r"1 of 1\d files cannot be read .*--skip-bad") as caught:
        load(root)
    assert name in str(caught.value) and entries(tmp_path) == []
    train, _ = load(root, skip_bad=True)
    assert len(train) == left and name in train.notes[0] and "were left out" in train.notes[0]
    assert len(load(root, skip_bad=True)[0]) == left


def test_several_bad_files_are_counted(tmp_path):
    root = pets(tmp_path / "pets")
    for damage in (text, cut, empty_file):
        damage(root)
    with pytest.raises(DataError, match="3 of 13 files"):
        load(root)


def test_a_class_of_which_nothing_is_left(tmp_path):
    root = pets(tmp_path / "pets", train=1)
    empty_file(root)
    (root / "train" / "dog" / "0.png").unlink()
    with pytest.raises(DataError, match="no image of the class dog can be read"):
        load(root, skip_bad=True)
    assert entries(tmp_path) == []


def empty_class(root):
    (root / "train" / "emu").mkdir()
    return "emu: the class is empty"


def unknown_class(root):
    (root / "test" / "emu").mkdir()
    return "emu: the training set has no class of this name: it has cat, dog"


def loop(root):
    (root / "train" / "cat" / "again").symlink_to(root / "train")
    return "again.*this link leads back to"


def no_classes(root):
    for name in ("cat", "dog"):
        for file in (root / "train" / name).iterdir():
            file.rename(root / "train" / f"{name}{file.name}")
        (root / "train" / name).rmdir()
    return "found no folder in it: expected one for each class"


@pytest.mark.parametrize("damage", [empty_class, unknown_class, loop, no_classes])
def test_folders_that_cannot_be(tmp_path, damage):
    root = pets(tmp_path / "pets")
    message = damage(root)
    with pytest.raises(DataError, match=message):
        load(root)
    assert entries(tmp_path) == []


def test_a_class_that_the_test_set_lacks_is_said(tmp_path):
    root = pets(tmp_path / "pets")
    save(root / "train" / "emu" / "0.png", pixels(3))
    train, test = load(root)
    assert train.classes == test.classes == 3
    assert train.notes == ("the test set has no image of emu.",)


def test_one_image(tmp_path):
    save(tmp_path / "pets" / "cat" / "0.png", pixels(3))
    with pytest.raises(DataError, match="pets has 1 image and no test set"):
        load(tmp_path / "pets")


def test_as_many_classes_as_images(tmp_path, monkeypatch):
    monkeypatch.setattr("minicnn.data.sources.assemble.MANY", 5)
    for i in range(8):
        save(tmp_path / "pets" / f"{i}" / "0.png", pixels(i))
    with pytest.raises(DataError, match="8 classes for 8 images"):
        load(tmp_path / "pets")


@pytest.mark.parametrize("size", [0, "big", (3,), (4, -1), 2.5])
def test_sizes_that_are_none(tmp_path, size):
    with pytest.raises(ArgumentError, match="image_size"):
        load_images(pets(tmp_path / "pets"), size)


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    """/dev/full: every write to it fails as on a full disk."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    monkeypatch.setattr(module, "open", lambda path, mode: open("/dev/full", mode), raising=False)
    with pytest.raises(DataError, match="the disk is full: make room"):
        load(pets(tmp_path / "pets"))
    assert entries(tmp_path) == []


def test_a_cache_that_may_not_be_written_to(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot be written.*XDG_CACHE_HOME"):
        load(pets(tmp_path / "pets"))
