"""A run: its files, and that compiling leaves no trace in the model."""

import json
import os
import signal

import numba
import numpy as np
import pytest
import safetensors.numpy

from minicnn import Sequential
from minicnn.allocation import peak_memory_mb
from minicnn.errors import ArgumentError, DivergedError
from minicnn.kernels.runtime.thread_pool import get_num_threads
from minicnn.layers import BatchNorm, Dense, Dropout, Flatten, ReLU
from minicnn.models import zoo
from minicnn.training.runs import run as module
from minicnn.training.runs.lock import FolderLock
from minicnn.training.runs.resume import resume
from minicnn.training.runs.run import Run
from minicnn.training.runs.settings import Settings
from minicnn.training.runs.weights import named_arrays
from minicnn.training.trainer import Trainer
from tests.data.idx_files import digits, write_folder
from tests.training.toys import At

LINE = [
    "epoch", "step", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds",
    "images_per_second",
]  # fmt: skip
SUMMARY = [
    "test_accuracy", "best_test_accuracy", "train_loss", "epochs", "parameters",
    "images_per_second", "train_seconds", "compile_seconds", "peak_memory_mb",
    "predicted_classes", "status",
]  # fmt: skip
FILES = [
    "checkpoint.safetensors", "config.json", "metrics.jsonl",
    "model.safetensors", "steps.jsonl", "summary.json",
]  # fmt: skip
PREVIOUS = "checkpoint.previous.safetensors"


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Of a small model on small data, with the data folder's path taken from here."""
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "data", digits(train=50, test=21))
    return lambda **given: Settings(
        **{"model": "mlp:8", "data": "./data", "batch_size": 16, "epochs": 2, "lr": 0.05, **given}
    )


@pytest.fixture
def regularized(monkeypatch):
    """A zoo of one model, with running averages and random masks."""

    def build(name, classes=10, activation="relu", init="msra", algorithm="auto"):
        return Sequential(
            Flatten(), Dense(8, init=init), BatchNorm(), ReLU(), Dropout(0.3), Dense(classes)
        )

    monkeypatch.setattr(zoo, "build", build)


def refuse(word):
    raise AssertionError(f"{word} is no JSON")


def read(folder, name):
    return json.loads((folder / name).read_text(), parse_constant=refuse)


def read_lines(folder):
    text = (folder / "metrics.jsonl").read_text()
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_the_files_of_a_finished_run(settings):
    run = Run(settings(), "out")
    assert sorted(os.listdir("out")) == ["config.json", "metrics.jsonl"]
    summary = run.train(quiet=True)
    folder = run.folder.path
    assert sorted(os.listdir("out")) == FILES
    assert read(folder, "summary.json") == summary and list(summary) == SUMMARY
    lines = read_lines(folder)
    assert lines == run.trainer.history and [list(line) for line in lines] == [LINE, LINE]
    assert summary["status"] == "finished" and summary["epochs"] == 2
    assert summary["test_accuracy"] == lines[-1]["test_accuracy"]
    assert summary["best_test_accuracy"] == max(line["test_accuracy"] for line in lines)
    assert summary["train_loss"] == lines[-1]["train_loss"]
    assert summary["parameters"] == 30 * 8 + 8 + 8 * 10 + 10
    assert summary["predicted_classes"] == len(set(run.trainer.predicted))
    assert summary["train_seconds"] == pytest.approx(sum(line["seconds"] for line in lines))
    assert summary["images_per_second"] == pytest.approx(100 / run.trainer.step_seconds)
    assert summary["compile_seconds"] > 0
    assert 20 < summary["peak_memory_mb"] < 1e5


def test_a_run_that_is_not_evaluated_after_each_epoch(settings):
    """Its lines have null there, in valid JSON, and it goes on from its checkpoint."""
    given = {"eval_every": 2, "validation": 10, "epochs": 5, "schedule": "constant"}
    run = Run(settings(**given), "out")
    summary, lines = run.train(quiet=True), read_lines(run.folder.path)
    evaluated = [line["epoch"] for line in lines if line["test_loss"] is not None]
    assert evaluated == [2, 4, 5] and summary["status"] == "finished"
    held = {line["epoch"]: line["validation_accuracy"] for line in lines}
    assert summary["best_validation_accuracy"] == held[summary["best_epoch"]]
    assert summary["test_accuracy_of_best"] == lines[summary["best_epoch"] - 1]["test_accuracy"]
    assert summary["test_accuracy"] == lines[-1]["test_accuracy"]
    shorter = Run(settings(**{**given, "epochs": 3}), "shorter")
    shorter.train(quiet=True)
    again = resume("shorter", {"epochs": 5})
    again.train(quiet=True)
    for array, other in zip(run.model.parameters(), again.model.parameters()):
        np.testing.assert_array_equal(array.value, other.value)


