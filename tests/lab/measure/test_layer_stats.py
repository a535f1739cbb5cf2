"""Records: statistics, the table, plain dicts and z-scores."""

import json
import math

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.lab.measure.layer_stats import (
    SORTED_AT_MOST,
    LayerRecord,
    Record,
    Statistics,
    ratio,
    z_scores,
)
from minicnn.lab.theory.finite_width import Moment
from minicnn.training.runs.files import to_json


def statistics(rms):
    return Statistics.of(np.array([rms, -rms]))


def record(**settings):
    layers = (
        LayerRecord("0.dense", statistics(1.0), statistics(0.5), statistics(0.1), update=1e-3),
        LayerRecord("1.relu", statistics(0.7), statistics(3.0), dead=0.25),
        LayerRecord("2.tanh", statistics(0.7), statistics(7.0), saturated=0.125),
        LayerRecord("3.dense", statistics(0.3), statistics(2.0), statistics(0.2)),
    )
    return Record(layers, 2.5, 10, 2.25, 0.625, 64, **settings)


def test_statistics_are_those_of_the_numbers():
    values = np.random.default_rng(0).gamma(2.0, size=(50, 4, 3)).astype(np.float32)
    found, exact = Statistics.of(values), values.astype(np.float64)
    assert found.mean == pytest.approx(exact.mean(), rel=1e-12)
    assert found.second_moment == pytest.approx((exact**2).mean(), rel=1e-12)
    assert found.std == pytest.approx(exact.std(), rel=1e-12)
    assert found.rms == pytest.approx(np.sqrt((exact**2).mean()), rel=1e-12)
    expected = np.percentile(exact, (2, 25, 50, 75, 98))
    assert list(found.quantiles) == ["2", "25", "50", "75", "98"]
    np.testing.assert_allclose(list(found.quantiles.values()), expected, rtol=1e-6)


def test_the_std_of_a_small_ripple_on_a_large_mean():
    found = Statistics.of(np.array([1e8 - 1, 1e8 + 1]))
    assert found.std == 1 and found.mean == 1e8


def test_numbers_too_small_for_a_square_in_single_precision():
    assert Statistics.of(np.full(5, 1e-30, np.float32)).rms == pytest.approx(1e-30, rel=1e-6)


def test_quantiles_of_many_numbers_come_from_all_columns():
    # Every 16th number alone would be of one column only.
    columns = np.arange(16.0)
    values = np.tile(columns, (SORTED_AT_MOST, 1))
    found = Statistics.of(values)
    assert found.quantiles["2"] == 0 and found.quantiles["98"] == 15
    assert found.quantiles["50"] == pytest.approx(7.5, abs=0.51)


def test_what_is_not_finite_is_shown_and_not_warned_of():
    found = Statistics.of(np.array([1.0, np.inf, -np.inf]))
    assert math.isnan(found.mean) and found.second_moment == np.inf
    assert math.isnan(Statistics.of(np.array([1.0, np.nan])).quantiles["50"])


def test_a_layer_by_its_name():
    assert record()["1.relu"].dead == 0.25
    with pytest.raises(ArgumentError, match="unknown layer '1.rel'. Did you mean '1.relu'"):
        record()["1.rel"]


def test_second_moments_of_each_signal():
    assert record().second_moments() == pytest.approx(
        {"0.dense": 1.0, "1.relu": 0.49, "2.tanh": 0.49, "3.dense": 0.09}
    )
    assert record().second_moments("gradient") == pytest.approx({"0.dense": 0.01, "3.dense": 0.04})
    with pytest.raises(ArgumentError, match="Did you mean 'delta'"):
        record().second_moments("deltas")


def test_the_ratio_of_the_deltas_is_between_layers_with_weights():
    assert record().delta_ratio == pytest.approx(0.25)
    assert math.isnan(Record((), 0.0, 10, 0.0, 0.0, 1).delta_ratio)


def test_plain_dicts_survive_json():
    plain = record(step=7).as_dict()
    assert json.loads(to_json(plain)) == plain
    assert plain["step"] == 7 and plain["ln_classes"] == pytest.approx(2.302585)
    assert plain["layers"][0]["delta"]["second_moment"] == 0.25
    assert plain["layers"][1]["gradient"] is None


def test_the_table_has_a_row_for_each_layer_and_a_line_of_the_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    lines = str(record(step=7)).splitlines()
    header = lines[0]
    assert [line.split()[0] for line in lines[1:5]] == ["0.dense", "1.relu", "2.tanh", "3.dense"]
    for row, column, value in [
        (2, "dead", "0.25"),
        (3, "saturated", "0.125"),
        (1, "update", "0.001"),
    ]:
        end = header.index(column) + len(column)
        assert lines[row][:end].endswith(value) and header[:end].endswith(column)
    assert "step 7, 64 samples: loss 2.5000 (ln K 2.3026" in lines[-1]
    assert "logit std 0.625" in lines[-1] and "first / last 0.25" in lines[-1]
    assert "step" not in str(record())


def test_the_table_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = str(record(step=7))
    assert max(map(len, text.splitlines())) <= 80
    monkeypatch.setenv("COLUMNS", "200")
    assert {*text.split()} == {*str(record(step=7)).split()}


def test_z_scores_are_those_of_the_predictions_in_the_order_of_the_measurements():
    predicted = {"b": Moment(4.0, 0.05), "a": Moment(2.0, 0.1), "of another": Moment(1.0, 1.0)}
    found = z_scores({"a": 2.4, "b": 3.6, "unpredicted": 9.0}, predicted)
    assert list(found) == ["a", "b"]
    assert found == {"a": predicted["a"].z(2.4), "b": predicted["b"].z(3.6)}
    assert 1.7 < found["a"] < 2.0 and -2.3 < found["b"] < -2.0  # on a logarithmic scale
    assert math.isnan(z_scores({"a": math.nan}, predicted)["a"])


def test_z_scores_of_nothing_in_common():
    with pytest.raises(ArgumentError, match="nothing to compare: measured a, predicted b"):
        z_scores({"a": 1.0}, {"b": Moment(1.0, 0.1)})


def test_a_ratio_to_nothing():
    assert ratio(1.0, 4.0) == 0.25 and ratio(-1.0, 0.0) == -np.inf and ratio(2.0, 0.0) == np.inf
    assert math.isnan(ratio(0.0, 0.0)) and math.isnan(ratio(math.nan, 0.0))
