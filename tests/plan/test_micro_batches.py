"""How many samples are computed together."""

import numpy as np
import pytest

from minicnn import Sequential, lanes
from minicnn.layers import Dense
from minicnn.models import Residual
from minicnn.plan.micro_batches import CACHE, EVALUATION_BATCH, FEWEST, micro_batch_size
from minicnn.training.gradients import PART


def with_signal(size, dtype=np.float32):
    """A model of which one sample's largest signal takes `size` bytes, inside a block."""
    features = size // np.dtype(dtype).itemsize
    model = Sequential(Residual(Sequential(Dense(features), Dense(7))), Dense(3))
    model.initialize((7,), seed=0, dtype=dtype)
    return model


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_part_is_the_largest_that_fits(dtype):
    for samples in (256, 128, 64):
        fitting, larger = CACHE // samples, CACHE // samples + 8
        assert micro_batch_size(with_signal(fitting, dtype), 256) == samples
        assert micro_batch_size(with_signal(larger, dtype), 256) == max(FEWEST, samples // 2)
        assert micro_batch_size(with_signal(fitting, dtype), 64) == 64


def test_parts_are_whole_groups_of_lanes():
    model = with_signal(CACHE)
    for most in (PART, EVALUATION_BATCH):
        assert micro_batch_size(model, most) % lanes.LANES == most % lanes.LANES == 0


def test_the_size_follows_the_shape_that_the_model_has_now():
    model = with_signal(CACHE // 64)
    assert micro_batch_size(model, 256) == 64
    model.layers[0] = Dense(5)
    model.initialize((7,), seed=0)
    assert model.signal_bytes == 4 * 5 and micro_batch_size(model, 256) == 256
