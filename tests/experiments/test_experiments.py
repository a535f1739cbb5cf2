"""The experiments' smallest forms: predictions hold, figures are drawn, failures are told."""

import math

import numpy as np
import pytest

from experiments import EXPERIMENTS, __main__, depth, gradient_front, headline, scale, stall
from experiments.result import Result
from experiments.trainings import Training
from minicnn.errors import ArgumentError
from minicnn.lab.ablation.grid import Grid, Trial
from tests.lab.ablation.small_grid import outcome


def training(init, accuracy, seed=0, loss=2.3012, status="finished", **seen):
    """One that nobody had to make."""
    trial = Trial({"init": init, "activation": "relu"}, seed, f"{init}-{seed}")
    end = outcome(trial, [accuracy], [loss], status)
    end.summary["predicted_classes"] = 1
    return Training(end, {"dead": True, "zero": True, **seen})


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_prediction_holds_and_has_its_figure(name, tmp_path):
    experiment = EXPERIMENTS[name]
    assert experiment.TITLE.startswith(f"{name}: ")
    result = experiment.run("tiny")
    assert result.checks and result.holds, str(result)
    assert all(len(row) == len(result.header) for row in result.rows)
    result.save(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").read_text().count("<path") > 20


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_unknown_size_is_refused(name):
    with pytest.raises(ArgumentError, match="huge"):
        EXPERIMENTS[name].run("huge")


def test_the_command_line_runs_and_draws(tmp_path, capsys):
    assert __main__.main(["E3", "--quick", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("E3: ") and "holds: " in printed and "FAILS" not in printed
    assert [path.name for path in tmp_path.iterdir()] == ["E3.svg"]


def test_the_front_does_not_move_without_updates(monkeypatch):
    monkeypatch.setattr(gradient_front, "STEPS", 2)  # too few for three layers
    result = gradient_front.run("tiny")
    assert not result.holds and "FAILS: 3 layers" in str(result)


def test_a_prediction_that_fails_is_the_exit_code(monkeypatch, capsys):
    failed = Result("nothing", ["a"], [["1"]], [("two is one", False), ("one is one", True)])
    monkeypatch.setattr(gradient_front, "run", lambda size: failed)
    monkeypatch.setattr(
        EXPERIMENTS["E2"], "run", lambda size: Result("fine", ["a"], [["1"]], [("yes", True)])
    )
    assert __main__.main(["E3", "E2"]) == 1  # and those after it are run
    printed = capsys.readouterr().out
    assert "FAILS: two is one" in printed and "holds: one is one" in printed
    assert "holds: yes" in printed


def test_quick_and_full_are_told_apart(monkeypatch):
    asked = []
    monkeypatch.setattr(
        gradient_front, "run", lambda size: asked.append(size) or Result("", ["a"], [["1"]])
    )
    __main__.main(["E3"])
    __main__.main(["E3", "--quick"])
    assert asked == ["full", "quick"]


def test_an_interruption_is_the_exit_code(monkeypatch, capsys):
    def stopped(size):
        raise KeyboardInterrupt

    monkeypatch.setattr(gradient_front, "run", stopped)
    assert __main__.main(["E3"]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "said"), [([], "name an experiment"), (["E99"], "E99")])
def test_bad_arguments(words, said, capsys):
    assert __main__.main(words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "settled", "holds"),
    [
        ({}, True, True),
        ({"loss": 2.3063}, True, False),
        ({"loss": 2.3063}, False, True),  # in the smallest form the loss is not looked at
        ({"dead": False}, True, False),
        ({"zero": False}, False, False),
    ],
)
def test_zeros_are_dead_or_the_headline_fails(change, settled, holds):
    runs = [training("zeros", 0.1135), training("zeros", 0.1135, seed=1, **change)]
    assert headline.check_zeros(runs, "relu", settled)[1] is holds


@pytest.mark.parametrize(
    ("xavier", "msra", "wanted"),
    [
        ((0.99, 0.989), (0.986, 0.988), [True, True, True]),
        ((0.99, 0.984), (0.986, 0.988), [False, True, True]),
        ((0.992, 0.992), (0.986, 0.986), [True, True, False]),
    ],
)
def test_xavier_and_msra_are_as_good_or_the_headline_fails(xavier, msra, wanted):
    runs = [training("xavier", value, seed) for seed, value in enumerate(xavier)]
    runs += [training("msra", value, seed) for seed, value in enumerate(msra)]
    assert [held for _, held in headline.check_accurate(runs, 98.5)] == wanted


def test_the_factor_of_the_padding_is_the_box_filters():
    ones = np.tri(7, 7, 1) - np.tri(7, 7, -2)
    largest = np.linalg.eigvalsh(ones / 3).max() ** 2
    assert depth.wanted("msra") == pytest.approx(largest, rel=1e-12)
    assert depth.wanted("msra") == pytest.approx(0.901, abs=5e-4)  # as the equations have it


def test_a_factor_of_the_other_initialization_is_noticed():
    moments = depth.second_moments("msra", 20)
    assert moments.shape == (20, depth.DEEPEST - 3)
    assert not depth.check_factor("xavier", moments)[1]
    assert not depth.check_factor("msra", moments / 1.1 ** np.arange(27))[1]


def test_a_delta_far_from_theory_is_noticed():
    z = np.array([[0.3, -2.0], [1.0, 3.9]])
    assert stall.check_deltas("msra", {"z": z})[1]
    assert not stall.check_deltas("msra", {"z": z - [0, 2.1]})[1]


@pytest.mark.parametrize("model", scale.LAYERS)
def test_scores_that_do_not_scale_are_noticed(model):
    layers = scale.LAYERS[model]
    stds = {power: [2.0 ** (power * layers), 3 * 2.0 ** (power * layers)] for power in (-1, 0, 1)}
    assert scale.check_scores(model, stds)[1]
    stds[1][1] *= 1.002
    assert not scale.check_scores(model, stds)[1]


def test_a_scaled_msra_draws_msras_numbers():
    grid = Grid({"lr": [0.1]}, seeds=1, first_seed=3, base={"limit": 64})
    stds = scale.logit_stds(grid, "plain4", {0: "msra", 1: scale.scaled_msra(1)})
    assert math.log2(stds[1][0] / stds[0][0]) == pytest.approx(4, abs=1e-6)
