"""``minicnn predict``, ``evaluate`` and ``show``: a trained run is asked about pictures."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minicnn.cli.main import main
from minicnn.data import load
from minicnn.errors import ArgumentError
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.training.evaluation import Evaluation
from minicnn.training.runs.trained import load_run, softmax

KINDS = ("filters", "features", "confusion", "errors", "saliency", "curves")
NAMES = ("cat", "dog", "emu")


def picture(label, seed):
    """A bright third, the first, second or last, on noise."""
    pixels = np.random.default_rng(seed).integers(0, 60, (12, 12, 3), dtype=np.uint8)
    pixels[:, 4 * label : 4 * label + 4] += 150
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with pictures, and two runs that were trained on them."""
    root = tmp_path_factory.mktemp("home")
    for number, (part, count) in enumerate((("train", 20), ("test", 6))):
        for label, name in enumerate(NAMES):
            (root / "pets" / part / name).mkdir(parents=True)
            for i in range(count):
                image = picture(label, 1000 * number + 100 * label + i)
                image.save(root / "pets" / part / name / f"{i}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        for seed in (0, 1):
            words = ["--data", "./pets", "--model", "./net.py:build", "--epochs", 6]
            words += ["--validation", 0.2, "--augment", "flip:0.1", "--batch-size", 8]
            words += ["--lr", 0.02, "--schedule", "constant", "--seed", seed]
            words += ["--out", f"run{seed}", "--quiet"]
            (root / "net.py").write_text(NET)
            assert main(list(map(str, words))) == 0
        yield root


NET = """
from minicnn import Sequential
from minicnn.layers import Conv2d, Dense, Flatten, MaxPool2d

def build(classes, activation, init):
    return Sequential(
        Conv2d(4, 3, padding=1, init=init), activation(), MaxPool2d(2), Flatten(),
        Dense(classes, init=init),
    )
"""


@pytest.fixture
def command(home, capsys):
    def run(*words):
        code = main(list(map(str, words)))
        said = capsys.readouterr()
        return code, said.out, said.err

    capsys.readouterr()
    return run


def test_predict_names_the_classes(home, command):
    for label, name in enumerate(NAMES):
        picture(label, 9000 + label).resize((48, 48)).save(home / f"{name}.png")
    paths = [f"{name}.png" for name in NAMES]
    code, out, err = command("predict", "run0", *paths)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert [line[:2] for line in lines[1:]] == [[f"{name}.png", name] for name in NAMES]
    assert err.count("its middle was resized to 12 x 12") == 3
    code, out, err = command("predict", "run0", *paths, "--json", "--top", 2)
    rows = json.loads(out)
    assert [row["classes"][0]["class"] for row in rows] == list(NAMES)
    assert all(len(row["classes"]) == 2 for row in rows)
    code, out, _ = command("predict", "run0", *paths, "--csv", "--top", 3)
    table = list(csv.DictReader(io.StringIO(out)))
    assert [row["class 1"] for row in table] == list(NAMES)
    total = sum(float(table[0][f"probability {n}"]) for n in (1, 2, 3))
    assert total == pytest.approx(1, abs=1e-12)


def test_predictions_are_those_of_the_model(home):
    trained = load_run("run0")
    assert trained.path.name == "best.safetensors" and trained.class_names == NAMES
    _, test = load("./pets")
    shares = trained.probabilities(test.images)
    scores = trained.model.predict(trained.normalized(test.images)).astype(np.float64)
    expected = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(shares, expected, rtol=1e-12)
    np.testing.assert_allclose(trained.normalized(test.images), test.normalized(slice(None)))


def test_views_of_an_image_are_averaged(home):
    trained = load_run("run0")
    images = load("./pets")[1].images
    wide = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    scores = np.zeros((len(images), 3))
    for weight, at in ((0.25, 0), (0.5, 1), (0.25, 2)):
        moved = wide[:, :, at : at + 12, at : at + 12]
        for view in (moved, moved[..., ::-1]):
            scores += weight / 2 * trained.model.predict(trained.normalized(view))
    found = trained.probabilities(images, flip=True, shift=1)
    np.testing.assert_allclose(found, softmax(scores), rtol=1e-5)
    with pytest.raises(ArgumentError, match="moved by 12 pixels"):
        trained.probabilities(images, shift=12)


def test_a_run_is_asked_as_it_was_evaluated(home, command):
    """Its settings hold unless others are given; the accuracy is the one of its summary."""
    words = ["--data", "./pets", "--model", "./net.py:build", "--epochs", 1, "--eval-flip"]
    assert command(*words, "--eval-shift", 1, "--out", "viewed")[0] == 0
    trained, (_, test) = load_run("viewed"), load("./pets")
    assert trained.views() == (True, 1) and trained.views(False, 0) == (False, 0)
    evaluation = Evaluation(trained.model, True, 1)
    totals, predicted = evaluation(SoftmaxCrossEntropy(), evaluation.batches(test))
    shares = trained.probabilities(test.images)
    np.testing.assert_array_equal(shares.argmax(1), predicted)
    _, out, err = command("evaluate", "viewed", "--json")
    row = json.loads(out)["runs"][0]
    assert (row["flip"], row["shift"]) == (True, 1)
    assert row["loss"] == pytest.approx(totals.loss, rel=1e-5)
    _, _, err = command("evaluate", "viewed")
    assert "viewed looks at each image and its mirror image" in err and "--no-flip" in err
    _, out, err = command("evaluate", "viewed", "--json", "--no-flip", "--shift", 0)
    row = json.loads(out)["runs"][0]
    assert (row["flip"], row["shift"]) == (False, 0) and "looks at" not in err
    plain = trained.probabilities(test.images, False, 0)
    assert row["loss"] == pytest.approx(-np.log(plain[range(18), test.labels]).mean())


def test_evaluate_counts_what_is_right_and_lets_runs_vote(home, command):
    code, out, _ = command("evaluate", "run0", "run1", "--json")
    found = json.loads(out)
    _, test = load("./pets")
    each = [load_run(run).probabilities(test.images) for run in ("run0", "run1")]
    each.append(np.mean(each, axis=0))
    for row, shares in zip(found["runs"], each):
        assert row["accuracy"] == pytest.approx(np.mean(shares.argmax(1) == test.labels))
        chosen = shares[np.arange(18), test.labels]
        assert row["loss"] == pytest.approx(-np.log(chosen).mean())
    summary = json.loads(Path("run0/summary.json").read_text())
    assert found["runs"][0]["accuracy"] == pytest.approx(summary["test_accuracy_of_best"])
    code, out, _ = command("evaluate", "run0", "run1", "--flip", "--shift", 1)
    assert code == 0 and "all 2 together" in out


@pytest.mark.parametrize("kind", KINDS)
def test_show_draws_a_figure(home, command, kind):
    for ending in ("png", "svg"):
        code, out, err = command("show", "run0", kind, "--out", f"{kind}.{ending}")
        if kind == "errors" and code:
            assert "makes no error" in err
            return
        assert code == 0 and out == f"written to {kind}.{ending}\n", err
    with Image.open(f"{kind}.png") as image:
        assert np.ptp(np.asarray(image.convert("L"))) > 100  # not blank
    assert Path(f"{kind}.svg").read_text().startswith("<?xml")


def test_show_an_own_picture_and_a_layer(home, command):
    picture(1, 5).save("mine.png")
    words = ("show", "run0", "features", "--picture", "mine.png", "--layer", "0.conv2d")
    code, _, err = command(*words)
    assert code == 0 and Path("run0/features.png").exists(), err
    code, _, err = command("show", "run0", "features", "--layer", "conv9")
    assert code == 2 and "there are 0.conv2d" in err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("predict", "nowhere", "x.png"), 3, "nowhere: no such run"),
        (("predict", "pets", "x.png"), 3, "the run has not finished"),
        (("predict", "run0", "none.png"), 3, "none.png cannot be read as an image"),
        (("predict", "run0"), 2, "the following arguments are required: PICTURE"),
        (("predict", "run0", "x.png", "--top", "0"), 2, "--top must be"),
        (("predict", "run0/metrics.jsonl", "x.png"), 3, "metrics.jsonl"),
        (("evaluate", "run0", "--data", "digits"), 3, "the run is of (3, 12, 12) in 3"),
        (("evaluate", "run0", "--shift", "-1"), 2, "--shift"),
        (("show", "run0", "everything"), 2, "invalid choice"),
        (("show", "run0", "filters", "--out", "x.doc"), 2, "ends in .png, .svg, .pdf"),
        (("show", "run0", "saliency", "--image", "18"), 2, "--image must be from 0 to 17"),
        (("show", "nowhere", "curves"), 3, "metrics.jsonl: cannot be read"),
    ],
)
def test_what_cannot_be_asked(home, command, words, code, message):
    found, out, err = command(*words)
    assert (found, out) == (code, "") and message in err and err.count("\n") <= 2


def test_a_file_that_has_changed_is_not_executed(home, command, tmp_path, monkeypatch):
    (home / "net.py").write_text(NET + "raise SystemExit\n")
    try:
        code, _, err = command("predict", "run0", "cat.png")
    finally:
        (home / "net.py").write_text(NET)
    assert code == 2 and "net.py" in err and "changed" in err


def test_help_of_each_command(command):
    for name in ("predict", "evaluate", "show", "doctor"):
        code, out, _ = command(name, "--help")
        assert code == 0 and out.startswith(f"usage: minicnn {name}")
    code, out, _ = command("--data", "help")
    assert code == 0 and "fashion-mnist" in out and "x_train" in out
