"""Clipping within steps does what the functions do between backward pass and step."""

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.kernels.runtime.thread_pool import get_num_threads, set_num_threads
from minicnn.optimizers import SGD, Adam, clip_grad_norm, clip_grad_value
from minicnn.parameter import Parameter, lay_side_by_side

SHAPES = (300, 70), (300,), (5,)


def parameters(dtype, together=False):
    made = [Parameter(np.ones(shape, dtype), decay=len(shape) > 1) for shape in SHAPES]
    if together:
        lay_side_by_side(made)
    return made


def fill(made, seed=0, size=1.0):
    rng = np.random.default_rng(seed)
    for p in made:
        p.grad[...] = size * rng.normal(size=p.grad.shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("together", [True, False])
def test_a_step_clips_as_the_functions_do(dtype, together):
    one, two = parameters(dtype, together), parameters(dtype)
    clipping, plain = SGD(one, lr=0.5, momentum=0.9), SGD(two, lr=0.5, momentum=0.9)
    clipping.clip_norm, clipping.clip_value = 3.0, 0.5
    for seed in range(3):
        fill(one, seed)
        fill(two, seed)
        clip_grad_value(two, 0.5)
        clip_grad_norm(two, 3.0)
        clipping.step()
        plain.step()
    eps = float(np.finfo(dtype).eps)
    for p, q in zip(one, two):
        # The norm is a sum in float64, in another order; the factor is rounded once.
        np.testing.assert_allclose(p.value, q.value, rtol=16 * eps, atol=16 * eps)
    total = sum((p.grad.astype(np.float64) ** 2).sum() for p in one) ** 0.5
    assert total == pytest.approx(3.0, rel=10 * eps)
    assert max(abs(p.grad).max() for p in one) <= 0.5


def test_small_gradients_and_broken_ones_stay():
    made = parameters(np.float32)
    optimizer = SGD(made, lr=0.5)
    optimizer.clip_norm = 1e6
    fill(made)
    before = [p.grad.copy() for p in made]
    optimizer.step()
    for p, grad in zip(made, before):
        np.testing.assert_array_equal(p.grad, grad)
    optimizer.clip_norm = 1.0
    made[1].grad[7] = np.nan
    optimizer.step()
    np.testing.assert_array_equal(made[0].grad, before[0])
    optimizer.clip_norm, optimizer.clip_value = None, 0.1
    optimizer.step()
    assert np.isnan(made[1].grad[7]) and abs(made[0].grad).max() == np.float32(0.1)


def test_frozen_gradients_do_not_count():
    made = parameters(np.float64)
    optimizer = SGD(made, lr=0.5)
    optimizer.groups, optimizer.clip_norm = ["0:frozen"], 1.0
    fill(made)
    before = made[0].grad.copy()
    optimizer.step()
    np.testing.assert_array_equal(made[0].grad, before)
    norm = sum((p.grad**2).sum() for p in made[1:]) ** 0.5
    assert norm == pytest.approx(1.0, rel=1e-12)


def test_the_bits_are_those_of_one_thread():
    bits, kept = [], get_num_threads()
    try:
        for threads in (1, 2):
            set_num_threads(threads)
            made = parameters(np.float32, together=True)
            optimizer = Adam(made, lr=0.5)
            optimizer.clip_norm, optimizer.clip_value = 2.0, 1.5
            for seed in range(3):
                fill(made, seed)
                optimizer.step()
            bits.append([p.value.copy() for p in made])
    finally:
        set_num_threads(kept)
    for a, b in zip(*bits):
        np.testing.assert_array_equal(a, b)


def test_wrong_limits_are_named():
    optimizer = SGD(parameters(np.float32), lr=0.5)
    for name in ("clip_norm", "clip_value"):
        for wrong in (0, -1, np.nan, np.inf, "1"):
            with pytest.raises(ArgumentError, match=f"{name} must be a number above 0"):
                setattr(optimizer, name, wrong)
        with pytest.raises(ArgumentError, match="smallest normal number"):
            setattr(optimizer, name, 1e-60)
        assert getattr(optimizer, name) is None
    with pytest.raises(ArgumentError, match="max_value must be a number above 0"):
        clip_grad_value(optimizer.parameters, 0)
