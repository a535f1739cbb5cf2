"""Flatten: the same numbers as a vector."""

import numpy as np
import pytest

from minicnn.layers import Flatten
from tests.layers.cases import Case, run


@pytest.mark.parametrize("shape", [(3, 4, 2), (5, 1, 1), (7,)])
@pytest.mark.parametrize("samples", [1, 16, 19])
def test_flatten_keeps_every_number_channel_after_channel(shape, samples):
    case = Case(Flatten, shape)
    x, delta = case.batch(samples)
    found = run(case.built(), x, delta)
    np.testing.assert_array_equal(found["y"], x.reshape(samples, -1))
    np.testing.assert_array_equal(found["dx"], delta.reshape(samples, *shape))
