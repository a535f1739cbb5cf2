"""The experiments' small forms: predictions hold, figures are drawn, failures are told."""

import pytest

from minicnn.lab.experiments import EXPERIMENTS, __main__, gradient_front
from minicnn.lab.experiments.result import Result


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_prediction_holds_and_has_its_figure(name, tmp_path, capsys):
    assert __main__.main([name, "--quick", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{name}: ") and "holds: " in printed and "FAILS" not in printed
    picture = (tmp_path / f"{name}.svg").read_text()
    assert picture.count("<path") > 20


def test_the_front_does_not_move_without_updates(monkeypatch):
    monkeypatch.setattr(gradient_front, "STEPS", 2)  # too few for three layers
    result = gradient_front.run(quick=True)
    assert not result.holds and "FAILS: 3 layers" in str(result)


def test_a_prediction_that_fails_is_the_exit_code(monkeypatch, capsys):
    failed = Result("nothing", ["a"], [["1"]], [("two is one", False), ("one is one", True)])
    monkeypatch.setitem(EXPERIMENTS, "E3", type("E", (), {"TITLE": "E3", "run": lambda q: failed}))
    assert __main__.main(["E3"]) == 1
    printed = capsys.readouterr().out
    assert "FAILS: two is one" in printed and "holds: one is one" in printed


@pytest.mark.parametrize(("words", "said"), [([], "name an experiment"), (["E99"], "E99")])
def test_bad_arguments(words, said, capsys):
    assert __main__.main(words) == 2
    assert said in capsys.readouterr().err
