"""Dropout: what is left out, how often, and how it is made up for."""

import copy
import pickle

import numpy as np
import pytest

from minicnn import lanes
from minicnn.errors import ArgumentError, DataError
from minicnn.layers import Dense, Dropout, Dropout2d
from minicnn.layers.counter_rng import CounterRNG
from minicnn.models import Sequential
from minicnn.plan.passes import Passes
from tests.kernels.conv.test_correlate import DTYPES


def built(p, seed=0, dtype=np.float64, shape=(50,)):
    model = Sequential(Dropout(p))
    model.initialize(shape, seed, dtype, input_gradient=True)
    return model


def ones(samples, dtype=np.float64, shape=(50,)):
    return lanes.pack(np.ones((samples, *shape), dtype), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_that_is_dropped_and_scale_of_the_others(p, dtype):
    y = built(p, dtype=dtype).forward(ones(1600, dtype), training=True)
    kept = y != 0
    assert np.unique(y[kept]) == [np.array(1 / (1 - p)).astype(dtype)]
    error = np.sqrt(p * (1 - p) / y.size)
    assert abs(np.mean(~kept) - p) < 5 * error
    assert abs(y.mean() - 1) < 5 * error / (1 - p)
    # Neighbours, in every direction, are dropped independently.
    for axis in range(3):
        both = ~kept & ~np.roll(kept, 1, axis)
        assert abs(both.mean() - p * p) < 5 * np.sqrt(p * p * (1 - p * p) * 2 / y.size)


def test_backward_leaves_out_what_forward_left_out():
    model = built(0.4)
    x, dy = np.random.default_rng(1).normal(size=(2, 3, 50, 16))
    for _ in range(2):
        y = model.forward(x, training=True)
        np.testing.assert_array_equal(model.backward(dy), dy * (y != 0) / 0.6)
        np.testing.assert_array_equal(y, x * (y != 0) / 0.6)


def test_every_pass_drops_anew_and_a_seed_repeats_them_all():
    (a, b), again, other = (
        [model.forward(ones(40), training=True).copy() for _ in range(2)]
        for model in (built(0.5), built(0.5), built(0.5, seed=1))
    )
    assert (a != b).any() and (a != other[0]).any()
    np.testing.assert_array_equal(again, [a, b])


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0, True)])
def test_evaluation_and_p_of_zero_do_nothing(p, training):
    model = built(p)
    x, dy = np.random.default_rng(1).normal(size=(2, 3, 50, 16))
    model.forward(ones(40), training=True)
    np.testing.assert_array_equal(model.forward(x, training), x)
    np.testing.assert_array_equal(model.backward(dy), dy)


@pytest.mark.parametrize("p", [1, -0.1, 2, np.nan, "0.5", None, True])
def test_p_out_of_range(p):
    with pytest.raises(ArgumentError, match=r"^Dropout: p must be in \[0, 1\), got"):
        Dropout(p)


def test_description():
    assert Dropout(0.25).describe() == "p 0.25"


def channels(p, seed=0, dtype=np.float64):
    model = Sequential(Dropout2d(p))
    model.initialize((50, 3, 2), seed, dtype, input_gradient=True)
    return model


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.1, 0.9])
def test_whole_channels_are_dropped(p, dtype):
    y = channels(p, dtype=dtype).forward(ones(1600, dtype, (50, 3, 2)), training=True)
    kept = y[:, :, 0, 0] != 0
    np.testing.assert_array_equal(y != 0, np.broadcast_to(kept[:, :, None, None], y.shape))
    assert np.unique(y[y != 0]) == [np.array(1 / (1 - p)).astype(dtype)]
    assert abs(np.mean(~kept) - p) < 5 * np.sqrt(p * (1 - p) / kept.size)
    for axis in range(3):  # channels, and samples, independently
        both = ~kept & ~np.roll(kept, 1, axis)
        assert abs(both.mean() - p * p) < 5 * np.sqrt(p * p * (1 - p * p) * 2 / kept.size)


def test_channels_backwards_in_evaluation_and_again():
    model, again = channels(0.4), channels(0.4)
    x, dy = np.random.default_rng(1).normal(size=(2, 3, 50, 3, 2, 16))
    masks = []
    for _ in range(2):
        y = model.forward(x, training=True).copy()
        factor = model.dtype.type(1 / 0.6)
        np.testing.assert_array_equal(model.backward(dy), dy * (y != 0) * factor)
        np.testing.assert_array_equal(y, x * (y != 0) * factor)
        np.testing.assert_array_equal(again.forward(x, training=True), y)
        masks.append(y != 0)
    assert (masks[0] != masks[1]).any()
    np.testing.assert_array_equal(model.forward(x, training=False), x)


def test_dropped_channels_are_those_of_images():
    with pytest.raises(ArgumentError, match=r"^Dropout2d: p must be in \[0, 1\), got 1"):
        Dropout2d(1)
    with pytest.raises(ArgumentError, match="needs images"):
        Dropout2d().build((5,), np.random.default_rng(0))


