"""What an initializer draws is checked before a kernel sees it: shape, kind, and numbers."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

from minicnn import Sequential
from minicnn.errors import ArgumentError
from minicnn.initializers import Initializer
from minicnn.layers import Conv2d, Dense


@dataclass(frozen=True)
class Drawing(Initializer):
    """Draws what a test tells it to."""

    name = "drawing"
    drawn = None

    def moments(self, fans, shape):
        return 0.0, 1.0

    def draw(self, shape, fans, rng):
        return type(self).drawn(shape)


@pytest.mark.parametrize("drawn", [
    lambda shape: np.ones((2, 2)),
    lambda shape: np.ones((*shape[::-1], 1)[: max(2, len(shape))]),
    lambda shape: np.ones((1, *shape)),
    lambda shape: np.ones(2 * np.prod(shape)),
    lambda shape: np.float64(1),
    lambda shape: 1.0,
    lambda shape: np.ones(shape).tolist(),
    lambda shape: None,
])  # fmt: skip
def test_what_has_not_the_shape_of_the_weight_is_refused(drawn, monkeypatch):
    monkeypatch.setattr(Drawing, "drawn", staticmethod(drawn))
    for layer, input_shape, wanted in (
        (Dense(5, init=Drawing()), (7,), "(5, 7)"),
        (Conv2d(5, 3, init=Drawing()), (2, 8, 8), "(5, 2, 3, 3)"),
        (Dense(5, bias_init=Drawing()), (7,), "(5,)"),
    ):
        name = type(layer).__name__.lower()
        expected = f"0.{name}: .*drawing: must draw an array of shape {re.escape(wanted)}, drew"
        with pytest.raises(ArgumentError, match=expected):
            Sequential(layer).initialize(input_shape)


@pytest.mark.parametrize("drawn", [
    lambda shape: np.full(shape, "a"), lambda shape: np.full(shape, 1j),
    lambda shape: np.full(shape, None), lambda shape: np.full(shape, np.nan),
    lambda shape: np.ma.masked_array(np.ones(shape)),
])  # fmt: skip
def test_what_is_no_array_of_finite_real_numbers_is_refused(drawn, monkeypatch):
    monkeypatch.setattr(Drawing, "drawn", staticmethod(drawn))
    with pytest.raises(ArgumentError, match="0.dense: .*drawing"):
        Sequential(Dense(5, init=Drawing())).initialize((7,))


def test_whole_numbers_in_any_order_are_drawn_as_they_are(monkeypatch):
    monkeypatch.setattr(Drawing, "drawn", lambda shape: np.arange(35).reshape(shape, order="F"))
    layer = Dense(5, init=Drawing())
    Sequential(layer).initialize((7,))
    expected = np.arange(35).reshape((5, 7), order="F")
    np.testing.assert_array_equal(layer.parameters()[0].value, expected)


def test_an_initializer_that_is_called_in_its_own_way_is_checked_by_the_layer(monkeypatch):
    monkeypatch.setattr(Drawing, "__call__", lambda *arguments: np.ones((2, 2)), raising=False)
    expected = (
        "0.dense: what initializer drawing draws for weight must be a C-contiguous float32 array"
        r" of shape \(5, 7\), got float64 of shape \(2, 2\)"
    )
    with pytest.raises(ArgumentError, match=expected):
        Sequential(Dense(5, init=Drawing())).initialize((7,))
