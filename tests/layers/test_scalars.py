"""LayerScale: a factor for each channel, and what it learns."""

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.layers import LayerScale
from tests.kernels.conv.test_correlate import DTYPES, assert_close, with_one_and_two_threads
from tests.layers.cases import Case, run


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 4, 2), (5,)])
def test_values_and_gradients(shape, dtype):
    case = Case(LayerScale, shape)
    x, delta = case.batch(37)
    model = case.built(dtype)
    factors = model.parameters()[0].value.reshape(-1, *[1] * (len(shape) - 1)).astype(np.float64)
    found = run(model, x, delta)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    assert_close(found["y"], factors * x, tolerance)
    assert_close(found["dx"], factors * delta, tolerance)
    axes = (0, *range(2, x.ndim))
    products = (delta * x).sum(axes)
    sizes = np.abs(delta * x).sum(axes)
    assert (np.abs(found["d 0.layerscale.weight"] - products) <= tolerance * sizes).all()


def test_it_starts_as_told():
    layer = LayerScale()
    layer.build((3, 2, 2), np.random.default_rng(0))
    assert layer.own_parameters()["weight"].value.tolist() == [np.float32(1e-6)] * 3
    assert layer.describe() == "from 1e-06" and LayerScale(0.1).describe() == "from 0.1"
    for wrong in (np.nan, np.inf, "1", None, True):
        with pytest.raises(ArgumentError, match="^LayerScale: init must be a finite number, got"):
            LayerScale(wrong)


def test_same_bits_with_one_and_two_threads():
    case = Case(LayerScale, (5, 9, 9))
    x, delta = case.batch(100)
    one, two = with_one_and_two_threads(lambda: run(case.built(np.float32), x, delta))
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
