"""The command line: exit codes, one clear sentence for what is wrong, nothing half-written."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import minicnn
from minicnn import initializers
from minicnn.cli.main import main
from minicnn.cli.options import RECIPES
from minicnn.layers.activations import ACTIVATIONS
from minicnn.models import zoo
from minicnn.optimizers import OPTIMIZERS
from minicnn.parameter import Parameter
from minicnn.schedules import SCHEDULES
from minicnn.training.runs import run as run_module
from minicnn.training.runs.settings import Settings
from tests.data.idx_files import NAMES, digits, write_folder, write_idx
from tests.training.toys import At

CLONE = Path(minicnn.__file__).parents[1]
FILES = [
    "checkpoint.safetensors", "config.json", "metrics.jsonl",
    "model.safetensors", "steps.jsonl", "summary.json",
]  # fmt: skip
PREVIOUS = "checkpoint.previous.safetensors"


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """A folder of small data that is also what the name mnist stands for."""
    monkeypatch.chdir(tmp_path)
    folder = write_folder(tmp_path / "data", digits(train=50, test=21), NAMES)
    monkeypatch.setenv("MINICNN_DATA", str(folder))
    return folder


@pytest.fixture
def command(capsys):
    """Runs a command line; returns its exit code, what it printed, and its errors."""

    def run(*words, small=True):
        small_run = ["--model", "mlp:8", "--batch-size", "16", "--epochs", "2"] if small else []
        code = main([*small_run, *map(str, words)])
        return code, *capsys.readouterr()

    return run


def summary(folder="out"):
    return json.loads(Path(folder, "summary.json").read_text())


def refused(result, code, *words):
    """The exit code, and one line on stderr that holds the words."""
    given, out, err = result
    assert given == code and out == ""
    assert err.startswith("error: ") and err.count("\n") == 1 and "Traceback" not in err
    for word in words:
        assert word in err
    assert not os.path.exists("out") and not os.path.exists("runs")
    return True


def test_a_finished_run(command):
    code, out, err = command("--init", "xavier", "--out", "out", "--seed", 3)
    assert code == 0 and "error" not in err
    assert sorted(os.listdir("out")) == FILES
    lines = out.splitlines()
    assert lines[0].split()[:2] == ["layer", "output"]
    assert "1.dense" in out and "weight: xavier" in out
    assert sum(line.startswith("epoch ") for line in lines) == 2
    result, accuracy = summary(), 100 * summary()["test_accuracy"]
    assert result["status"] == "finished"
    assert lines[-4].split() == ["status", "finished"]
    assert lines[-3].startswith(f"test accuracy  {accuracy:.2f} % after 2 epochs")
    assert f"{result['images_per_second']:,.0f} images/s" in lines[-2]
    assert lines[-1].split() == ["written", "to", "out"]
    config = json.loads(Path("out/config.json").read_text())
    assert (config["init"], config["seed"], config["model"]) == ("xavier", 3, "mlp:8")


def test_the_defaults_of_the_contract(command):
    assert command("--out", "out")[0] == 0
    config = json.loads(Path("out/config.json").read_text())
    assert command("--out", "small", "--data", "data", "--batch-size", 7, "--quiet")[0] == 0
    expected = {
        "init": "msra", "activation": "relu", "data": "mnist", "optimizer": "sgd",
        "momentum": 0.9, "weight_decay": 0, "label_smoothing": 0, "schedule": "one-cycle",
        "seed": 0, "limit": None, "threads": numba.config.NUMBA_NUM_THREADS,
    }  # fmt: skip
    assert {name: config[name] for name in expected} == expected
    from minicnn.training.runs.settings import Settings

    assert (Settings().model, Settings().batch_size) == ("lenet5", 64)


def test_all_options_reach_the_run(command):
    words = (
        "--activation tanh --optimizer rmsprop --lr 0.002 --momentum 0.5 --weight-decay 0.01"
        " --label-smoothing 0.1 --class-weights balanced --schedule cosine --seed 4"
        " --threads 1 --limit 33 --data ./data"
    )
    assert command(*words.split(), "--out", "out")[0] == 0
    config = json.loads(Path("out/config.json").read_text())
    expected = {
        "activation": "tanh", "optimizer": "rmsprop", "lr": 0.002, "momentum": 0.5,
        "weight_decay": 0.01, "label_smoothing": 0.1, "schedule": "cosine", "seed": 4,
        "threads": 1, "limit": 33, "data": "./data", "epochs": 2, "batch_size": 16,
        "class_weights": "balanced",
    }  # fmt: skip
    assert {name: config[name] for name in expected} == expected
    assert config["data_set"]["train_images"] == 33 and config["total_steps"] == 6


def test_quiet_prints_the_result_only(command):
    code, out, err = command("--quiet", "--out", "out")
    assert code == 0 and err == "" and len(out.strip().splitlines()) == 4


def test_the_default_folder_is_never_one_that_exists(command):
    for expected in ("runs/mlp_8-relu-normal_0.01-sgd-5", "runs/mlp_8-relu-normal_0.01-sgd-5-2"):
        code, out, _ = command("--init", "normal:0.01", "--seed", 5, "--quiet")
        assert code == 0 and Path(out.split()[-1]).as_posix() == expected
        assert sorted(os.listdir(expected)) == FILES


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_any_batch_size(command, size):
    assert command("--batch-size", size, "--out", "out", "--epochs", 1)[0] == 0
    assert summary()["status"] == "finished"


def test_zero_weights_are_explained(command):
    code, out, _ = command("--init", "zeros", "--lr", "0.01", "--out", "out")
    assert code == 0 and "Every weight gradient was exactly 0 in all 8 steps" in out
    assert summary()["predicted_classes"] == 1
    assert "exactly 0" not in command("--init", "msra", "--out", "other")[1]


def test_a_diverged_run(command):
    code, out, err = command("--lr", "1e30", "--schedule", "constant", "--out", "out")
    assert code == 4 and err.count("error: ") == 1 and "Traceback" not in err
    assert " in step " in err and ".dense" in err
    assert sorted(os.listdir("out")) == FILES[1:]
    assert summary()["status"] == "diverged" and summary()["train_loss"] is None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run(command, monkeypatch, number, code):
    strike = At("on_loss", lambda t: t.step == 5, lambda t: signal.raise_signal(number))
    monkeypatch.setattr(run_module, "Progress", lambda: strike)
    given, _, err = command("--out", "out")
    assert given == code and "interrupted; what was done is saved, --resume out goes on." in err
    assert sorted(os.listdir("out")) == sorted([*FILES, PREVIOUS])
    assert summary()["status"] == "interrupted" and summary()["epochs"] == 1


def test_interrupted_before_anything_is_there(command, monkeypatch):
    def interrupt(name, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr("minicnn.data.sources.load", interrupt)
    assert refused(command(), 130, "interrupted")


def test_help_names_what_can_be_chosen(command):
    """The lists stand in the options' text, as to load them takes longer than to answer."""
    words = re.sub(r"-\s+", "-", command("--help", small=False)[1])
    for name in (*ACTIVATIONS, *SCHEDULES, *OPTIMIZERS):
        assert re.search(rf"\b{name}\b", words), name


