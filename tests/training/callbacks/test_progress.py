"""What is printed while a model is trained."""

import sys

import pytest
from tqdm import tqdm

from minicnn.training.callbacks.progress import Progress, epoch_line
from tests.training.toys import At, trainer


def test_a_line_for_each_epoch_stays_on_stdout(capsys):
    history = trainer(callbacks=[Progress()]).fit()
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert len(lines) == 2 and err == ""  # no terminal, no bar
    for number, (text, line) in enumerate(zip(lines, history), start=1):
        assert text.startswith(f"epoch {number}/2  loss {line['train_loss']:.4f}")
        assert f"test accuracy {100 * line['test_accuracy']:.2f} %" in text
        assert f"{line['images_per_second']:,.0f} images/s" in text


def pretend_a_terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(tqdm, "monitor_interval", 0)


def test_a_terminal_shows_loss_accuracy_and_speed(capsys, monkeypatch):
    pretend_a_terminal(monkeypatch)
    bar = Progress()
    run = trainer(callbacks=[bar], epochs=1)
    eager = At("on_epoch_begin", lambda t: True, lambda t: setattr(bar._bar, "mininterval", 0))
    run.callbacks.append(eager)
    run.fit()
    err = capsys.readouterr().err
    for word in ("epoch 1/1", "/40", "loss 1", "accuracy", " %", "images/s"):
        assert word in err


def test_a_bar_is_taken_away_after_an_error(capsys, monkeypatch):
    pretend_a_terminal(monkeypatch)

    def fail(trainer):
        raise RuntimeError

    bar = Progress()
    run = trainer(callbacks=[bar, At("on_loss", lambda t: True, fail)])
    with pytest.raises(RuntimeError):
        run.fit()
    assert bar._bar.disable and capsys.readouterr().err.endswith("\r")


def test_the_bar_of_a_resumed_epoch_begins_where_it_was_left(monkeypatch):
    pretend_a_terminal(monkeypatch)
    bar, begun = Progress(), []
    run = trainer(callbacks=[bar], epochs=1)
    run.totals.samples = 16
    state = {**run.state_dict(), "step": 1, "totals": {"samples": 16, "loss": 1.0, "correct": 2}}
    run.load_state_dict(state)
    run.callbacks.append(At("on_epoch_begin", lambda t: True, lambda t: begun.append(bar._bar.n)))
    assert run.fit()[0]["step"] == 3 and begun == [16]


def a_line(**changed):
    """A line of ``history`` whose numbers are as long as they come."""
    line = {
        "epoch": 10, "train_loss": 10.1234, "train_accuracy": 1.0, "test_loss": 10.1234,
        "test_accuracy": 1.0, "seconds": 1234.5, "images_per_second": 160_000,
    }  # fmt: skip
    return {**line, **changed}


@pytest.mark.parametrize("columns", [80, 111, 112, 200])
def test_an_epoch_s_line_fits_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = epoch_line(a_line(seconds=100.0, train_loss=0.1, test_loss=0.1), 10)
    assert len(text) <= columns
    assert ("test loss" in text) == (columns >= 112)
    for word in ("epoch 10/10", "test accuracy 100.00 %", "160,000 images/s"):
        assert word in text
    monkeypatch.setenv("COLUMNS", "80")
    assert len(epoch_line(a_line(), 10)) <= 80


@pytest.mark.parametrize("columns", [80, 200])
def test_the_bar_fits_the_terminal(columns, capsys, monkeypatch):
    pretend_a_terminal(monkeypatch)
    bar = Progress()
    run = trainer(callbacks=[bar], epochs=1)

    def narrow(run):
        bar._bar.ncols, bar._bar.dynamic_ncols, bar._bar.mininterval = columns, None, 0

    run.callbacks.append(At("on_epoch_begin", lambda t: True, narrow))
    run.fit()
    shown = [line for line in capsys.readouterr().err.split("\r") if "accuracy" in line]
    assert shown and all(len(line) <= columns and "|" in line for line in shown)
    assert all(line.rstrip().endswith("%") for line in shown)  # nothing was cut


def test_a_loss_beyond_all_bounds_stays_short():
    text = epoch_line(a_line(train_loss=7.1e28, test_loss=3e38), 10)
    assert "loss 7.1e+28" in text and len(text) <= 80
