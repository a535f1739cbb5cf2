"""Fine-tuning takes all weights but a head of another shape, or none at all."""

import hashlib
import json

import numpy as np
import pytest

from minicnn.errors import ArgumentError, DataError
from minicnn.lab.ablation.grid import Grid
from minicnn.lab.ablation.register import Register
from minicnn.layers import BatchNorm, Conv2d, Dense, Flatten, ReLU
from minicnn.models import Sequential, zoo
from minicnn.training import save_weights
from minicnn.training.runs.fine_tuning import fine_tune
from minicnn.training.runs.resume import resume
from minicnn.training.runs.run import Run
from minicnn.training.runs.settings import Settings
from minicnn.training.runs.weights import weights_digest
from tests.data.idx_files import digits, write_folder


def a_model(classes=3, channels=4, seed=0):
    model = Sequential(Conv2d(channels, 3), BatchNorm(), ReLU(), Flatten(), Dense(classes))
    model.initialize((1, 6, 6), seed=seed)
    return model


@pytest.fixture
def saved(tmp_path):
    model = a_model(seed=1)
    model.all_layers()[1].state()["running_mean"][...] = 7
    save_weights(model, tmp_path / "weights.safetensors")
    return model, tmp_path / "weights.safetensors"


def test_all_weights_are_taken_where_they_fit(saved):
    other, path = a_model(), saved[1]
    assert fine_tune(other, path) == []
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, saved[0].state_dict()[name])


def test_a_head_of_another_shape_stays(saved):
    other, fresh = a_model(classes=5), a_model(classes=5)
    assert fine_tune(other, saved[1]) == ["4.bias", "4.weight"]
    for name, array in other.state_dict().items():
        expected = fresh if name.startswith("4.") else saved[0]
        np.testing.assert_array_equal(array, expected.state_dict()[name])


def test_other_layers_are_named_and_nothing_changes(saved):
    wide = a_model(channels=6)
    with pytest.raises(ArgumentError, match=r"of another shape: 0.bias 4 for 6, .*3 more"):
        fine_tune(wide, saved[1])
    for name, array in wide.state_dict().items():
        np.testing.assert_array_equal(array, a_model(channels=6).state_dict()[name])
    shorter = Sequential(Conv2d(4, 3), Flatten(), Dense(3))
    longer = Sequential(Conv2d(4, 3), BatchNorm(), Conv2d(4, 3), BatchNorm(), Flatten(), Dense(3))
    for model, words in (
        (shorter, r"only in the file: 1.bias, 1.running_mean, 1.running_var and 3 more"),
        (longer, r"missing in the file: 2.bias, 2.weight, 3.bias and 3 more; only in the file: 4."),
    ):
        model.initialize((1, 6, 6))
        with pytest.raises(ArgumentError, match=words):
            fine_tune(model, saved[1])
    with pytest.raises(DataError, match="no such run"):
        fine_tune(a_model(), "nowhere")


def test_a_run_begins_with_the_weights_and_goes_on_without_the_file(tmp_path, monkeypatch, saved):
    def build(name, classes=10, activation="relu", init="msra", algorithm="auto"):
        return Sequential(Conv2d(4, 3), BatchNorm(), ReLU(), Flatten(), Dense(classes, init=init))

    monkeypatch.setattr(zoo, "build", build)
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "data", digits(train=50, test=21))
    first = Settings(data="./data", epochs=1, batch_size=16, validation=10)
    Run(first, "first").train(quiet=True)
    settings = Settings(
        data="./data", epochs=2, batch_size=16, weights="first", seed=5, lr=1e-3,
        groups=["0.*:frozen"], schedule="constant", validation=10, early_stopping=5, plateau=1,
        drop_last=True,
    )  # fmt: skip
    run = Run(settings, "second")
    before = run.model.state_dict()
    run.train(quiet=True)
    kept = run.model.state_dict()["0.conv2d.weight"]
    np.testing.assert_array_equal(kept, before["0.conv2d.weight"])
    for name in ("best.safetensors", "model.safetensors"):
        (tmp_path / "first" / name).unlink()
    again = resume("second", {"epochs": 3})
    again.train(quiet=True)
    np.testing.assert_array_equal(again.model.state_dict()["0.conv2d.weight"], kept)
    with pytest.raises(DataError, match="first"):
        Run(settings, "third")
    assert not (tmp_path / "third").exists()


def test_a_run_keeps_the_digest_of_the_weights_that_it_began_with(tmp_path, monkeypatch, saved):
    def build(name, classes=10, activation="relu", init="msra", algorithm="auto"):
        return Sequential(Conv2d(4, 3), BatchNorm(), ReLU(), Flatten(), Dense(classes, init=init))

    monkeypatch.setattr(zoo, "build", build)
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "data", digits(train=50, test=21))
    Run(Settings(data="./data", epochs=1, batch_size=16), "first").train(quiet=True)
    file, plain = tmp_path / "first" / "model.safetensors", {"data": "./data", "batch_size": 16}
    settings = Settings(**plain, epochs=2, weights="first", schedule="constant")
    config = json.loads((tmp_path / "first" / "config.json").read_text())
    assert "weights_sha256" not in config
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    for name in ("second", "killed"):
        run = Run(settings, name)
        config = json.loads((tmp_path / name / "config.json").read_text())
        assert config["weights_sha256"] == digest == weights_digest("first")
        if name == "second":
            run.train(quiet=True)
        run.folder.release()
    axes, base = {"lr": (0.01, 0.1)}, {**plain, "epochs": 1, "weights": "first"}
    register = Register(Grid(axes, base=base))
    other = file.read_bytes()
    changed = Run(Settings(data="./data", epochs=1, batch_size=16, seed=9), "ninth").model
    save_weights(changed, file)
    with pytest.raises(ArgumentError, match=f"changed since.*{digest[:12]}"):
        resume("killed")  # which has no checkpoint, so it would begin with it
    with pytest.raises(ArgumentError, match="changed since"):
        resume("second", {"epochs": 3, "weights": "first"})
    with pytest.raises(ArgumentError, match="first has changed since the comparison"):
        register.grow(Grid(axes, base=base), tmp_path)
    resume("second", {"epochs": 3}).folder.release()  # which has all that it needs
    file.write_bytes(other)
    resume("killed").folder.release()


def test_a_validation_set_is_asked_for():
    for name in ("early_stopping", "plateau"):
        with pytest.raises(ArgumentError, match="go by a validation set"):
            Settings(**{name: 3})