def test_help_and_version(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = command("--help", small=False)
    assert code == 0 and all(word in out for word in ("--init", "--weight-decay", "Exit codes"))
    assert command("--version", small=False)[:2] == (0, f"minicnn {minicnn.__version__}\n")
    code, out, _ = command("--model", "help", small=False)
    assert code == 0 and out.startswith(zoo.help() + "\n") and "./net.py:build" in out
    code, out, _ = command("--init", "help", small=False)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[:-2]] == initializers.names()


@pytest.mark.parametrize("option", ["--model", "--init"])
def test_help_fits_the_terminal(command, monkeypatch, option):
    monkeypatch.setenv("COLUMNS", "80")
    _, narrow, _ = command(option, "help", small=False)
    assert max(map(len, narrow.splitlines())) <= 80
    monkeypatch.setenv("COLUMNS", "200")
    assert narrow.split() == command(option, "help", small=False)[1].split()


BAD_ARGUMENTS = [
    ("--init msr", "initializer 'msr'", "'msra'"),
    ("--init normal:-1", "std must be", "-1"),
    ("--init normal:x", "'x'"),
    ("--model lenet", "model 'lenet'", "'lenet5'"),
    ("--model plain3", "at least 4 layers"),
    ("--model mlp:0", "'0'"),
    ("--activation rely", "activation 'rely'", "'relu'"),
    ("--optimizer adm", "optimizer 'adm'", "'adam'"),
    ("--optimizer adam --momentum 0.9", "adam takes no momentum"),
    ("--betas 0.9,0.99", "sgd takes no betas, its momentum", "adam, adamw, nadam or lion"),
    ("--optimizer adagrad --momentum 0", "adagrad takes no momentum: leave out", "sgd, rmsprop or"),
    ("--optimizer adam --betas 0.9", "betas must be a pair", "(0.9,)"),
    ("--betas a,b", "--betas", "numbers between commas", "'a,b'"),
    ("--recipe fast", "unknown recipe 'fast'", "Did you mean 'fastest'"),
    ("--schedule cosin", "schedule 'cosin'", "'cosine'"),
    ("--schedule warmup:99", "99 steps of warm-up do not fit"),
    ("--data mnits", "data set or folder 'mnits'", "'mnist'"),
    ("--epochs 0", "epochs must be", "at least 1", "0"),
    ("--epochs 1.5", "--epochs", "1.5"),
    ("--batch-size 0", "batch_size must be", "at least 1", "0"),
    ("--batch-size -16", "batch_size must be", "-16"),
    ("--lr 0", "lr must be", "above 0"),
    ("--lr nan", "lr must be", "nan"),
    ("--momentum 1", "momentum must be", "[0, 1)", "1.0"),
    ("--weight-decay -1", "weight_decay must be", "-1"),
    ("--class-weights even", "class_weights must be balanced or numbers", "'even'"),
    ("--class-weights 1,2", "class_weights must have a number for each", "got 2"),
    ("--label-smoothing 1", "label_smoothing must be", "[0, 1)"),
    ("--seed -1", "seed must be", "-1"),
    ("--threads 0", "threads must be", "0"),
    ("--threads 100000", "threads must be from 1 to", "100000"),
    ("--limit 0", "limit must be", "0"),
    ("--lr", "--lr", "expected one argument"),
    ("--learning-rate 1", "--learning-rate", "--help"),
    ("--ep 1", "--ep", "--help"),
    ("--ablate inti=zeros,msra", "unknown axis 'inti'", "'init'"),
    ("--ablate init", "axis 'init'", "init=zeros,msra"),
    ("--ablate init=", "axis init is empty"),
    ("--ablate init=msra --ablate init=zeros", "axis init is given twice"),
    ("--ablate init=zeros,msr", "the arm init=msr", "'msra'"),
    ("--ablate lr=0.1,x", "--lr", "'x'"),
    ("--ablate lr=0.1,-1", "the arm lr=-1.0", "lr must be", "above 0"),
    ("--ablate init=uniform:-0.05,0.05", "'0.05'", "semicolons"),
    ("--ablate optimizer=adam --ablate betas=0.8,0.9", "betas must be a pair", "semicolons"),
    ("--ablate seed=1,2", "seed can be no axis", "--seeds"),
    ("--ablate schedule=cosine,warmup:99", "schedule=warmup:99", "do not fit"),
    ("--ablate init=zeros --init msra", "init is an axis", "leave one of the two out"),
    ("--ablate init=zeros,msra --seeds 0", "seeds must be", "at least 1", "0"),
    ("--ablate init=zeros,msra --seeds x", "--seeds", "'x'"),
    ("--ablate init=zeros,msra --threads 0", "threads must be", "0"),
    ("--ablate init=zeros,msra --profile", "--profile", "leave it out"),
    ("--ablate init=help", "unknown initializer 'help'"),
    ("--seeds 3", "grid is empty", "--ablate"),
    ("--ablate init=zeros,msra --resume x", "--resume", "leave it out"),
    ("--ablate init=zeros,msra --checkpoint-every 5", "--checkpoint-every", "leave it out"),
    ("--preflight --checkpoint-every 5", "--checkpoint-every", "out"),
    ("--preflight --resume x", "--resume", "out"),
    ("--checkpoint-every 0", "checkpoint-every must be", "1epoch", "'0'"),
    ("--resume x", "nothing was begun in x", "no such folder"),
    ("--resume data", "nothing was begun in data", "no config.json"),
    ("--resume data --out out", "--resume", "leave --out out"),
]


