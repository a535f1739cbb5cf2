"""What holds for every layer, and the checks that layers share."""

import numpy as np
import pytest

from minicnn import gradcheck, lanes
from minicnn.checks import check_count, check_pair
from minicnn.errors import ArgumentError
from minicnn.layers import Conv2d, ConvTranspose2d, Dense, ReLU
from tests.kernels.conv.test_correlate import DTYPES, assert_close, with_one_and_two_threads
from tests.layers.cases import CASES, distinct, run

every_layer = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def is_random(case):
    return case in (CASES["dropout"], CASES["dropout of channels"])


@every_layer
@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_difference_quotients(case, training):
    x = distinct(np.random.default_rng(1), 5, case.shape)
    training = training and not is_random(case)  # every pass drops anew
    report = gradcheck.check_layer(case.make(), case.shape, x=x, training=training)
    assert report.worst <= (1e-6 if case.kinks else 1e-7), report
    assert set(report.arrays) == {"input"} | {p.name for p in case.built().parameters()}


@every_layer
def test_float32_is_close_to_float64(case):
    x, delta = case.batch(20)
    x, delta = (a.astype(np.float32).astype(np.float64) for a in (x, delta))
    single, double = (
        run(case.built(dtype), x, delta, training=not is_random(case)) for dtype in DTYPES
    )
    for name in double:
        assert_close(single[name], double[name], 1e-4)
    assert single["y"].dtype == single["dx"].dtype == np.float32
    assert double["y"].dtype == double["dx"].dtype == np.float64


@every_layer
@both_dtypes
@pytest.mark.parametrize("samples", [3, 21])
def test_what_fills_the_spare_lanes_changes_nothing(case, dtype, samples):
    x, delta = case.batch(samples)
    spare = 100 * np.random.default_rng(2).normal(size=case.shape)
    assert_equal(run(case.built(dtype), x, delta, spare=spare), run(case.built(dtype), x, delta))


@every_layer
@both_dtypes
def test_buffers_that_are_used_again_change_nothing(case, dtype):
    """Batches that grow and shrink give what a new layer gives."""
    used, training = case.built(dtype), not is_random(case)
    start = used.state_dict()
    for samples in (3, 40, 17, 2, 33, 40):
        x, delta = case.batch(samples, seed=samples)
        used.load_state_dict(start)
        assert_equal(run(used, x, delta, training), run(case.built(dtype), x, delta, training))


@every_layer
@both_dtypes
@pytest.mark.parametrize("training", [True, False])
def test_nan_in_any_place_reaches_the_output(case, dtype, training):
    size = int(np.prod(case.shape))
    x, _ = case.batch(size + 1)
    x[:size].reshape(size, size)[np.diag_indices(size)] = np.nan  # one place in each sample
    packed = case.built(dtype).forward(lanes.pack(x, dtype), training, len(x))
    found = np.isnan(lanes.unpack(packed, len(x))).reshape(len(x), -1).any(axis=1)
    assert found[:size].all()
    assert training or not found[size]  # where the batch is normalized, it reaches all


@every_layer
@both_dtypes
def test_neither_pass_changes_what_it_is_given(case, dtype):
    model = case.built(dtype)
    x, delta = (lanes.pack(a, dtype) for a in case.batch(20))
    kept = x.copy(), delta.copy()
    model.forward(x, True, 20)
    np.testing.assert_array_equal(x, kept[0])
    model.backward(delta)
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(delta, kept[1])


@every_layer
@both_dtypes
def test_backward_twice_gives_the_same(case, dtype):
    """Gradients are overwritten, not added to what was there."""
    model = case.built(dtype)
    x, delta = (lanes.pack(a, dtype) for a in case.batch(20))
    model.forward(x, True, 20)
    once, again = (
        {"dx": model.backward(delta).copy()} | {p.name: p.grad.copy() for p in model.parameters()}
        for _ in range(2)
    )
    assert_equal(again, once)


@every_layer
def test_same_bits_with_one_and_two_threads(case):
    x, delta = case.batch(100)
    assert_equal(*with_one_and_two_threads(lambda: run(case.built(np.float32), x, delta)))


@pytest.mark.parametrize("dtype", [np.int32, np.float16, complex])
def test_other_dtypes(dtype):
    with pytest.raises(ArgumentError, match="dtype must be float32 or float64"):
        ReLU().build((3,), np.random.default_rng(0), dtype)


WEIGHTED = Conv2d, ConvTranspose2d, Dense


def test_only_weights_decay():
    """Those of Conv2d and Dense, which are arrays of more than one axis; nothing else."""
    layers = [layer for case in CASES.values() for layer in case.built().all_layers()]
    for layer in layers:
        for name, parameter in layer.own_parameters().items():
            assert parameter.decay == (isinstance(layer, WEIGHTED) and name == "weight")


@pytest.mark.parametrize("value", [0, -1, 2.0, True, "3", None])
def test_counts(value):
    assert check_count(np.int64(3), "n") == 3
    with pytest.raises(ArgumentError, match="^n must be an integer of at least 1, got"):
        check_count(value, "n")


@pytest.mark.parametrize("value", [0, (1, 0), (1,), (1, 2, 3), 1.5, (1, True), "12", None])
def test_pairs(value):
    assert check_pair(2, "k", 1) == check_pair([2, np.int64(2)], "k", 1) == (2, 2)
    with pytest.raises(ArgumentError, match="^k must be an integer of at least 1, or two of them"):
        check_pair(value, "k", 1)