def test_the_model_file_holds_the_trained_weights(settings, regularized):
    run = Run(settings(), "out")
    before = run.model.state_dict()
    run.train(quiet=True)
    saved = safetensors.numpy.load_file("out/model.safetensors")
    assert saved.pop("2.num_batches_tracked") == 8
    own = named_arrays(run.model)
    assert saved.keys() == own.keys() and "2.running_mean" in saved
    for name, array in own.items():
        assert saved[name].dtype == array.dtype
        np.testing.assert_array_equal(saved[name], array)
    assert all((array != before[name]).any() for name, array in run.model.state_dict().items())
    with safetensors.safe_open("out/model.safetensors", "np") as file:
        about = json.loads(file.metadata()["minicnn"])
    assert about["step"] == 8 and Settings(**about["settings"]) == run.settings
    assert about["images"]["std"] == run.trainer.train.std.tolist()


def test_config_is_enough_to_repeat_the_run(settings):
    run = Run(settings(optimizer="rmsprop", lr=None, init="normal:0.1", limit=40), "out")
    run.train(quiet=True)
    config = read(run.folder.path, "config.json")
    again = Settings(**{name: config[name] for name in Settings().as_dict()})
    assert again == run.settings
    repeated = Run(again, "again")
    repeated.train(quiet=True)
    model = "model.safetensors"
    assert (repeated.folder.path / model).read_bytes() == (run.folder.path / model).read_bytes()
    assert config["lr"] == 0.001 and config["optimizer_settings"]["alpha"] == 0.99
    assert config["data_set"]["train_images"] == 40 and config["data_set"]["shape"] == [1, 6, 5]
    assert config["data_set"]["mean"] == pytest.approx(run.trainer.train.mean.tolist(), rel=1e-15)
    initializer = config["initializers"]["1.dense.weight"]
    assert initializer == {"initializer": "normal:0.1", "std": pytest.approx(0.1)}
    assert config["versions"]["numba"] == numba.__version__
    assert set(config["versions"]) == {"minicnn", "python", "numpy", "numba"}
    assert config["platform"] and config["threads"] == numba.config.NUMBA_NUM_THREADS


def test_compiling_leaves_no_trace_in_the_model(settings, regularized):
    """The same bits as a trainer that never compiled apart, masks and averages included."""
    chosen = settings(batch_size=17)
    run = Run(chosen, "out")
    run.train(quiet=True)
    train, test, _ = chosen.load_data()
    model = chosen.make_model(train)
    Trainer(
        model, chosen.make_optimizer(model.parameters()), train, test,
        schedule="one-cycle", batch_size=17, epochs=2, seed=0,
    ).fit()  # fmt: skip
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(run.model.state_dict()[name], array)


def test_a_batch_of_one_that_cannot_work_is_refused_before_training(settings, regularized):
    for size in (1, 7):  # 7 leaves one of the 50 images over
        with pytest.raises(ArgumentError, match="batch of one sample"):
            Run(settings(batch_size=size), "out").train(quiet=True)
        assert not os.path.exists("out")
    Run(settings(batch_size=8), "out").train(quiet=True)


def test_a_warm_up_of_several_steps_is_no_matter_of_compiling(settings):
    assert Run(settings(schedule="warmup:5"), "out").train(quiet=True)["status"] == "finished"


def test_the_compile_pause_is_explained(settings, capsys, monkeypatch):
    started = []

    class Timer:
        def __init__(self, seconds, function):
            self.seconds, self.function = seconds, function

        def start(self):
            started.append(self.seconds)
            self.function()

        def cancel(self):
            pass

    monkeypatch.setattr(module.threading, "Timer", Timer)
    Run(settings(), "a").train()
    err = capsys.readouterr().err
    assert started == [1.0] and err.startswith("compiling kernels (first run only) ...")
    Run(settings(), "b").train(quiet=True)
    assert capsys.readouterr() == ("", "") and started == [1.0]


def test_threads_are_set_for_the_run_only(settings, monkeypatch):
    seen, before = [], get_num_threads()
    look = At("on_epoch_end", lambda t: True, lambda t: seen.append(get_num_threads()))
    monkeypatch.setattr(module, "Progress", lambda: look)
    Run(settings(threads=1, epochs=1), "out").train()
    assert seen == [1] and get_num_threads() == before


def test_a_diverged_run_says_so_in_valid_json(settings, monkeypatch):
    def spoil(trainer):
        trainer.model.parameters()[0].value[0, 0] = np.nan

    monkeypatch.setattr(module, "Progress", lambda: At("on_step_end", lambda t: t.step == 6, spoil))
    run = Run(settings(epochs=3, activation="tanh"), "out")
    summary = run.train()
    assert isinstance(run.error, DivergedError) and "in step 7" in str(run.error)
    assert sorted(os.listdir("out")) == FILES
    assert read(run.folder.path, "summary.json") == summary and list(summary) == SUMMARY
    assert (summary["status"], summary["epochs"]) == ("diverged", 1)
    assert summary["best_test_accuracy"] == run.trainer.history[0]["test_accuracy"]
    for key in ("test_accuracy", "train_loss", "predicted_classes"):
        assert summary[key] is None


