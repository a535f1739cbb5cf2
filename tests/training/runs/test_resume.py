"""Runs that were ended early go on, and end as if nothing had happened."""

import json
import os
import signal
from pathlib import Path

import numba
import pytest

from minicnn import Sequential
from minicnn.errors import ArgumentError, DataError
from minicnn.layers import BatchNorm, Dense, Dropout, Flatten, ReLU
from minicnn.models import zoo
from minicnn.training.runs import resume as module
from minicnn.training.runs.folder import RunFolder
from minicnn.training.runs.lock import FolderLock
from minicnn.training.runs.resume import resume
from minicnn.training.runs.run import Run
from minicnn.training.runs.settings import Settings
from tests.data.idx_files import digits, write_folder
from tests.training.same import differences, lines
from tests.training.toys import At

OUT, WHOLE = Path("out"), Path("whole")
STEPS = 4  # of an epoch


@pytest.fixture(autouse=True)
def regularized(tmp_path, monkeypatch):
    """A zoo of one model, with running averages and random masks, and small data."""

    def build(name, classes=10, activation="relu", init="msra", algorithm="auto"):
        return Sequential(
            Flatten(), Dense(8, init=init), BatchNorm(), ReLU(), Dropout(0.3), Dense(classes)
        )

    monkeypatch.setattr(zoo, "build", build)
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "data", digits(train=50, test=21))


def settings(**given):
    chosen = {"data": "./data", "batch_size": 16, "epochs": 3, "lr": 0.05, "threads": 1}
    return Settings(**{**chosen, **given})


def strike(step, hook="on_loss", number=signal.SIGINT):
    return At(hook, lambda t: t.step == step, lambda t: signal.raise_signal(number))


def crash(step):
    def fail(trainer):
        raise RuntimeError

    return At("on_loss", lambda t: t.step == step, fail)


def begin(*callbacks, every="1epoch", out=OUT, **given):
    """A run that some callback ends."""
    run = Run(settings(**given), out, every)
    try:
        run.train(True, callbacks)
    except RuntimeError:
        pass
    return run


def whole(every="1epoch", **given):
    """A run to compare with."""
    run = begin(out=WHOLE, every=every, **given)
    assert run.summary["status"] == "finished"


def go_on(*arguments, **named):
    run = resume(OUT, *arguments, **named)
    run.train(quiet=True)
    return run


GROUPED = {
    "groups": ["*.bias:lr_factor=2", "1.*:weight_decay=0.1", "2.*:frozen"],
    "clip_norm": 0.5, "clip_value": 0.1,
}  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [{"optimizer": name} for name in ("sgd", "adam", "rmsprop", "muon")]
    + [GROUPED]
    + [{"ema": 0.9}, {"swa": 0.4, "validation": 10}],
    ids=str,
)
def test_interrupted_and_resumed_is_the_same_as_in_one_go(given):
    whole(**given)
    run = begin(strike(6), **given)
    assert (run.summary["status"], run.trainer.step) == ("interrupted", 7)
    again = resume(OUT)
    assert again.trainer.step == 7 and again.notes == []
    again.train(quiet=True)
    assert again.summary["status"] == "finished" and differences(WHOLE, OUT) == []


@pytest.mark.parametrize("step", [1, 3, 4, 5, 7, 11])
@pytest.mark.parametrize("every", [3, "1epoch"])
def test_what_was_not_saved_is_done_again(step, every):
    whole(every)
    begin(crash(step), every=every)
    saved = step // 3 * 3 if every == 3 else step // STEPS * STEPS
    run = resume(OUT)
    assert run.trainer.step == saved
    assert (run.notes == []) == (saved > 0)
    run.train(quiet=True)
    assert differences(WHOLE, OUT) == []


def test_lines_of_epochs_that_are_done_again_are_not_there_twice():
    whole(every=5)
    begin(crash(9), every=5)
    assert [line["epoch"] for line in lines(OUT)] == [1, 2]
    run = resume(OUT)
    assert [line["epoch"] for line in lines(OUT)] == [1]
    run.train(quiet=True)
    assert lines(OUT) == lines(WHOLE)


def test_after_the_evaluation_and_again_and_again():
    whole()
    begin(strike(2))
    for step in (2 * STEPS, 9):
        run = resume(OUT)
        run.train(True, [strike(step, hook="on_epoch_end" if step == 8 else "on_loss")])
        assert run.summary["status"] == "interrupted"
    go_on()
    assert differences(WHOLE, OUT) == []


