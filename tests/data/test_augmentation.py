"""Augmentation: a sample looks the same in any batch, thread and order; strings name it."""

import numpy as np
import pytest

from minicnn.data import Batches, Dataset, split
from minicnn.data import augmentation as module
from minicnn.data.augmentation import (
    Augmentation,
    CutMix,
    MixUp,
    Noise,
    RandomCrop,
    RandomFlip,
    from_string,
)
from minicnn.errors import ArgumentError

ALL = "crop:2,flip,rotate:15,translate:1.5,scale:0.1,cutout:3,noise:0.1,mixup:0.2,cutmix"


def dataset(count=50, kind=np.uint8, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (count, 2, 8, 9)).astype(kind)
    whole = Dataset(images, np.arange(count) % 4, mean=[0.4, 0.5], std=0.3)
    return whole


def seen(data, order, size=16, start=0, number=1, text=ALL, **settings):
    """What training sees of each sample, in the order of the data set."""
    batches = Batches(data, size, augmentation=from_string(text), seed=3, **settings)
    images, targets = {}, {}
    done = start * size
    for batch in batches.epoch(order, start, number):
        rows = np.moveaxis(batch.x, -1, 1).reshape(-1, *data.shape)
        for sample, image, target in zip(order[done:], rows, batch.targets(4)):
            images[sample], targets[sample] = image.copy(), target.copy()
        assert not rows[batch.samples :].any()
        done += batch.samples
    return images, targets


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("other", ["order", "batch", "prefetch", "resumed", "parts", "twice"])
def test_a_sample_looks_the_same_however_it_comes(kind, other):
    data, order = dataset(kind=kind), np.arange(50)
    images, targets = seen(data, order)
    settings, rest = {}, order
    if other == "order":
        rest = np.random.default_rng(0).permutation(50)
    elif other == "batch":
        settings["size"] = 7
    elif other == "prefetch":
        settings["prefetch"] = True
    elif other == "resumed":
        settings["start"] = 2
    elif other == "parts":
        rest = order[:20]
    found, goals = seen(data, rest, **settings)
    assert len(found) == {"resumed": 18, "parts": 20}.get(other, 50)
    for sample in found:
        np.testing.assert_array_equal(found[sample], images[sample])
        np.testing.assert_array_equal(goals[sample], targets[sample])


@pytest.mark.parametrize("word", ALL.split(","))
def test_each_epoch_and_seed_has_changes_of_its_own(word):
    data = dataset()
    first, again, later = (seen(data, np.arange(50), number=n, text=word)[0] for n in (1, 1, 2))
    plain, _ = seen(data, np.arange(50), text="noise:1e-9")
    changed = sum(not np.array_equal(first[i], later[i]) for i in range(50))
    assert changed > 15 and sum(not np.array_equal(first[i], plain[i]) for i in range(50)) > 15
    assert all(np.array_equal(first[i], again[i]) for i in range(50))


def test_partners_come_from_the_training_part_alone():
    """A validation image never gets into training, whatever is mixed."""
    labels = np.arange(60) % 2
    images = np.zeros((60, 1, 8, 8), np.float32)
    whole = Dataset(images, labels)
    train, held = split(whole, 20)
    whole.storage[held.indices] = 1e6
    batches = Batches(train, 16, augmentation=Augmentation(MixUp(1.0), CutMix()), seed=0)
    for number in range(1, 20):
        for batch in batches.epoch(np.arange(40), 0, number):
            assert not batch.x.any()


def test_targets_of_a_mixture():
    data = dataset()
    _, targets = seen(data, np.arange(50), text="mixup:1")
    matrix = np.array([targets[i] for i in range(50)])
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=1e-15)
    assert ((matrix > 0).sum(1) == 2).sum() > 20
    _, labels = seen(data, np.arange(50), text="flip")
    assert [labels[i] for i in range(50)] == list(data.labels)


def test_without_mixing_the_pixels_are_of_the_sample():
    data = dataset()
    images, _ = seen(data, np.arange(50), text="crop:2,flip")
    plain = data.normalized(slice(None))
    zero = -data.mean / data.std
    for i in range(50):
        for c in range(2):
            there = set(plain[i, c].ravel().tolist()) | {float(np.float32(zero[c]))}
            near = np.abs(np.array(sorted(there))[:, None] - images[i][c].ravel()).min(0)
            assert near.max() < 1e-6


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_a_crop_is_a_window_of_the_padded_image(mode):
    data = dataset()
    images, _ = seen(data, np.arange(50), text=f"crop:3:{mode},flip")
    height, width = data.shape[1:]
    pixels, found = data.images, set()
    for i in range(50):
        for flip in (1, -1):
            pads = ((0, 0), (3, 3), (3, 3))
            padded = np.pad(pixels[i][..., ::flip], pads, mode=mode)
            windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (1, 2))
            windows = windows.transpose(1, 2, 0, 3, 4)
            known = Dataset(
                windows.reshape(49, *data.shape), np.zeros(49, int), 4, data.mean, data.std
            )
            same = (np.abs(known.normalized(slice(None)) - images[i]) < 1e-6).all((1, 2, 3))
            found |= {(flip, int(n)) for n in np.flatnonzero(same)}
            if same.any():
                break
        else:
            raise AssertionError(f"image {i} is no window")
    assert {flip for flip, _ in found} == {1, -1} and len({n for _, n in found}) > 20


def test_names():
    made = from_string(ALL)
    assert str(made) == ALL.replace("mixup:0.2,cutmix", "mixup:0.2,cutmix:1")
    assert repr(from_string("crop:3, flip")) == repr(Augmentation(RandomCrop(3), RandomFlip()))
    assert from_string(made) is made and made.mixes and not from_string("flip").mixes
    assert str(from_string("crop:2:reflect")) == str(Augmentation(RandomCrop(2, "reflect")))
    assert str(from_string("crop:2:constant")) == "crop:2"
    assert set(module.CHANGES) == {word.partition(":")[0] for word in ALL.split(",")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crp:4", "unknown augmentation 'crp'.*Did you mean 'crop'"),
        ("", "unknown augmentation ''"),
        ("crop:x", "expected a whole number behind the colon"),
        ("crop:2.5", "expected a whole number"),
        ("crop:2:mirror", "unknown padding_mode of RandomCrop 'mirror'"),
        ("crop:2:reflect:1", "unknown padding_mode"),
        ("crop:0", "RandomCrop: padding must be"),
        ("flip:1.5", "RandomFlip: probability must be above 0 and at most 1"),
        ("rotate:nan", "RandomRotation: degrees"),
        ("scale:1", "at most 0.9"),
        ("mixup:2", "MixUp: alpha must be above 0 and at most 1"),
        ("noise:-1", "Noise: deviation must be above 0"),
        ("flip,flip", "each of another kind"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ArgumentError, match=message):
        from_string(text)


@pytest.mark.parametrize("text", ["crop:8", "translate:8", "cutout:9"])
def test_larger_than_the_image(text):
    with pytest.raises(ArgumentError, match=f"{text}: images have 8 x 9 pixels"):
        Batches(dataset(), 8, augmentation=from_string(text))


def test_other_things_than_changes():
    with pytest.raises(ArgumentError, match="a change"):
        Augmentation("flip")
    with pytest.raises(ArgumentError, match="each of another kind, got none"):
        Augmentation()
    with pytest.raises(ArgumentError, match="augmentation"):
        Batches(dataset(), 8, augmentation="flip")
    assert Augmentation(Noise()).changes == (Noise(0.1),)