def kept(model, samples=1600):
    """What a pass keeps, (samples, units)."""
    y = lanes.unpack(model.forward(ones(samples), training=True), samples)
    return (y != 0).astype(float)


def assert_independent(a, b):
    """The correlation is 0 but for five standard errors."""
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(a.size)


def test_masks_of_steps_layers_seeds_units_and_samples_are_independent():
    model = built(0.5)
    first, second = kept(model), kept(model)
    assert_independent(first, second)
    assert_independent(first, kept(built(0.5, seed=1)))
    two = Sequential(Dropout(0.5), Dropout(0.5))
    two.initialize((50,), dtype=np.float64)
    of_layers = []
    for layer in two.layers:
        model.layers[0].rng.state = layer.rng.state
        of_layers.append(kept(model))
    assert_independent(*of_layers)
    for distance in (1, 2, 8, 15, 16, 160):
        assert_independent(first[distance:], first[:-distance])
    assert_independent(first[::2], first[1::2])  # two halves of the same 64 bits
    for distance in (1, 2, 25):
        assert_independent(first[:, distance:], first[:, :-distance])
    assert_independent(first[1:, 1:], first[:-1, :-1])
    assert_independent(first[16:], second[:-16])


def test_a_sample_has_the_same_mask_in_a_batch_of_any_size():
    masks = [kept(built(0.5), samples) for samples in (3, 40, 700)]
    for mask in masks:
        np.testing.assert_array_equal(mask, masks[-1][: len(mask)])


@pytest.mark.parametrize("make", [built, channels])
def test_gradient_of_a_mask_that_is_drawn_again(make):
    """The difference quotient, with the generator where it was before each pass."""
    model = make(0.4)
    rng = np.random.default_rng(2)
    shape = (2, *model.input_shape, 16)
    x, way, dy = (rng.normal(size=shape) for _ in range(3))
    state, values = model.layers[0].rng.state, []
    for side in (1, -1):
        model.layers[0].rng.state = state
        values.append((dy * model.forward(x + side * way, training=True)).sum())
    slope = (model.backward(dy) * way).sum()
    assert abs((values[0] - values[1]) / 2 - slope) < 1e-10 * np.abs(dy * way).sum()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_goes_on_with_the_same_masks(copied):
    model = built(0.5)
    kept(model)
    twin = copied(model)
    for _ in range(2):
        np.testing.assert_array_equal(kept(twin), kept(model))
    kept(model)  # each counts for itself
    assert twin.layers[0].rng.state["passes"] == 3 == model.layers[0].rng.state["passes"] - 1


def test_the_state_goes_on_where_it_was():
    model = built(0.5)
    state = model.layers[0].rng.state
    assert state.keys() == {"seed", "passes"} and state["passes"] == 0
    model.forward(ones(40), training=False)
    assert model.layers[0].rng.state == state
    masks = [kept(model) for _ in range(3)]
    model.layers[0].rng.state = {**state, "passes": 1}
    np.testing.assert_array_equal(kept(model), masks[1])
    with pytest.raises(AttributeError):
        model.layers[0].rng = np.random.default_rng(0)


@pytest.mark.parametrize(
    "state",
    [{}, {"seed": 1}, {"seed": -1, "passes": 0}, {"seed": 2**64, "passes": 0},
     {"seed": 1.5, "passes": 0}, {"seed": "1", "passes": 0}],
    ids=str,
)  # fmt: skip
def test_states_that_cannot_be(state):
    rng = CounterRNG()
    with pytest.raises(DataError, match="no state of this CounterRNG"):
        rng.state = state
    assert rng.state == {"seed": 0, "passes": 0}


def test_the_state_of_a_generator_of_numpys():
    with pytest.raises(DataError, match="cannot go on with the same masks. Begin a new training"):
        CounterRNG().state = np.random.default_rng(0).bit_generator.state


@pytest.mark.parametrize("shape", [(9,), (3, 2, 2)])
def test_a_replayed_step_draws_anew_with_the_probability_of_now(shape):
    """The bits of steps that are not replayed, in each step."""
    found = []
    for replayed in (True, False):
        model = Sequential(Dropout(0.5) if len(shape) == 1 else Dropout2d(0.5))
        model.initialize(shape, dtype=np.float64, input_gradient=True)
        passes, x = Passes(model) if replayed else model, ones(40, shape=shape)
        dy, layer, own = x.copy(), model.layers[0], []
        for step in range(9):
            layer.p = 0.5 if step < 6 else 0.9
            own += [passes.forward(x, True, 40).copy(), passes.backward(dy).copy()]
        found.append(own)
    for a, b in zip(*found):
        np.testing.assert_array_equal(a, b)
    assert len({mask.tobytes() for mask in found[0][::2]}) == 9
    assert found[0][-1].max() == 1 / (1 - 0.9)


def test_nothing_is_kept_for_the_way_back_and_nothing_is_left_to_python():
    model = Sequential(Dense(8), Dropout(0.5), Dense(8))
    model.initialize((8,))
    model.forward(ones(16, np.float32, (8,)), training=True)
    assert not model.plan().called()
    assert all(not ctx.saved for ctx in model.plan()._run.contexts.values())
