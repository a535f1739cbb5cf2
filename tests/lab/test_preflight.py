"""Pre-flight: what it says of networks whose fate is known, and its commands."""

import numpy as np
import pytest

from experiments import preflight_evaluation
from minicnn import Sequential
from minicnn.cli.main import main
from minicnn.errors import ArgumentError
from minicnn.lab import preflight
from minicnn.lab.ablation.ablation import Ablation
from minicnn.layers import Dense, Flatten, ReLU, Tanh
from minicnn.losses import HuberLoss, SoftmaxCrossEntropy
from minicnn.models import Branches, Residual, zoo
from minicnn.optimizers import SGD
from tests.lab.ablation.small_grid import small_grid, write_data
from tests.training.toys import dense_model, toy


def judge(name, init, activation="relu", shape=(1, 14, 14)):
    model = zoo.build(name, init=init, activation=activation)
    model.initialize(shape, seed=0)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(64, *shape)).astype(np.float32)
    return preflight.preflight(model, images, rng.integers(0, 10, 64))


@pytest.mark.parametrize(
    ("name", "init", "activation", "kind"),
    [
        ("plain10", "msra", "relu", "fine"),
        ("plain10", "xavier", "tanh", "fine"),
        ("plain30", "xavier", "relu", "fading signal"),
        ("plain10", "zeros", "relu", "dead"),
        ("mlp:20x3", "zeros", "sigmoid", "tied"),
        ("mlp:20x3", "constant:0.1", "relu", "tied"),
        ("mlp:20x3", "normal:10", "relu", "exploding"),
        ("plain10", "normal:1", "tanh", "exploding"),
        ("mlp:100x6", "normal:0.2", "sigmoid", "fading gradient"),
        ("resnet8", "msra", "relu", "fine"),
        ("inception", "msra", "relu", "fine"),
        ("inception", "zeros", "relu", "dead"),
        ("inception", "constant:0.05", "sigmoid", "tied"),
        ("densenet7", "xavier", "tanh", "fine"),
        ("densenet7", "zeros", "relu", "dead"),
        ("densenet7", "constant:0.1", "relu", "tied"),
        ("unet", "msra", "relu", "fine"),
        ("unet", "zeros", "sigmoid", "tied"),
        ("unet", "normal:1e-4", "relu", "fading signal"),
    ],
)
def test_fates_that_are_known(name, init, activation, kind):
    found = judge(name, init, activation, (1, 16, 16) if name == "unet" else (1, 14, 14))
    assert found.kind == kind, str(found)
    assert found.trains == (kind == "fine") and ("will train" in str(found)) == found.trains


def test_a_fading_signal_begins_where_a_tenth_is_left():
    found = judge("plain30", "xavier")
    rms = {layer.name: layer.output.rms for layer in found.record.layers}
    names = [name for name in rms if "conv" in name or "dense" in name]
    before = names[: names.index(found.layer)]
    assert rms[found.layer] < 0.11 and all(rms[name] > 0.09 for name in before)


def test_a_fading_gradient_begins_from_behind():
    found = judge("mlp:100x6", "normal:0.2", "sigmoid")
    delta = {layer.name: layer.delta.rms for layer in found.record.layers}
    names = [name for name in delta if "dense" in name][::-1]
    at = names.index(found.layer)
    assert delta[names[at]] < 0.1 * delta[names[0]]
    assert all(delta[name] >= 0.1 * delta[names[0]] for name in names[:at])


def test_weights_that_overflow_explode():
    assert judge("mlp:20x3", "normal:1e20").kind == "exploding"


def test_a_model_without_weights():
    model = Sequential(Flatten())
    model.initialize((1, 2, 5))
    with pytest.raises(ArgumentError, match="no weights"):
        preflight.preflight(model, np.ones((4, 1, 2, 5), np.float32), np.arange(4))


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--init", "msra"], 0, "mlp:8 with msra will train: scores vary by"),
        (["--init", "zeros"], 1, "With msra it would train"),
        (["--init", "zeros", "--activation", "tanh"], 1, "With xavier it would train"),
        (["--lr", "500"], 1, "With --lr "),
        (["--lr", "1e-9", "--epochs", "40"], 1, "With --lr 0.03 it would train"),
        (["--weight-decay", "90"], 1, "With --weight-decay 0 it would train"),
        (["--init", "zeros", "--lr", "50"], 1, "With msra and --lr "),
    ],
)
def test_the_command(data, capsys, words, code, said):
    options = ["--preflight", "--data", "./data", "--model", "mlp:8", *words]
    assert main(options) == code
    printed = capsys.readouterr().out
    assert said in printed and "delta rms" in printed  # the table
    assert main([*options, "--quiet"]) == code
    assert "delta rms" not in capsys.readouterr().out


