"""The settings of a run and their defaults."""

import numba
import numpy as np
import pytest

from minicnn import optimizers
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError
from minicnn.layers import Tanh
from minicnn.parameter import Parameter
from minicnn.training.runs.settings import Settings
from tests.data.idx_files import digits
from tests.training.toys import toy


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_defaults_follow_the_optimizer(name):
    settings = Settings(optimizer=name)
    known = optimizers.settings(name)
    assert settings.lr == known["lr"]
    assert settings.momentum == (0.9 if "momentum" in known else None)
    assert settings.weight_decay == settings.optimizer_settings()["weight_decay"] == 0
    assert settings.optimizer_settings().keys() == known.keys()


def test_given_settings_reach_the_optimizer():
    settings = Settings(optimizer="rmsprop", lr=0.3, momentum=0.2, weight_decay=0.1)
    optimizer = settings.make_optimizer([Parameter([[1.0]])])
    assert (optimizer.lr, optimizer.momentum, optimizer.weight_decay) == (0.3, 0.2, 0.1)


def test_given_settings_reach_the_loss():
    assert Settings(label_smoothing=0.25).make_loss().label_smoothing == 0.25


def test_weights_of_classes_reach_the_loss():
    train = toy(40, classes=4)
    train = train.take(np.flatnonzero(train.labels != 2))
    assert Settings().make_loss(train).weight is None
    weight = Settings(class_weights="balanced").make_loss(train).weight
    counts = np.bincount(train.labels, minlength=4)
    np.testing.assert_allclose(weight[counts > 0] * counts[counts > 0], len(train) / 4)
    assert weight[2] == 0
    settings = Settings(class_weights="1,0.5,0,2")
    assert settings.make_loss(train).weight.tolist() == [1, 0.5, 0, 2]
    assert Settings.from_dict(settings.as_dict()) == settings
    assert "class_weights" not in Settings().as_dict()
    with pytest.raises(ArgumentError, match="each of the 4 scores, got 2"):
        Settings(class_weights="1,2").make_loss(train)


def test_given_settings_reach_the_model():
    def model(**given):
        settings = Settings(**{"model": "mlp:4", **given})
        return settings.make_model(toy(classes=7))

    first, again, other = (model(seed=seed).parameters()[0].value for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
    assert model().output_shape == (7,) and model().input_shape == (1, 4, 4)
    assert isinstance(model(activation="tanh").layers[2], Tanh)
    assert (model(init="constant:0.5").parameters()[0].value == 0.5).all()


def test_equal_settings_are_equal():
    assert Settings() == Settings(lr=optimizers.settings("sgd")["lr"], momentum=0.9)
    assert Settings(**Settings(seed=3).as_dict()) == Settings(seed=3)
    assert Settings().threads == numba.config.NUMBA_NUM_THREADS


def test_the_name_can_be_a_folder():
    assert Settings().name() == "lenet5-relu-msra-sgd-0"
    settings = Settings(model="mlp:400x5", activation="tanh", init="uniform:-0.05,0.05", seed=2)
    assert settings.name() == "mlp_400x5-tanh-uniform_-0.05_0.05-sgd-2"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"init": "msr"}, "'msra'"),
        ({"model": "lenet"}, "'lenet5'"),
        ({"activation": "rely"}, "'relu'"),
        ({"optimizer": "adm"}, "'adam'"),
        ({"schedule": "cosin"}, "'cosine'"),
        ({"optimizer": "adam", "momentum": 0.9}, "adam takes no momentum"),
        ({"momentum": 1.0}, r"momentum must be a number in \[0, 1\), got 1.0"),
        ({"lr": 0.0}, "lr must be a number above 0, got 0"),
        ({"lr": float("inf")}, "lr must be"),
        ({"weight_decay": -0.1}, "weight_decay must be"),
        ({"label_smoothing": 1.0}, "label_smoothing must be"),
        ({"class_weights": "even"}, "class_weights must be balanced or numbers between commas"),
        ({"class_weights": "1,-1"}, "class_weights must hold finite numbers from 0 on, got -1"),
        ({"class_weights": [1, 2]}, "text"),
        ({"epochs": 0}, "epochs must be an integer of at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"limit": 0}, "limit must be an integer of at least 1, got 0"),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ({"seed": 0.5}, "seed must be"),
        ({"threads": 0}, "threads must be an integer of at least 1, got 0"),
        ({"threads": 10**6}, "threads must be from 1 to .* got 1000000"),
    ],
)
def test_what_cannot_work(given, message):
    with pytest.raises(ArgumentError, match=message):
        Settings(**given)


def test_lsuv_sees_the_first_images():
    images, labels, _, _ = digits(200, size=(12, 12))
    dataset = Dataset(images, labels)
    model = Settings(init="lsuv", model="plain8").make_model(dataset)
    scores = model.predict(dataset.normalized(range(200)))
    assert 0.8 < scores.var() < 1.2
    plain = Settings(init="orthogonal", model="plain8").make_model(dataset)
    assert not 0.8 < plain.predict(dataset.normalized(range(200))).var() < 1.2


@pytest.mark.parametrize("name", ["epochs", "batch_size", "limit", "lr", "weight_decay"])
def test_numbers_that_no_float_holds(name):
    with pytest.raises(ArgumentError, match="at most|must be a number"):
        Settings(**{name: 10**400})


def test_a_limit_that_loses_classes_is_told(tmp_path):
    labels = np.repeat(np.arange(4), 10)
    path = tmp_path / "sorted.npz"
    arrays = dict(x_train=np.zeros((40, 5, 5), np.uint8), y_train=labels)
    np.savez(path, **arrays, x_test=np.zeros((4, 5, 5), np.uint8), y_test=np.arange(4))
    (note,) = Settings(data=str(path), limit=20).load_data().train.notes
    assert "the first 20 images are of 2 of the 4 classes; none is of 2" in note
    assert Settings(data=str(path), limit=31).load_data().train.notes == ()