def test_killed_after_the_last_step_and_before_the_summary(monkeypatch):
    whole()

    def fail(*arguments):
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_summarize", fail)
        begin()
    run = resume(OUT)
    assert run.trainer.step == 3 * STEPS
    run.train(quiet=True)
    assert differences(WHOLE, OUT) == []


def test_a_finished_run_is_left_as_it_is():
    begin()
    before = {path.name: path.read_bytes() for path in OUT.iterdir()}
    assert resume(OUT) is None
    assert {path.name: path.read_bytes() for path in OUT.iterdir()} == before
    FolderLock(OUT).release()


def test_a_diverged_run_is_refused():
    begin(lr=1e30, schedule="constant")
    with pytest.raises(ArgumentError, match="diverged, and would again.*smaller --lr"):
        resume(OUT)


def test_explanations_go_on_too():
    assert "in all 7 steps" in begin(strike(6), init="zeros", lr=0.01).explanation
    assert "in all 12 steps" in go_on().explanation


def test_threads_and_the_interval_are_free(monkeypatch):
    whole()
    begin(strike(6))
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 1)
    run = resume(OUT, {"threads": 1, "lr": 0.05, "epochs": 3}, checkpoint_every=1)
    assert run.settings.threads == 1
    run.train(quiet=True)
    assert differences(WHOLE, OUT) == []


def test_more_threads_than_this_machine_has():
    begin(strike(6))
    config = json.loads((OUT / "config.json").read_text())
    (OUT / "config.json").write_text(json.dumps({**config, "threads": 10**6}))
    assert resume(OUT).settings.threads == numba.config.NUMBA_NUM_THREADS


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"lr": 0.1}, ["has lr 0.05", "got 0.1", "Leave --lr out"]),
        ({"epochs": 9}, ["has epochs 3", "got 9"]),
        ({"batch_size": 8}, ["has batch_size 16", "--batch-size"]),
        ({"limit": 7}, ["has limit None", "got 7"]),
        ({"betas": (0.8, 0.9)}, ["has betas None", "got 0.8,0.9"]),
    ],
)
def test_other_settings_are_refused(given, words):
    begin(strike(6))
    with pytest.raises(ArgumentError) as caught:
        resume(OUT, given)
    assert all(word in str(caught.value) for word in words)
    FolderLock(OUT).release()


def test_other_data_are_refused():
    begin(strike(6))
    write_folder(Path("data"), digits(train=50, test=21, seed=1))
    with pytest.raises(DataError, match="checkpoint in out does not fit.*data set is not the one"):
        resume(OUT)
    FolderLock(OUT).release()


def test_data_that_are_gone():
    begin(strike(6))
    os.rename("data", "elsewhere")
    with pytest.raises(DataError, match="no such folder"):
        resume(OUT)


def test_a_configuration_that_was_changed_is_refused():
    begin(strike(6))
    config = json.loads((OUT / "config.json").read_text())
    (OUT / "config.json").write_text(json.dumps({**config, "lr": 0.1}))
    with pytest.raises(DataError, match="settings are not those of config.json"):
        resume(OUT)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-20],
        lambda text: "",
        lambda text: "[1, 2]",
        lambda text: text + " " * 2**20,
        lambda text: "[" * 10**5,
        lambda text: text.replace('"epochs": 3', '"epochs": "3"'),
        lambda text: text.replace('"model"', '"mode"'),
        lambda text: text.replace('"momentum": 0.9', '"momentum": [0.9]'),
    ],
)
def test_a_damaged_configuration(change):
    begin(strike(6))
    text = (OUT / "config.json").read_text()
    (OUT / "config.json").write_text(change(text))
    with pytest.raises(DataError, match="config.json is damaged"):
        resume(OUT)


@pytest.mark.parametrize("name", ["summary.json", "checkpoint.safetensors"])
def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(name):
    begin(strike(6))
    (OUT / "checkpoint.previous.safetensors").unlink(missing_ok=True)
    (OUT / name).unlink()
    os.mkfifo(OUT / name)
    with pytest.raises(DataError, match=f"{name}.* expected a file"):
        resume(OUT)


def test_a_damaged_checkpoint_gives_way_to_the_one_before():
    whole(every=2)
    begin(crash(7), every=2)
    data = (OUT / "checkpoint.safetensors").read_bytes()
    (OUT / "checkpoint.safetensors").write_bytes(data[:-9] + b"123456789")
    run = resume(OUT)
    assert run.trainer.step == 4 and "damaged" in run.notes[0] and "the one before" in run.notes[0]
    run.train(quiet=True)
    assert differences(WHOLE, OUT) == []