def test_nothing_is_written_and_nothing_else_is_asked(data, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    assert main(["--preflight", "--data", "./data", "--model", "mlp:8"]) == 0
    assert sorted(tmp_path.rglob("*")) == before
    for words in (["--out", "x"], ["--profile"], ["--ablate", "init=msra"]):
        assert main(["--preflight", "--data", "./data", *words]) == 2
        assert "leave" in capsys.readouterr().err


def test_scores_compare_verdicts_with_trainings(data):
    grid = small_grid({"init": ["zeros", "msra"]}, seeds=2, lr=1e-9)
    scored = preflight_evaluation.score(grid, Ablation(grid, "out", 1).run(quiet=True))
    assert [one.found.trains for one in scored] == [False, True, False, True]
    text, share = preflight_evaluation.report(scored)
    assert not any(one.learned for one in scored)  # so small a learning rate changes nothing
    assert share == 0.5 and text.count("miss: ") == 2 and "2 of 4 verdicts are right" in text


def test_a_training_that_hardly_moves_is_scored_as_such(data):
    grid = small_grid({"lr": [1e-9, 50.0]}, seeds=1, epochs=6)
    scored = preflight_evaluation.score(grid, Ablation(grid, "out", 1).run(quiet=True))
    assert [one.found.kind for one in scored] == ["too slow", "too fast"]
    assert preflight_evaluation.report(scored)[1] == 1.0


def judged(*layers):
    model = Sequential(Flatten(), *layers)
    model.initialize((1, 14, 14), seed=0)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(64, 1, 14, 14)).astype(np.float32)
    return preflight.preflight(model, images, rng.integers(0, 10, 64))


@pytest.mark.parametrize(("layers", "kind"), [
    ([Dense(20), ReLU(), Dense(10, init="zeros")], "fine"),
    ([Dense(10, init="zeros")], "fine"),
    ([Dense(20, init="xavier"), Tanh(), Dense(20, init="zeros"), Tanh(), Dense(10)], "fine"),
    ([Dense(20), ReLU(), Dense(20, init="zeros"), ReLU(), Dense(10)], "dead"),
    ([Dense(20), ReLU(), Dense(20, init="normal:1e-9"), ReLU(), Dense(10, init="zeros")],
     "fading signal"),
])  # fmt: skip
def test_zeros_that_only_keep_others_waiting_are_waited_for(layers, kind):
    found = judged(*layers)
    assert found.kind == kind, str(found)
    assert (found.record.step is not None) == (found.front.kind == "free")


@pytest.mark.parametrize("init", ["identity", "hadamard"])
def test_ties_that_leave_a_layer_several_classes_are_no_verdict(init):
    found = judge("lenet5", init, shape=(1, 28, 28))
    assert found.front.kind == "tied" and found.front.tied and not found.front.collapsed
    assert found.kind == "fine" and "stay copies of each other" in str(found)


def test_tied_layers_beside_others_are_no_verdict():
    """A branch of width one costs its own part of the network, not the rest."""

    def built(*around):
        model = Sequential(Flatten(), *around, Dense(10))
        model.initialize((1, 14, 14), seed=0)
        return model

    def narrow():
        return Sequential(*(Dense(20, init="constant:0.05") for _ in range(3)))

    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(64, 1, 14, 14)).astype(np.float32), rng.integers(0, 10, 64)
    for model, kind in (
        (built(narrow()), "tied"),
        (built(Branches(narrow(), Sequential(Dense(20), ReLU()))), "fine"),
        (built(Branches(narrow(), narrow())), "tied"),
        (built(Dense(20), Residual(narrow())), "fine"),
    ):
        found = preflight.preflight(model, images, labels)
        assert found.front.collapsed and found.kind == kind, str(found)


def test_what_has_nothing_to_tell_apart_gets_no_verdict():
    model = zoo.build("mlp:5", classes=1)
    model.initialize((1, 4, 4))
    images = np.ones((4, 1, 4, 4), np.float32)
    with pytest.raises(ArgumentError, match="two images and two classes"):
        preflight.preflight(model, images, np.zeros(4, int))
    model = zoo.build("mlp:5")
    model.initialize((1, 4, 4))
    with pytest.raises(ArgumentError, match="got 1 images"):
        preflight.preflight(model, images[:1], np.zeros(1, int))


@pytest.mark.parametrize(("init", "said"), [
    ("fixup", "z-scores are beyond"), ("rezero", "z-scores are beyond"),
    ("lsuv", "Theory is of weights as they are drawn"),
])  # fmt: skip
def test_every_initializer_gets_a_verdict_and_theory_where_there_is_one(data, init, said, capsys):
    command = ["--preflight", "--model", "resnet8", "--init", init, "--data", "./data"]
    assert main(command) in (0, 1)
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    "loss",
    [SoftmaxCrossEntropy(weight=[0.2, 3, 1]), SoftmaxCrossEntropy(reduction="sum"), HuberLoss()],
    ids=["weights", "sum", "huber"],
)
@pytest.mark.parametrize("lr, kinds", {0.1: {"fine", "too slow"}, 1e3: {"too fast"}}.items())
def test_a_trial_with_another_loss_tells_a_rate_that_is_too_high(loss, lr, kinds):
    train, model = toy(600), dense_model(16)
    labels = np.random.default_rng(0).permutation(train.labels)  # which no large step fits
    lr /= 16 if loss.reduction == "sum" else 1
    found = preflight.preflight(
        model, train.normalized(np.arange(600)), labels, SGD(model.parameters(), lr),
        loss=loss, batch_size=16,
    )  # fmt: skip
    assert found.kind in kinds
