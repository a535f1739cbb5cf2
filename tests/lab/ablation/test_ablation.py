"""Ablations: every trial an ordinary run, what is done is kept, what fails is shown."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import minicnn
from minicnn.errors import ArgumentError, DataError
from minicnn.lab.ablation import ablation as module
from minicnn.lab.ablation.ablation import Ablation, train_trial
from minicnn.lab.ablation.grid import Grid
from minicnn.training.runs.lock import FolderLock
from minicnn.training.runs.run import Run
from tests.lab.ablation.small_grid import BASE, small_grid, write_data

CLONE = Path(minicnn.__file__).parents[1]
RUN_FILES = ["config.json", "metrics.jsonl", "model.safetensors", "steps.jsonl", "summary.json"]


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    return tmp_path / "data"


def run(grid, out="out", processors=1, train=None, quiet=True):
    ablation = Ablation(grid, out, processors, train)
    ablation.run(quiet)
    return ablation


def states(ablation):
    return [outcome.status for outcome in ablation.outcomes]


def lines(out="out"):
    with open(Path(out, "results.csv"), encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder, name="model.safetensors"):
    return {path.parent.name: path.read_bytes() for path in Path(folder).glob(f"*/{name}")}


def test_every_trial_is_an_ordinary_run():
    grid = small_grid({"init": ["xavier", "msra"], "activation": ["relu", "tanh"]}, lr=0.05)
    ablation = run(grid)
    assert states(ablation) == 8 * ["finished"] and ablation.signal is None
    assert ablation.folder == Path("out")
    names = [trial.name for trial in grid.trials()]
    assert sorted(os.listdir("out")) == sorted([*names, "grid.json", "results.csv"])
    trial = grid.trials()[-1]
    assert sorted(os.listdir(Path("out", trial.name))) == RUN_FILES
    Run(grid.settings(trial.arm, trial.seed, threads=1), "alone").train(quiet=True)
    assert Path("alone/model.safetensors").read_bytes() == contents("out")[trial.name]
    for line, outcome in zip(lines(), ablation.outcomes):
        summary = json.loads(Path("out", outcome.trial.name, "summary.json").read_text())
        assert float(line["test_accuracy"]) == summary["test_accuracy"]
        assert (line["folder"], int(line["seed"])) == (outcome.trial.name, outcome.trial.seed)


def test_processes_threads_and_folder_do_not_change_the_bits():
    grid = small_grid({"init": ["xavier", "msra"], "activation": ["relu", "tanh"]})
    one, two = run(grid, "one"), run(grid, "two", processors=2)
    assert states(one) == states(two) == 8 * ["finished"]
    assert len(contents("one")) == 8 and contents("one") == contents("two")


def test_what_is_done_is_kept():
    grid, calls = small_grid(), []

    def stop_at_third(settings, folder):
        calls.append(folder.name)
        if len(calls) == 3:
            (folder / "half").write_text("done")
            raise KeyboardInterrupt(signal.SIGTERM)
        train_trial(settings, folder)

    stopped = run(grid, train=stop_at_third)
    assert stopped.signal == signal.SIGTERM
    assert states(stopped) == ["finished", "finished", "not done", "not done"]
    assert [line["status"] for line in lines()] == states(stopped)
    before, summaries = contents("out"), contents("out", "summary.json")
    assert len(before) == 2
    calls.clear()

    def count(settings, folder):
        calls.append(folder.name)
        train_trial(settings, folder)

    resumed = run(grid, train=count)
    assert calls == [trial.name for trial in grid.trials()[2:]]
    assert states(resumed) == 4 * ["finished"] and resumed.signal is None
    assert not list(Path("out").glob("*/half"))
    run(grid, "whole")
    assert contents("out") == contents("whole")
    assert {k: v for k, v in contents("out", "summary.json").items() if k in before} == summaries
    calls.clear()
    assert states(run(grid, train=count)) == 4 * ["finished"] and calls == []


def test_an_interruption_while_results_are_written(monkeypatch):
    write, calls = module.write_record, []

    def strike(path, data):
        calls.append(path)
        if len(calls) == 3:  # the first is from the beginning
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(module, "write_record", strike)
    ablation = run(small_grid())
    assert ablation.signal == signal.SIGINT
    assert states(ablation) == ["finished", "finished", "not done", "not done"]
    assert [line["status"] for line in lines()] == states(ablation)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_training_in_this_process(monkeypatch, number):
    steps = []

    def strike(watch, trainer):
        steps.append(trainer.step)
        if len(steps) == 20:  # in the third training; two of compiling and training each before
            signal.raise_signal(number)

    monkeypatch.setattr(
        "minicnn.training.callbacks.gradient_watch.GradientWatch.on_step_end", strike
    )
    before = signal.getsignal(number)
    ablation = run(small_grid())
    assert ablation.signal == number and signal.getsignal(number) == before
    assert states(ablation) == ["finished", "finished", "not done", "not done"]


def test_a_diverging_arm_is_a_result(capsys):
    grid = small_grid({"lr": [0.01, 1e30]}, schedule="constant")
    ablation = run(grid, quiet=False)
    assert states(ablation) == ["finished", "diverged"] * 2
    error = ablation.outcomes[1].error
    assert "step" in error and ".dense" in error and lines()[1]["error"] == error
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("lr=0.01, seed 0: test accuracy ")
    assert printed[1].startswith("lr=1e+30, seed 0: diverged: ") and max(map(len, printed)) <= 80
    one_line = " ".join(" ".join(printed).split())
    assert f"lr=1e+30, seed 0: diverged: {error} lr=0.01, seed 1: test" in one_line
    before = contents("out", "summary.json")
    run(grid)
    assert contents("out", "summary.json") == before


def break_down(settings, folder):
    if settings["init"] == "xavier":
        raise ZeroDivisionError("by\nnothing")
    train_trial(settings, folder)


@pytest.mark.parametrize("processors", [1, 2])
def test_a_crashed_arm_is_shown_and_the_grid_goes_on(processors):
    grid = small_grid()
    ablation = run(grid, processors=processors, train=break_down)
    assert states(ablation) == ["crashed", "finished"] * 2
    assert lines()[0]["error"] == ablation.outcomes[0].error == "ZeroDivisionError: by nothing"
    report = Path("out", grid.trials()[0].name, "error.txt").read_text()
    assert "Traceback" in report and "break_down" in report
    assert states(run(grid)) == 4 * ["finished"]  # trained anew, as what is crashed may be repaired
    assert not list(Path("out").glob("*/error.txt"))


def test_a_run_that_refuses_to_begin_is_a_crash_with_its_sentence():
    def refuse(settings, folder):
        raise ArgumentError("a batch of one sample cannot be.")

    ablation = run(small_grid(seeds=1), train=refuse)
    assert ablation.outcomes[0].error == "a batch of one sample cannot be."


def die(settings, folder):
    if settings["init"] == "xavier":
        os._exit(9)
    time.sleep(0.3)
    train_trial(settings, folder)


def test_a_killed_process_is_a_crash_of_its_trial_alone():
    grid = small_grid({"init": ["xavier", "msra", "lecun"]}, seeds=1)
    ablation = run(grid, processors=2, train=die)
    assert states(ablation) == ["crashed", "finished", "finished"]
    assert "its process was killed" in lines()[0]["error"]


def test_ctrl_c_in_a_terminal_and_the_same_command_again(tmp_path):
    """All processes of the terminal get the signal."""
    base = [f"--{name.replace('_', '-')}={value}" for name, value in BASE.items()]
    words = [*base, "--ablate=init=xavier,msra", "--seeds=10", f"--out={tmp_path / 'out'}"]
    command = [sys.executable, str(CLONE / "train.py"), *words, "--epochs=20"]
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(contents("out", "summary.json")) < 3:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and err.count("\n") == 1
    assert "interrupted" in err and f"--out {tmp_path / 'out'}" in err
    done = [line["folder"] for line in lines() if line["status"] == "finished"]
    assert 2 <= len(done) < 20 and f"{len(done)} of 20 runs are done" in err
    kept = contents("out", "summary.json")
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0 and "error" not in again.stderr
    after = contents("out", "summary.json")
    assert len(after) == 20 and all(after[name] == kept[name] for name in done)
    assert [line["status"] for line in lines()] == 20 * ["finished"]


def refused(error, *words, grid, out="out", kept=()):
    with pytest.raises(error) as caught:
        Ablation(grid, out, 1)
    assert all(word in str(caught.value) for word in words)
    assert sorted(os.listdir(out) if os.path.exists(out) else []) == sorted(kept)


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"init": ["msra", "msr"]}, "init=msr cannot be: unknown initializer"),
        ({"lr": [0.1, -1.0]}, "lr=-1.0 cannot be"),
        ({"model": ["mlp:8", "convnet"]}, "model=convnet cannot be"),
        ({"schedule": ["cosine", "warmup:99"]}, "99 steps of warm-up do not fit"),
        ({"data": ["./data", "mnits"]}, "unknown data set or folder 'mnits'"),
        ({"optimizer": ["sgd", "adam"], "momentum": [0.5]}, "adam takes no momentum"),
    ],
    ids=str,
)
def test_a_bad_arm_is_found_before_anything_is_trained(axes, said):
    base = {name: value for name, value in BASE.items() if name not in axes}
    refused(ArgumentError, said, grid=Grid(axes, 2, base=base))


def test_bad_data_are_found_before_anything_is_trained(data):
    (data / "train-images-idx3-ubyte.gz").write_bytes(b"")
    refused(DataError, "train-images", grid=small_grid())


def test_the_folder_of_another_grid():
    run(small_grid(seeds=1))
    kept, before = os.listdir("out"), contents("out", "summary.json")
    for other, words in (
        (small_grid(seeds=1, epochs=3), ("has epochs 2, got 3", "one-cycle")),
        (small_grid(seeds=1, lr=0.1), ("with lr 0.03, now given is 0.1", "--ablate lr=0.03,0.1")),
        (small_grid(seeds=1, limit=9), ("with limit None, now given is 9",)),
        (small_grid({"activation": ["elu", "tanh"]}, seeds=1, init="msra"), ("activation relu",)),
    ):
        refused(ArgumentError, *words, "--out", grid=other, kept=kept)
    assert contents("out", "summary.json") == before


def count_calls(calls):
    def count(settings, folder):
        calls.append(folder.name)
        train_trial(settings, folder)

    return count


def grow(grid, out="out"):
    """Go on with a grid; give the ablation and the names of the folders that were trained in."""
    calls = []
    ablation = run(grid, out, train=count_calls(calls))
    assert states(ablation) == len(ablation.outcomes) * ["finished"]
    return ablation, calls


def test_a_grid_grows_by_seeds_and_arms_and_keeps_what_is_done():
    run(small_grid({"init": ["xavier", "msra"]}, seeds=1))
    before = contents("out", "summary.json")
    _, calls = grow(small_grid({"init": ["xavier", "msra"]}, seeds=2))
    assert calls == ["1-xavier-seed1", "2-msra-seed1"]
    _, calls = grow(small_grid({"init": ["xavier", "lecun", "msra"]}, seeds=2))
    assert calls == ["3-lecun-seed0", "3-lecun-seed1"]
    axes = {"activation": ["tanh", "relu"], "init": ["msra", "xavier"]}
    ablation, calls = grow(small_grid(axes, seeds=1))
    assert calls == ["4-tanh-msra-seed0", "5-tanh-xavier-seed0"]
    assert [o.trial.name for o in ablation.outcomes] == [*calls, "2-msra-seed0", "1-xavier-seed0"]
    after = contents("out", "summary.json")
    assert len(after) == 8 and {name: after[name] for name in before} == before
    run(small_grid(axes, seeds=1), "whole")
    for (_, names), (_, again) in zip(by_arm("out", ablation), by_arm("whole", ablation)):
        assert names == again


def by_arm(out, ablation):
    """The weights of each trial of a grid, whatever its folder is called."""
    outcomes = run(ablation.grid, out).outcomes
    return [(o.trial.arm, contents(out)[o.trial.name]) for o in outcomes]


def test_what_is_not_asked_for_is_kept_and_said():
    axes = {"init": ["xavier", "msra", "lecun"], "lr": [0.1, 0.01]}
    assert run(small_grid(axes, seeds=3)).note is None
    before = contents("out", "summary.json")
    ablation, calls = grow(small_grid({"init": ["xavier"], "lr": [0.1, 0.01]}, seeds=2))
    assert calls == [] and contents("out", "summary.json") == before
    assert len(ablation.outcomes) == 4 == len(lines())
    for words in ("14 more runs", "init=xavier, lr=0.1 (seed 2)", "lr=0.01 (seeds 0, 1, 2)"):
        assert words in ablation.note
    fewer_axes, calls = grow(small_grid({"init": ["lecun"]}, seeds=3, lr=0.01))
    assert calls == [] and "15 more runs" in fewer_axes.note
    assert run(small_grid(axes, seeds=3)).note is None


def test_a_folder_of_an_older_version_goes_on():
    grid = small_grid(seeds=1)
    run(grid)
    old = {"axes": grid.axes, "seeds": [0], "base": grid.base}
    Path("out/grid.json").write_text(json.dumps(old))
    _, calls = grow(small_grid({"init": ["zeros", "msra", "xavier"]}, seeds=2))
    assert calls == ["3-zeros-seed0", "3-zeros-seed1", "2-msra-seed1", "1-xavier-seed1"]


def test_settings_that_are_given_or_at_their_defaults_are_the_same():
    run(small_grid({"betas": [(0.8, 0.9)]}, seeds=1, optimizer="adam"))
    _, calls = grow(small_grid({"betas": [(0.8, 0.9)]}, seeds=1, optimizer="adam", lr=0.001))
    assert calls == []


def test_another_optimizer_is_another_arm():
    run(small_grid({"optimizer": ["sgd"]}, seeds=1))
    assert grow(small_grid({"optimizer": ["adam"]}, seeds=1))[1] == ["2-adam-seed0"]


def test_more_epochs_go_on_where_the_schedule_allows_it():
    axes = {"init": ["xavier", "msra"], "schedule": ["constant", "warmup:3"]}
    grid, more = (small_grid(axes, seeds=1, epochs=epochs) for epochs in (1, 3))
    run(grid)
    Path("out/2-xavier-warmup_3-seed0/checkpoint.safetensors").write_bytes(b"damaged")
    Path("out/3-msra-constant-seed0/checkpoint.safetensors").unlink()  # as older versions left it
    steps, tell = [], Run.train

    def look(run, *arguments, **named):
        steps.append(run.trainer.step)
        return tell(run, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "train", look)
        ablation, calls = grow(more)
    assert len(calls) == 4 and steps == [4, 0, 0, 4]
    assert [len(outcome.history) for outcome in ablation.outcomes] == 4 * [3]
    run(more, "whole")
    assert contents("out") == contents("whole")
    assert grow(more)[1] == []
    refused(ArgumentError, "has epochs 3, got 1", "only be given more", grid=grid,
            kept=os.listdir("out"))  # fmt: skip


def test_interrupted_among_more_epochs(monkeypatch):
    grid, more = (small_grid(seeds=1, schedule="constant", epochs=epochs) for epochs in (1, 4))
    run(grid)

    def strike(watch, trainer):
        if trainer.step == 9:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr("minicnn.training.callbacks.gradient_watch.GradientWatch.on_step_end", strike)
        stopped = run(more)
    assert states(stopped) == ["not done", "not done"] and stopped.signal == signal.SIGINT
    assert grow(more)[1] == [trial.name for trial in more.trials()]
    run(more, "whole")
    assert contents("out") == contents("whole")


def test_one_arm_with_another_schedule_forbids_more_epochs():
    axes = {"schedule": ["constant", "cosine"]}
    run(small_grid(axes, seeds=1))
    kept = os.listdir("out")
    more = small_grid(axes, seeds=1, epochs=3)
    refused(ArgumentError, "got 3", "schedule cosine", grid=more, kept=kept)
    base = {name: value for name, value in BASE.items() if name != "epochs"}
    both = Grid({"epochs": [2, 3], "schedule": ["cosine"]}, 1, base=base)
    assert grow(both)[1] == ["3-3-cosine-seed0"]
    other = Grid({"epochs": [4, 3], "schedule": ["cosine"]}, 1, base=base)
    assert grow(other)[1] == ["4-4-cosine-seed0"]


def test_the_register_is_written_whole_or_not_at_all(monkeypatch):
    run(small_grid(seeds=1))
    before, replace = Path("out/grid.json").read_bytes(), os.replace

    def fail(source, target):
        if str(target).endswith("grid.json"):
            raise OSError(28, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(ArgumentError, match="grid.json: No space left"):
            Ablation(small_grid(), "out", 1)
    assert Path("out/grid.json").read_bytes() == before
    grow(small_grid())


def test_the_order_of_axes_is_that_of_the_report_and_no_other_grid():
    axes = {"init": ["xavier"], "activation": ["relu"]}
    run(small_grid(axes, seeds=1))
    assert grow(small_grid(dict(reversed(axes.items())), seeds=1))[1] == []
    assert list(lines()[0])[:2] == ["activation", "init"]


def test_the_order_of_shared_settings_makes_no_other_grid():
    grid = small_grid(seeds=1)
    run(grid)
    assert grow(Grid(grid.axes, 1, base=dict(reversed(grid.base.items()))))[1] == []


BAD_ARM = '{"axes": {"init": ["msr"]}, "seeds": [0], "base": {}}'


@pytest.mark.parametrize("text", ["", "[1]", '{"axes": 1}', '{"axes": {}, "seeds": 1, "base": 1}'])
def test_a_grid_file_that_is_none(text):
    Path("out").mkdir()
    Path("out/grid.json").write_text(text)
    refused(ArgumentError, "cannot be read as a grid", grid=small_grid(), kept=["grid.json"])


def test_a_grid_file_with_an_arm_that_cannot_be():
    Path("out").mkdir()
    Path("out/grid.json").write_text(BAD_ARM)
    refused(ArgumentError, "an arm that cannot be: unknown initializer 'msr'", grid=small_grid(),
            kept=["grid.json"])  # fmt: skip


def test_a_folder_with_something_else():
    Path("out").mkdir()
    Path("out/mine").write_text("")
    refused(ArgumentError, "out is not empty", grid=small_grid(), kept=["mine"])


def test_the_default_folder_is_never_one_that_exists():
    folders = [Ablation(small_grid(), None, 1).folder for _ in range(2)]
    assert folders == [Path("runs/ablation-init"), Path("runs/ablation-init-2")]


def test_a_full_disk_is_told(monkeypatch):
    replace = os.replace

    def fail(source, target):
        if str(target).endswith(".safetensors") or str(target).endswith("error.txt"):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ArgumentError, match="error.txt: No space left"):
        run(small_grid())


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_two_at_once_in_one_folder():
    first = Ablation(small_grid(), "out", 1)
    with pytest.raises(ArgumentError, match="another process is at work in out"):
        Ablation(small_grid(), "out", 1)
    assert Path("out/grid.json").exists()
    first.run(quiet=True)
    assert states(run(small_grid())) == 4 * ["finished"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_a_trial_that_a_process_left_over_trains_yet():
    grid = small_grid()
    left = Path("out", grid.trials()[1].name)
    run(grid)
    (left / "summary.json").unlink()
    lock = FolderLock(left)
    with pytest.raises(ArgumentError, match=f"another process is at work in {left}"):
        run(grid)
    assert (left / "config.json").exists()
    lock.release()
    assert states(run(grid)) == 4 * ["finished"]


def test_without_joblib(monkeypatch):
    monkeypatch.setitem(sys.modules, "joblib", None)
    refused(ArgumentError, "needs joblib", "the lab extra", grid=small_grid())


def test_one_bar_counts_all_trials(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    grid = small_grid()
    run(grid, quiet=False)
    last = capsys.readouterr().err.split("\r")[-1]
    assert last.startswith("ablation: 100%") and "4/4" in last
    run(grid, quiet=True)
    assert capsys.readouterr() == ("", "")