@pytest.mark.parametrize(("words", "expected"), [(words, said) for words, *said in BAD_ARGUMENTS])
def test_bad_arguments(command, words, expected):
    assert refused(command(*words.split()), 2, *expected)


def test_images_that_are_too_small_for_the_model(command):
    result = command("--model", "convnet")
    assert refused(result, 2, "conv2d", "3x3 window", "would be empty", "(32,")


def test_a_folder_with_another_run(command):
    assert command("--out", "mine")[0] == 0
    before = {name: Path("mine", name).read_bytes() for name in FILES}
    assert refused(command("--out", "mine"), 2, "mine is not empty", "--out")
    assert {name: Path("mine", name).read_bytes() for name in os.listdir("mine")} == before


@pytest.mark.parametrize("out", ["data/note", "data/note/inside"])
def test_a_folder_that_cannot_be_made(command, data, out):
    (data / "note").write_text("a file")
    assert refused(command("--out", out), 2, f"cannot write {out}")
    assert (data / "note").read_text() == "a file"


def test_a_folder_that_cannot_be_written(command, monkeypatch):
    def fail(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", fail)
    assert refused(command("--out", "out"), 2, "config.json: Permission denied")


def test_a_disk_that_is_full_at_the_end(command, monkeypatch):
    replace = os.replace

    def fail(source, target):
        if str(target).endswith("summary.json"):
            raise OSError(28, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        code, _, err = command("--quiet", "--out", "out")
    assert code == 2 and err.count("\n") == 1 and "summary.json: No space left" in err
    assert sorted(set(os.listdir("out")) - {PREVIOUS}) == FILES[:-1]
    assert "--resume out goes on" in err and command("--resume", "out", small=False)[0] == 0


def test_missing_data(command, monkeypatch, tmp_path):
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path / "nowhere"))
    assert refused(command(), 3, "MNIST was not found", "MINICNN_DATA")
    assert refused(command("--data", "./nowhere"), 3, "no such folder")


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-7], lambda b: b + b"\0", lambda b: b[:2] + b"\x0b" + b[3:], lambda b: b""],
    ids=["truncated", "oversized", "wrong type", "empty"],
)
@pytest.mark.parametrize("name", NAMES)
def test_damaged_data(command, data, name, damage):
    path = data / name
    path.write_bytes(damage(path.read_bytes()))
    assert refused(command(), 3, name)