def test_other_versions_are_told(monkeypatch):
    begin(strike(6))
    now = module.versions()
    monkeypatch.setattr(module, "versions", lambda: {**now, "numpy": "99.1"})
    (note,) = resume(OUT).notes
    assert "may differ" in note and f"numpy {now['numpy']} then, 99.1 now" in note
    assert "numba" not in note


def test_a_second_process_is_refused():
    begin(strike(6))
    first = resume(OUT)
    for _ in range(2):
        with pytest.raises(ArgumentError, match="another process is at work in out"):
            resume(OUT)
    first.train(quiet=True)
    assert resume(OUT) is None


def test_what_a_kill_left_half_written_is_removed():
    begin(strike(6))
    (OUT / ".checkpoint.safetensors.123.tmp").write_bytes(b"half")
    (OUT / "notes.tmp").write_bytes(b"mine")
    resume(OUT)
    assert not list(OUT.glob(".*")) and (OUT / "notes.tmp").exists()


def test_data_that_stand_elsewhere_by_now_can_be_named():
    whole()
    begin(strike(6))
    os.rename("data", "moved")
    with pytest.raises(DataError):
        resume(OUT)
    go_on({"data": "./moved"})
    assert lines(OUT) == lines(WHOLE)  # files tell where the data were, too


OPEN = {"schedule": "constant", "lr": 0.02}


def longer(epochs, *callbacks, **named):
    run = resume(OUT, {"epochs": epochs}, **named)
    assert run.notes == []
    run.train(True, callbacks)
    return run


@pytest.mark.parametrize("schedule", ["constant", "warmup:3", "warmup:5,constant"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_more_epochs_of_a_finished_run_are_as_asked_for_at_once(schedule, optimizer):
    given = {"schedule": schedule, "optimizer": optimizer, "lr": 0.02}
    whole(**given, epochs=5)
    begin(**given, epochs=2)
    run = longer(5)
    assert run.summary["epochs"] == 5 and differences(WHOLE, OUT) == []
    configs = [json.loads((folder / "config.json").read_text()) for folder in (WHOLE, OUT)]
    assert configs[0] == configs[1]
    assert resume(OUT) is None and resume(OUT, {"epochs": 5}) is None


def test_more_epochs_again_and_again_and_with_the_checkpoint_at_the_end_only():
    whole("end", **OPEN, epochs=4)
    begin(every="end", **OPEN, epochs=1)
    for epochs in (2, 4):
        assert longer(epochs).summary["status"] == "finished"
    assert differences(WHOLE, OUT) == []


def test_more_epochs_of_an_interrupted_run():
    whole(**OPEN, epochs=5)
    begin(strike(6), **OPEN, epochs=3)
    longer(5)
    assert differences(WHOLE, OUT) == []


@pytest.mark.parametrize("name", ["best.safetensors", "summary.json", "config.json"])
def test_killed_while_more_epochs_are_noted(monkeypatch, name):
    whole(**OPEN, epochs=5, validation=4)
    begin(**OPEN, validation=4)
    write = RunFolder.write

    def fail(folder, file, data):
        if file == name:
            raise RuntimeError
        write(folder, file, data)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write", fail)
        with pytest.raises(RuntimeError):
            resume(OUT, {"epochs": 5})
    again = longer(5)
    assert again.summary["status"] == "finished" and differences(WHOLE, OUT) == []


def test_interrupted_among_the_new_epochs():
    whole(**OPEN, epochs=5)
    begin(**OPEN)
    longer(5, strike(17))
    assert json.loads((OUT / "summary.json").read_text())["status"] == "interrupted"
    go_on()
    assert differences(WHOLE, OUT) == []


@pytest.mark.parametrize(
    ("schedule", "epochs", "words"),
    [
        ("one-cycle", 9, ["epochs 3, got 9", "one-cycle", "--epochs 9", "--schedule constant"]),
        ("cosine", 4, ["epochs 3, got 4", "cosine", "differs from the first step"]),
        ("warmup:0.2", 4, ["epochs 3, got 4", "warmup:0.2"]),
        ("constant", 2, ["epochs 3, got 2", "can only be given more"]),
        ("constant", 0, ["epochs must be an integer of at least 1"]),
        ("constant", "9", ["epochs must be an integer"]),
    ],
)
@pytest.mark.parametrize("ended", [(), (6,)])
def test_epochs_that_cannot_be(schedule, epochs, words, ended):
    begin(*map(strike, ended), schedule=schedule)
    before = {path.name: path.read_bytes() for path in OUT.iterdir()}
    with pytest.raises(ArgumentError) as caught:
        resume(OUT, {"epochs": epochs})
    assert all(word in str(caught.value) for word in words)
    assert {path.name: path.read_bytes() for path in OUT.iterdir()} == before
    FolderLock(OUT).release()