def test_the_epoch_in_which_a_test_loss_breaks_is_written_as_null(settings, monkeypatch):
    def spoil(trainer):
        trainer.model.parameters()[0].value[...] = np.nan

    monkeypatch.setattr(module, "Progress", lambda: At("on_step_end", lambda t: t.step == 4, spoil))
    run = Run(settings(epochs=1, activation="tanh"), "out")
    assert run.train()["status"] == "diverged"
    (line,) = read_lines(run.folder.path)
    assert line["test_loss"] is None and line["train_loss"] is not None


def test_an_interrupted_run_saves_what_was_done(settings, monkeypatch):
    def interrupt(trainer):
        raise KeyboardInterrupt

    stop = At("on_step_end", lambda t: t.step == 6, interrupt)
    monkeypatch.setattr(module, "Progress", lambda: stop)
    run = Run(settings(epochs=3), "out")
    summary = run.train()
    assert summary["status"] == "interrupted" and summary["epochs"] == 1
    assert summary["test_accuracy"] == run.trainer.history[0]["test_accuracy"]
    saved = safetensors.numpy.load_file("out/model.safetensors")
    for name, array in named_arrays(run.model).items():
        np.testing.assert_array_equal(saved[name], array)
    assert sorted(os.listdir("out")) == FILES and len(read_lines(run.folder.path)) == 1


def test_an_epoch_that_was_finished_is_written_before_an_interruption(settings, monkeypatch):
    strike = At("on_epoch_end", lambda t: True, lambda t: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(module, "Progress", lambda: strike)
    run = Run(settings(epochs=3), "out")
    assert run.train()["status"] == "interrupted" and run.signal == signal.SIGINT
    assert len(read_lines(run.folder.path)) == 1


def test_interrupted_while_compiling(settings, monkeypatch):
    def interrupt(self, quiet):
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "_compile", interrupt)
    summary = Run(settings(), "out").train(quiet=True)
    assert (summary["status"], summary["epochs"], summary["compile_seconds"]) == (
        "interrupted", 0, None,
    )  # fmt: skip
    assert sorted(os.listdir("out")) == sorted({*FILES[1:]} - {"steps.jsonl"})


def test_a_full_disk_leaves_no_half_file(settings, monkeypatch):
    replace = os.replace

    def full(source, target):
        if str(target).endswith(full_at):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    for full_at, begin in (("checkpoint.safetensors", 1), ("model.safetensors", 0)):
        kept = [*FILES[begin:3], "steps.jsonl"]
        run = Run(settings(), full_at)
        with pytest.raises(ArgumentError, match=f"{full_at}.{full_at}: No space left") as caught:
            run.train(quiet=True)
        assert sorted(set(os.listdir(full_at)) - {PREVIOUS}) == kept
        goes_on = f"What was saved before is kept: --resume {full_at} goes on."
        assert (goes_on in str(caught.value)) == (begin == 0)


def test_a_run_may_write_no_checkpoints(settings):
    Run(settings(), "out", checkpoint_every=None).train(quiet=True)
    assert sorted(os.listdir("out")) == FILES[1:]


def test_a_bad_interval_is_refused_before_there_is_a_folder(settings):
    with pytest.raises(ArgumentError, match="checkpoint-every"):
        Run(settings(), "out", "often")
    assert not os.path.exists("out")


def test_another_process_can_not_have_the_folder_until_the_end(settings):
    run = Run(settings(), "out")
    with pytest.raises(ArgumentError, match="another process is at work in out"):
        FolderLock("out")
    run.train(quiet=True)
    FolderLock("out").release()


def test_zero_weights_are_explained(settings):
    run = Run(settings(init="zeros", lr=0.01), "out")
    assert run.train(quiet=True)["predicted_classes"] == 1
    assert "in all 8 steps" in run.explanation
    other = Run(settings(epochs=1), "other")
    other.train(quiet=True)
    assert other.explanation is None


def test_a_run_that_did_not_learn_says_why(settings):
    run = Run(settings(lr=50.0), "high")
    assert run.train(quiet=True)["status"] == "finished"
    assert "the learning rate is likely too high" in run.explanation
    run = Run(settings(lr=1e-9, epochs=1), "short")
    run.train(quiet=True)
    assert run.explanation is None


def test_peak_memory_grows_with_what_is_used():
    before = peak_memory_mb()
    block = np.ones(int((before + 60) * 1e6 / 8))
    assert peak_memory_mb() >= block.nbytes / 1e6 > before
