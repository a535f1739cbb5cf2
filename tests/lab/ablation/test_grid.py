"""Grids: how axes are written, which trials there are, what is refused."""

import itertools
from dataclasses import fields

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.lab.ablation.grid import AXES, COMMAS, Grid, label
from minicnn.training.runs.run import Run
from minicnn.training.runs.settings import Settings
from tests.lab.ablation.small_grid import small_grid, write_data
from tests.training.toys import At


def as_word(name, word):
    return word


def read(*texts, **settings):
    return Grid.from_strings(texts, as_word, **settings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("init=zeros,normal:0.01,xavier,msra", ["zeros", "normal:0.01", "xavier", "msra"]),
        ("init= zeros , msra ", ["zeros", "msra"]),
        ("init=msra", ["msra"]),
        ("init=uniform:-0.05,0.05;msra", ["uniform:-0.05,0.05", "msra"]),
        ("init=msra:fan_out,uniform", ["msra:fan_out", "uniform"]),
        ("init=msra:fan_out,uniform;", ["msra:fan_out,uniform"]),
        ("schedule=step:0.5,gamma=0.2;cosine", ["step:0.5,gamma=0.2", "cosine"]),
        ("data=a(1,2),b", ["a(1,2)", "b"]),
        ("data=p(1, [2, 3]),c,p(x='),;(')", ["p(1, [2, 3])", "c", "p(x='),;(')"]),
        ("data=a(1,2);b,c;", ["a(1,2)", "b,c"]),
        ("data=it's,b(1;2),c", ["it's", "b(1;2)", "c"]),
        ("data=a(1,2", ["a(1", "2"]),
        ("data=a)1,2", ["a)1", "2"]),
    ],
)
def test_values_stand_between_semicolons_if_there_is_one_else_commas(text, expected):
    ((name, values),) = read(text).axes.items()
    assert list(values) == expected and name == text.partition("=")[0]


def test_words_become_values_by_the_names_of_the_settings():
    def convert(name, word):
        return {"batch_size": int, "lr": float}[name](word)

    axes = ["batch-size=16,32", "lr=0.1,1e-2"]
    grid = Grid.from_strings(axes, convert)
    assert grid.axes == {"batch_size": (16, 32), "lr": (0.1, 0.01)}


def test_every_setting_but_seed_and_threads_can_be_an_axis():
    assert {*AXES, "seed", "threads"} == {f.name for f in fields(Settings) if f.init}
    changed = {
        "init": "zeros", "model": "mlp:4", "activation": "tanh", "algorithm": "direct",
        "data": "elsewhere", "epochs": 7, "batch_size": 3, "optimizer": "rmsprop", "lr": 0.3,
        "momentum": 0.1, "weight_decay": 0.2, "label_smoothing": 0.1, "schedule": "cosine",
        "limit": 9, "image_size": 32, "skip_bad": True, "validation": 0.1, "augment": "flip",
        "class_weights": "balanced",
    }  # fmt: skip
    for name, value in changed.items():
        grid = Grid({name: [value]})
        assert getattr(grid.settings(grid.arms()[0], 0), name) == value
    grid = Grid({"betas": [(0.8, 0.9)]}, base={"optimizer": "adam"})
    assert grid.settings(grid.arms()[0], 0).betas == (0.8, 0.9)


def test_the_trials_are_all_combinations_with_every_seed():
    axes = {"init": ["zeros", "msra"], "activation": ["relu", "tanh"], "lr": [0.1, 0.2, 0.3]}
    grid = Grid(axes, seeds=2, first_seed=5, base={"epochs": 1})
    trials = grid.trials()
    combinations = list(itertools.product(*axes.values()))
    assert [tuple(trial.arm.values()) for trial in trials] == 2 * combinations
    assert [trial.seed for trial in trials] == 12 * [5] + 12 * [6]
    assert len({trial.name for trial in trials}) == 24
    assert trials[0].name == "01-zeros-relu-0.1-seed5"
    settings = grid.settings(trials[-1].arm, trials[-1].seed)
    assert settings == Settings(init="msra", activation="tanh", lr=0.3, seed=6, epochs=1)
    assert label(trials[0].arm) == "init=zeros, activation=relu, lr=0.1"


def test_axes_and_base_change_a_recipe():
    recipe = {"lr": 0.5, "epochs": 2, "model": "quick"}
    grid = read("model=mlp:4,mlp:5", recipe=recipe, base={"lr": 0.1}, seeds=1)
    assert grid.base == {"lr": 0.1, "epochs": 2}


def test_folders_differ_where_names_for_files_would_not():
    grid = Grid({"data": ["normal:0.1", "normal 0.1", "uniform:-0.1,0.1"]}, seeds=1)
    names = [trial.name for trial in grid.trials()]
    assert len(set(names)) == 3 and not set("".join(names)) & set(":,= ")
    long = Grid({"init": ["uniform:" + "0" * 300 + ".1", "zeros"]}, seeds=1)
    assert all(len(trial.name) < 120 for trial in long.trials())