def test_a_recipe_is_changed_by_the_options_beside_it(command):
    code, *_ = command("--recipe", "fastest", "--model", "mlp:8", "--out", "out", small=False)
    assert code == 0
    config = json.loads(Path("out", "config.json").read_text())
    assert config["model"] == "mlp:8"
    for setting, value in RECIPES["fastest"].items():
        if setting != "model":
            assert config[setting] == (list(value) if setting == "betas" else value)
    assert config["optimizer_settings"]["betas"] == list(RECIPES["fastest"]["betas"])


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_of_settings_that_go_together(name):
    settings = Settings(**RECIPES[name])
    assert settings.name() and settings.make_optimizer([Parameter(np.zeros(2, np.float32))])


def test_labels_outside_the_classes(command, data):
    write_idx(data / NAMES[1], np.full(50, 10, np.uint8))
    assert refused(command(), 3, "mnist training set", "outside the classes 0 to 9")


def test_too_little_memory(command, monkeypatch):
    def build(*arguments, **named):
        raise MemoryError

    monkeypatch.setattr(zoo, "build", build)
    assert refused(command(), 2, "not enough memory", "--batch-size")


def fresh_process(*words):
    environment = {k: v for k, v in os.environ.items() if k != "MINICNN_DATA"}
    words = [sys.executable, *map(str, words)]
    result = subprocess.run(words, cwd=CLONE, env=environment, capture_output=True, text=True)
    assert "Traceback" not in result.stderr
    return result


def test_train_py_on_the_real_data(tmp_path):
    out, small = tmp_path / "out", "--model mlp:16 --limit 256 --batch-size 16 --epochs 1"
    result = fresh_process("train.py", *small.split(), "--out", out)
    assert result.returncode == 0 and "test accuracy" in result.stdout
    assert sorted(os.listdir(out)) == FILES
    assert summary(out)["test_accuracy"] > 0.3


def test_the_package_is_the_same_command():
    result = fresh_process("-m", "minicnn", "--init", "zero")
    assert result.returncode == 2 and "Did you mean 'zeros'" in result.stderr


def test_a_learning_rate_is_found_and_nothing_else_is_written(command, tmp_path):
    pytest.importorskip("matplotlib")
    code, out, err = command("--find-lr", "--out", "lr.png")
    assert (code, err) == (0, "") and re.search(r"try a third of it, --lr [0-9.e-]+\n", out)
    assert Path("lr.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(os.listdir(tmp_path)) == ["data", "lr.png"]
    code, _, err = command("--find-lr", "--out", "lr.doc")
    assert code == 2 and "expected a name that ends in .png" in err


def test_one_batch_is_learned_or_not(command, tmp_path):
    code, out, _ = command("--overfit-batch", "--lr", 0.5)
    assert code == 0 and "the network can learn it" in out
    code, out, _ = command("--overfit-batch", "--init", "zeros")
    assert code == 1 and "does not learn it" in out
    code, _, err = command("--overfit-batch", "--out", "x")
    assert code == 2 and "leave --out out" in err
    assert os.listdir(tmp_path) == ["data"]
