"""Data that change, vanish or lie while they are used."""

import os
import re
import shutil

import numpy as np
import pytest

from minicnn import data
from minicnn.data import Dataset, idx
from minicnn.errors import ArgumentError, DataError, DivergedError
from minicnn.training.callbacks.nan_guard import NanGuard
from tests.data.idx_files import NAMES, digits, write_folder, write_idx
from tests.training.toys import CLASSES, At, dense_model, toy, trainer


def weights(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


@pytest.mark.parametrize("fault", ["vanish", "change", "shrink"])
def test_files_are_read_whole_so_that_nothing_done_to_them_matters_to_a_run(fault, tmp_path):
    folder = write_folder(tmp_path / "data", digits(train=50, test=20, classes=CLASSES), NAMES)

    def do_it(trainer):
        if fault == "vanish":
            shutil.rmtree(folder)
        for name in NAMES if fault != "vanish" else []:
            with open(folder / name, "r+b") as file:  # the same file, as a memory map would see it
                file.write(b"\xff" * 40) if fault == "change" else file.truncate(20)

    def train(*callbacks):
        train_set, test_set = data.load(folder)
        model = dense_model(8, shape=train_set.shape)
        history = trainer(model, train=train_set, test=test_set, callbacks=callbacks).fit()
        return weights(model), [line["test_loss"] for line in history]

    undisturbed = train()
    assert train(At("on_step_end", lambda t: t.step == 1, do_it)) == undisturbed
    with pytest.raises((DataError, ArgumentError)):
        data.load(folder)


@pytest.mark.parametrize("grows", [False, True])
@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_a_file_that_changes_while_it_is_read(name, grows, tmp_path, monkeypatch):
    path = tmp_path / name
    write_idx(path, np.arange(200_000, dtype=np.uint8).reshape(500, 20, 20))
    size, real = path.stat().st_size, os.fstat

    def change(number):
        """After its length was looked at."""
        found = real(number)
        os.truncate(path, size + 7 if grows else size - 100)
        return found

    monkeypatch.setattr(idx.os, "fstat", change)
    with pytest.raises(DataError, match="Fetch it again") as caught:
        idx.read_idx(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_refused_with_the_place_of_the_first(value):
    images = toy(40).images.copy()
    images[7, 0, 2, 1] = images[9] = value
    with pytest.raises(DataError, match=r"17 pixels are NaN.*at index \(7, 0, 2, 1\)"):
        Dataset(images, toy(40).labels)


def test_pixels_that_stop_being_numbers_during_training_are_named():
    """The array is the caller's: who changes it is told of it all the same."""
    train = toy(40)
    spoil = At("on_step_end", lambda t: t.step == 3, lambda t: train.images.fill(np.nan))
    with pytest.raises(DivergedError, match="in step 4.*starts in the images, which hold NaN"):
        trainer(train=train, callbacks=[spoil, NanGuard()]).fit()


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.array([0, 1, 3]), "1 labels are outside the classes 0 to 2, the first is 3 at index 2"),
        (np.array([0, -1, 2]), "the first is -1 at index 1"),
        (np.array([0.0, 1.0, 2.0]), "labels must be whole numbers"),
        (np.array([0, np.nan, 2]), "labels must be whole numbers"),
        (np.array([True, False, True]), "labels must be whole numbers"),
        (np.array(["0", "1", "2"]), "labels must be whole numbers"),
        (np.array([0, 1]), "2 labels for 3 images"),
        (np.eye(3, dtype=int), "labels must be whole numbers of shape"),
    ],
)
def test_labels_that_are_no_classes(labels, words):
    with pytest.raises(DataError, match=words):
        Dataset(toy(3).images, labels, classes=CLASSES)


@pytest.mark.parametrize("label", [CLASSES, -1, 2**40])
def test_labels_that_leave_the_classes_during_training(label):
    """No kernel may write where they point."""
    train = toy(40)
    spoil = At("on_step_end", lambda t: t.step == 4, lambda t: train.labels.fill(label))
    run = trainer(train=train, callbacks=[spoil])
    with pytest.raises(ArgumentError, match=f"labels must be from 0 to 2.*got {label} to"):
        run.fit()
    assert run.step in (4, 5)  # a batch may have been packed ahead


@pytest.mark.parametrize("lr", [1e30, 1e5])
def test_divergence_is_a_sentence_and_no_warning(lr):
    model = dense_model(8, activation="identity")
    with pytest.raises(DivergedError, match=re.escape(f"smaller learning rate than {lr:g}, or")):
        trainer(model, lr=lr, epochs=40, callbacks=[NanGuard()]).fit()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("index", range(4))
def test_a_weight_that_is_no_number_before_the_first_step(value, index):
    """Whichever parameter it is, and whether or not the loss shows it."""
    model = dense_model(8, activation="relu")
    parameter = model.parameters()[index]
    parameter.value.flat[-1] = value
    layer, name = parameter.name.rsplit(".", 1)
    with pytest.raises(DivergedError, match=f"layer {layer}, whose {name} holds"):
        trainer(model, callbacks=[NanGuard()]).fit()
