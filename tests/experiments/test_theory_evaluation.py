"""The count of z-scores: what it covers, and that it notices a theory that is wrong."""

from dataclasses import replace

import numpy as np
import pytest

from experiments import theory_evaluation
from experiments.theory_evaluation import INITIALIZERS, NETWORKS, Scored, grid, report, within
from minicnn.layers.activations import ACTIVATIONS


def test_the_grids_cover_what_they_say():
    everything, quick = grid(), grid(quick=True)
    assert len(set(everything)) == len(NETWORKS) * len(ACTIVATIONS) * len(INITIALIZERS)
    assert {one[1:] for one in quick} == {one[1:] for one in everything}
    assert len(quick) == len(ACTIVATIONS) * len(INITIALIZERS)
    assert {one[0] for one in quick} == set(NETWORKS)
    for init in INITIALIZERS:
        assert len({network for network, _, name in quick if name == init}) > 2


def test_what_is_not_finite_is_outside():
    assert within(np.array([0.0, -4.0, 4.1, np.nan, np.inf, 1.0, 2.0, 3.0])) == 5 / 8


def test_report_counts_every_axis_by_itself():
    scored = [
        Scored("a", "relu", "msra", np.array([0.0, 5.0])),
        Scored("b", "relu", "xavier", np.array([1.0, 1.0])),
    ]
    text, share = report(scored)
    assert share == 3 / 4
    lines = {tuple(line.split()[:2]): line for line in text.splitlines() if line.strip()}
    assert "50.00%" in lines["network", "a"] and "100.00%" in lines["network", "b"]
    assert "75.00%" in lines["activation", "relu"]
    assert "4 statistics of 2 networks: 75.00% within" in text


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(theory_evaluation, "NETWORKS", ("mlp:50x2",))
    monkeypatch.setattr(theory_evaluation, "ACTIVATIONS", ("relu",))
    monkeypatch.setattr(theory_evaluation, "INITIALIZERS", ("xavier", "orthogonal"))


def test_exit_code_says_whether_the_theory_holds(small, monkeypatch, capsys):
    assert theory_evaluation.main(["--quick"]) == 0
    assert "within ±4, root mean square" in capsys.readouterr().out

    def wrong(model, images, labels):
        return [
            replace(p, output=replace(p.output, value=9 * p.output.value))
            for p in right(model, images, labels)
        ]

    right = theory_evaluation.predict
    monkeypatch.setattr(theory_evaluation, "predict", wrong)
    assert theory_evaluation.main(["--quick"]) == 1


def test_bad_arguments(capsys):
    assert theory_evaluation.main(["--seeds", "0"]) == 2
    assert "seeds" in capsys.readouterr().err