def test_the_arms_of_a_seed_see_the_same_batches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    grid = small_grid({"init": ["zeros", "msra"], "activation": ["relu", "tanh"], "lr": [0.01]})
    seen = {}
    for trial in grid.trials():
        run, batches = Run(grid.settings(trial.arm, trial.seed), trial.name), []
        look = At("on_loss", lambda t: True, lambda t, b=batches: b.append(t.batch.x.copy()))
        run.train(quiet=True, callbacks=[look])
        seen.setdefault(trial.seed, []).append(np.concatenate(batches))
    for arms in seen.values():
        assert len(arms) == 4 and all((arm == arms[0]).all() for arm in arms)
    assert (seen[0][0] != seen[1][0]).any()


BAD = [
    (["init"], "axis 'init': expected OPTION=A,B"),
    (["init="], "axis init is empty"),
    (["init= ; "], "axis init is empty"),
    (["init=zeros,,msra"], "axis init: a value is missing in 'zeros,,msra'"),
    (["init=;zeros"], "axis init: a value is missing"),
    (["inti=zeros"], "unknown axis 'inti'. Did you mean 'init'"),
    (["out=a,b"], "unknown axis 'out'"),
    (["seed=1,2"], "seed can be no axis of a grid: --seeds N"),
    (["threads=1,2"], "threads can be no axis of a grid: no result depends on it"),
    (["init=zeros", "init=msra"], "axis init is given twice"),
    (["batch-size=1", "batch_size=2"], "axis batch_size is given twice"),
    (["init=zeros,msra,zeros"], "axis init has a value twice: zeros, msra, zeros"),
    (["init=zeros,msr"], "the arm init=msr cannot be: unknown initializer 'msr'"),
    (["activation=relu", "init=msr"], "the arm activation=relu, init=msr cannot be"),
    ([], "the grid is empty: give at least one axis"),
]


@pytest.mark.parametrize(("texts", "said"), BAD, ids=[said for _, said in BAD])
def test_refused(texts, said):
    with pytest.raises(ArgumentError) as caught:
        read(*texts)
    assert str(caught.value).startswith(said) and COMMAS not in str(caught.value)


@pytest.mark.parametrize("text", ["init=uniform:-0.05,0.05", "init=zeros,uniform:-0.05,0.05"])
def test_values_cut_at_their_own_commas_get_a_hint(text):
    with pytest.raises(ArgumentError) as caught:
        read(text)
    assert "'0.05'" in str(caught.value) and str(caught.value).endswith(COMMAS)
    assert read(text.replace(",uni", ";uni") + ";")


@pytest.mark.parametrize(
    ("text", "one", "other"),
    [
        ("init=he,xavier,msra", "he", "msra"),
        ("init=zeros,kaiming,he", "kaiming", "he"),
        ("init=xavier:uniform;glorot", "xavier:uniform", "glorot"),
        ("init=normal:0.1,normal:std=1e-1", "normal:0.1", "normal:std=1e-1"),
        ("init=dirac,identity", "dirac", "identity"),
        ("model=mlp:4x2;mlp:4,4", "mlp:4x2", "mlp:4,4"),
        ("model=plain8,plain08", "plain8", "plain08"),
        ("activation=leaky-relu,tanh,leaky-relu:1e-2", "leaky-relu", "leaky-relu:1e-2"),
        ("activation=prelu:channel,0.25;prelu:channel", "prelu:channel,0.25", "prelu:channel"),
        ("schedule=step;step:0.5,0.75", "step", "step:0.5,0.75"),
        ("data=./there,there/", "./there", "there/"),
    ],
)
def test_two_names_of_the_same_value(text, one, other):
    with pytest.raises(ArgumentError) as caught:
        read(text)
    assert f"a value twice: {one} and {other} are the same. Leave one" in str(caught.value)


def test_values_that_differ_in_a_digit_are_two():
    for axis in (
        {"activation": ["leaky-relu", "leaky-relu:0.0100000001", "prelu:0.01", "prelu:channel"]},
        {"init": ["msra", "msra:fan_out", "rezero", "normal:0.1", "normal:0.1000001"]},
        {"model": ["mlp:4", "mlp:4,4", "plain4", "resnet8"]},
        {"data": ["mnist", "./mnist"]},
    ):  # fmt: skip
        assert Grid(axis)


def test_refused_as_well():
    with pytest.raises(ArgumentError, match="seeds must be an integer of at least 1, got 0"):
        Grid({"init": ["zeros"]}, seeds=0)
    with pytest.raises(ArgumentError, match="axis init is empty"):
        Grid({"init": []})
    with pytest.raises(ArgumentError, match="init is an axis of the grid and given besides"):
        Grid({"init": ["zeros"]}, base={"init": "msra"})
    with pytest.raises(ArgumentError, match="unknown axis 'colour'"):
        Grid({"init": ["zeros"]}, base={"colour": "red"})


def test_check_looks_at_every_arm():
    grid, seen = Grid({"init": ["zeros", "msra"], "lr": [0.1, 0.2]}), []
    grid.check(lambda settings: seen.append((settings.init, settings.lr)))
    assert seen == [("zeros", 0.1), ("zeros", 0.2), ("msra", 0.1), ("msra", 0.2)]
    with pytest.raises(ArgumentError, match="the arm lr=-1.0 cannot be: .*lr must be"):
        Grid({"lr": [0.1, -1.0]}).check()


@pytest.mark.parametrize("values", [iter(["zeros", "msra"]), "msra", 5, {"msra"}])
def test_values_of_an_axis_are_a_list(values):
    with pytest.raises(ArgumentError, match="axis init must be a list of values"):
        Grid({"init": values})
