"""The certificate and the callback that records it."""

import json

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.lab.symmetry.certificate import SymmetryWatch, certify, numerical_rank
from minicnn.layers import Dense
from minicnn.models import Sequential, zoo
from tests.training.toys import dense_model, trainer


def built(name, init, shape=(1, 16, 16)):
    model = zoo.build(name, init=init)
    model.initialize(shape, seed=1)
    return model


def test_constant_weights():
    model = built("lenet5", "constant:0.1")
    start = model.state_dict()
    certificate = certify(model)
    assert certificate.tied
    assert [row.layer for row in certificate.layers] == [
        "0.conv2d", "3.conv2d", "7.dense", "9.dense", "11.dense",
    ]  # fmt: skip
    for row in certificate.layers[:-1]:
        assert (row.classes, row.rank, row.distinct) == ((tuple(range(row.units)),), 1, 1)
    last = certificate["11.dense"]  # each score has a label of its own
    assert last.classes == tuple((n,) for n in range(10)) and (last.rank, last.distinct) == (1, 1)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, start[name])


@pytest.mark.parametrize("name", ["inception", "densenet7", "unet"])
def test_networks_of_branches(name):
    certificate = certify(built(name, "constant:0.1"))
    for row in certificate.layers[:-1]:  # an image has one channel, so all taps are alike
        if row.rank is None:  # a normalization behind concatenations has a class a branch
            assert row.layer.endswith("batchnorm") and len(row.classes) <= 4
        else:
            assert (row.classes, row.rank, row.distinct) == ((tuple(range(row.units)),), 1, 1)
    assert not certify(built(name, "msra")).tied


def test_random_weights():
    certificate = certify(built("resnet8", "msra"))
    assert not certificate.tied
    for row in certificate.layers:
        assert len(row.classes) == row.units
        if row.rank is None:
            assert "batchnorm" in row.layer and row.full_rank is None and row.distinct is None
        else:
            assert row.rank == row.full_rank and row.distinct == row.units
    assert sum("batchnorm" in row.layer for row in certificate.layers) == 7


def test_filters_may_be_equal_without_being_tied():
    model = Sequential(Dense(5), Dense(4))
    model.initialize((6,), seed=0)
    weight = model.parameters()[0].value
    weight[1:3] = weight[0]
    row = certify(model)["0.dense"]
    assert (len(row.classes), row.distinct, row.rank, row.full_rank) == (5, 3, 3, 5)
    weight[1, 2] *= 1 + 1e-6
    assert certify(model)["0.dense"].distinct == 4
    assert certify(model, tolerance=1e-5)["0.dense"].distinct == 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numerical_rank(dtype):
    rng = np.random.default_rng(0)
    for rank in (1, 3, 7):
        matrix = (rng.normal(size=(9, rank)) @ rng.normal(size=(rank, 7))).astype(dtype)
        assert numerical_rank(matrix) == np.linalg.matrix_rank(matrix) == rank
    assert numerical_rank(np.zeros((3, 4), dtype)) == 0
    matrix = np.diag([1, 1e-2, 1e-4]).astype(dtype)
    assert [numerical_rank(matrix, t) for t in (0.0, 1e-3, 0.1, 1)] == [3, 2, 1, 0]


def test_as_text_and_as_plain_values():
    certificate = certify(built("resnet8", "constant:0.1"), 1e-6, 1e-5)
    lines = str(certificate).splitlines()
    assert lines[0].split() == ["layer", "units", "classes", "rank", "distinct", "filters"]
    assert lines[1].split() == ["0.conv2d", "16", "1", "1", "of", "9", "1"]
    assert lines[2].split() == ["1.batchnorm", "16", "1"]
    plain = json.loads(json.dumps(certificate.as_dict()))
    assert plain["tolerance"] == 1e-6 and plain["rank_tolerance"] == 1e-5
    assert plain["layers"][0]["classes"] == [list(range(16))]


@pytest.mark.parametrize("bad", [-1, np.nan, "a", True])
def test_tolerances_that_cannot_be(bad):
    model = dense_model(8)
    with pytest.raises(ArgumentError, match="^tolerance must be a finite number of at least 0"):
        certify(model, bad)
    with pytest.raises(ArgumentError, match="^rank_tolerance must be"):
        certify(model, 0, bad)


def watched(model, **settings):
    """Two epochs of three steps."""
    watch = SymmetryWatch(**settings)
    trainer(model, callbacks=[watch]).fit()
    return watch


def test_a_training_is_recorded_at_the_chosen_steps():
    for settings, steps in (
        ({"every": 2}, [0, 2, 4, 6]), ({"every": 4}, [0, 4, 6]), ({"at": [0, 5]}, [0, 5]),
        ({"at": [3]}, [3]), ({"every": 4, "at": [1]}, [0, 1, 4, 6]), ({"at": [99]}, []),
    ):  # fmt: skip
        watch = watched(dense_model(8), **settings)
        assert [step for step, _ in watch.records] == steps


def test_the_symmetry_of_zero_sigmoid_weights_over_training():
    watch = watched(dense_model(8, 7, activation="sigmoid", init="zeros"), every=1)
    ranks = [[row.rank for row in record.layers] for _, record in watch.records]
    assert ranks[:4] == [[0, 0, 0], [0, 0, 1], [0, 1, 1], [1, 1, 1]]  # a layer a step
    assert ranks[-1] == [1, 1, 1]
    for _, record in watch.records:
        assert [len(row.classes) for row in record.layers] == [1, 1, 3]
    lines = watch.table().splitlines()
    assert lines[0].split() == ["step", *map(str, range(7))]
    assert lines[1].split() == ["1.dense", *["1"] * 7]


def test_looking_changes_nothing():
    one, other = dense_model(8), dense_model(8)
    watched(one, every=1)
    trainer(other).fit()
    for name, array in one.state_dict().items():
        np.testing.assert_array_equal(array, other.state_dict()[name])


def test_steps_that_cannot_be():
    with pytest.raises(ArgumentError, match="needs steps"):
        SymmetryWatch()
    with pytest.raises(ArgumentError, match="every must be an integer of at least 1"):
        SymmetryWatch(every=0)
    with pytest.raises(ArgumentError, match="at must be an integer of at least 1"):
        SymmetryWatch(at=[-1])
    assert SymmetryWatch(at=[7]).table() == "no step was recorded."


def test_a_training_that_diverges_is_recorded_as_long_as_it_is_finite():
    watch = SymmetryWatch(every=1)
    model = dense_model(8, activation="relu", init="normal:1e15")
    trainer(model, epochs=1, lr=1e15, callbacks=[watch]).fit()
    assert 0 < len(watch.records) <= 4 and not all(
        np.isfinite(p.value).all() for p in model.parameters()
    )
    with pytest.raises(ArgumentError, match="NaN or infinity"):
        numerical_rank(np.array([[np.nan, 1]]))


def test_the_rank_of_whatever_numbers():
    for dtype in (np.float16, np.float32, np.longdouble, np.int64):
        assert numerical_rank(np.array([[1, 2], [2, 4]], dtype)) == 1
    for empty in (np.zeros((0, 0)), np.zeros((0, 3))):
        with pytest.raises(ArgumentError, match="holds no numbers"):
            numerical_rank(empty)
