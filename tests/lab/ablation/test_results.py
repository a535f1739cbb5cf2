"""Outcomes: what a folder says of how its trial ended."""

import json

import pytest

from minicnn.errors import ArgumentError
from minicnn.lab.ablation.results import ERROR_FILE, read_outcome, write_error
from minicnn.training.runs.run import Run
from tests.lab.ablation.small_grid import small_grid, write_data

GRID = small_grid(seeds=1)
TRIAL = GRID.trials()[0]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the trial has been trained."""
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    Run(GRID.settings(TRIAL.arm, TRIAL.seed), "trial").train(quiet=True)
    return tmp_path / "trial"


def set_status(folder, status):
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps({**summary, "status": status}))


def test_finished(folder):
    outcome = read_outcome(TRIAL, folder)
    assert (outcome.trial, outcome.status, outcome.error) == (TRIAL, "finished", "")
    assert outcome.summary == json.loads((folder / "summary.json").read_text())
    assert [line["epoch"] for line in outcome.history] == [1, 2]
    assert [line["step"] for line in outcome.steps] == list(range(1, 9))
    assert outcome.final("test_accuracy") == outcome.summary["test_accuracy"]
    assert outcome.final("test_loss") == outcome.history[1]["test_loss"]


def test_diverged(folder):
    set_status(folder, "diverged")
    write_error(folder, "the loss is nan\nin step 3")
    outcome = read_outcome(TRIAL, folder)
    assert (outcome.status, outcome.error) == ("diverged", "the loss is nan in step 3")
    assert len(outcome.history) == 2 and outcome.final("test_loss") is None


def test_an_interrupted_trial_is_not_done(folder):
    set_status(folder, "interrupted")
    outcome = read_outcome(TRIAL, folder)
    assert (outcome.status, outcome.summary, outcome.history) == ("not done", {}, [])
    assert outcome.final("test_accuracy") is None


def test_nothing_there(tmp_path):
    assert read_outcome(TRIAL, tmp_path / "nowhere").status == "not done"
    assert read_outcome(TRIAL, tmp_path).status == "not done"


def test_crashed(tmp_path):
    write_error(tmp_path / "new", "ValueError: 1 × 2", "a\nlong story\n")
    outcome = read_outcome(TRIAL, tmp_path / "new")
    assert (outcome.status, outcome.error) == ("crashed", "ValueError: 1 × 2")
    assert (tmp_path / "new" / "error.txt").read_text("utf-8").endswith("a\nlong story\n")
    write_error(tmp_path / "mute", "")
    assert read_outcome(TRIAL, tmp_path / "mute").status == "crashed"


def test_a_run_of_an_older_version_has_no_steps(folder):
    (folder / "steps.jsonl").unlink()
    outcome = read_outcome(TRIAL, folder)
    assert outcome.steps == [] and len(outcome.history) == 2


def test_fewer_epochs_than_asked_for_are_not_done(folder):
    assert read_outcome(TRIAL, folder, 2).status == "finished"
    assert read_outcome(TRIAL, folder, 3).status == "not done"
    set_status(folder, "diverged")
    assert read_outcome(TRIAL, folder, 3).status == "diverged"


def test_an_error_is_kept_whatever_its_sentence_holds(tmp_path):
    write_error(tmp_path / "new", "no file 'é\ud800'")
    assert (tmp_path / "new" / ERROR_FILE).read_text("utf-8") == "no file 'é\\ud800'\n"
    for folder in (tmp_path / ("x" * 300), tmp_path / "\ud800", tmp_path / "new" / ERROR_FILE):
        with pytest.raises(ArgumentError):
            write_error(folder, "It failed.")
