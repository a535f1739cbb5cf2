"""Dense: settings, fans and what cannot be; the sums are in kernels/conv/test_correlate.py."""

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.initializers import Fans
from minicnn.layers import Dense, ReLU
from minicnn.models import Sequential


@pytest.mark.parametrize("init", ["msra", "msra:fan_out", "xavier", "normal:0.3"])
def test_initializer_is_given_inputs_and_outputs(init):
    layer = Dense(50, init=init, bias_init="constant:2")
    assert layer.build((200,), np.random.default_rng(0)) == (50,)
    weight, bias = (p.value for p in layer.parameters())
    expected = layer.init.variance(Fans(200, 50))
    assert weight.shape == (50, 200) and (bias == 2).all()
    assert np.var(weight) == pytest.approx(expected, rel=5 * np.sqrt(2 / weight.size))
    assert layer.initializers()["weight"][1] == pytest.approx(np.sqrt(expected))


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Dense(3), (2, 4, 4), r"1.dense: needs a vector .*\(2, 4, 4\): put Flatten\(\)"),
        (Dense(3, in_features=6), (5,), "1.dense: expected 6 input features, got 5"),
        (Dense(3), (0,), r"integers of at least 1, .* got \(0,\)"),
    ],
)
def test_inputs_that_do_not_fit(layer, shape, message):
    with pytest.raises(ArgumentError, match=message):
        Sequential(ReLU(), layer).initialize(shape)


@pytest.mark.parametrize("features", [0, -1, 2.0, "3", True])
def test_out_features_out_of_range(features):
    with pytest.raises(ArgumentError, match="^Dense: out_features must be an integer of at least"):
        Dense(features)


def test_unknown_initializer():
    with pytest.raises(ArgumentError, match="Did you mean 'xavier'"):
        Dense(3, init="xaver")
