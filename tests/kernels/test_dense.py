"""Both gradients of a dense layer in one pass: every remainder of tiles, groups and blocks."""

import numpy as np
import pytest

from minicnn.kernels.dense import FEW, GROUPS, ROWS, dense_gradients
from tests.kernels.conv.test_correlate import DTYPES, whole_numbers, with_one_and_two_threads


def operands(groups, features, outputs, dtype, make=whole_numbers):
    rng = np.random.default_rng(0)
    shapes = (groups, features, 16), (outputs, features), (groups, outputs, 16)
    x, weight, dy = (make(rng, shape).astype(dtype) for shape in shapes)
    mask = rng.normal(size=dy.shape).astype(dtype)
    return x, weight, dy, mask


def computed(x, weight, dy, mask=None, bias=True, input_gradient=True):
    """dE/dW, dE/db, dE/dx and delta, in arrays that held NaN."""
    delta = dy if mask is None else np.full_like(dy, np.nan)
    weight_grad, dx = np.full_like(weight, np.nan), np.full_like(x, np.nan)
    bias_grad = np.full(len(weight) if bias else 0, np.nan, x.dtype)
    if not input_gradient:
        dx = dx[:0]
    relu = mask is not None
    dense_gradients(
        x, weight, dy, dy if mask is None else mask, relu, delta, weight_grad, bias_grad, dx
    )
    return weight_grad, bias_grad, dx, delta


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("groups", range(1, 2 * GROUPS + 2))
@pytest.mark.parametrize("outputs", [1, ROWS - 1, ROWS, 2 * ROWS + 3])
@pytest.mark.parametrize("features", [1, ROWS + 1, 16, 18, 31, 48])
def test_whole_numbers_are_exactly_the_equations(groups, outputs, features, dtype):
    x, weight, dy, mask = operands(groups, features, outputs, dtype)
    for own in (None, mask):
        delta = dy if own is None else np.where(own > 0, dy, 0)
        found = computed(x, weight, dy, own)
        np.testing.assert_array_equal(found[0], np.einsum("gon,gin->oi", delta, x))
        np.testing.assert_array_equal(found[1], delta.sum((0, 2)))
        np.testing.assert_array_equal(found[2], np.einsum("oi,gon->gin", weight, delta))
        np.testing.assert_array_equal(found[3], delta)


@pytest.mark.parametrize("outputs", [FEW // 3, FEW // 3 + 1])
def test_few_outputs_or_many(outputs):
    """Few are gated by the calling thread, many by all."""
    x, weight, dy, mask = operands(3, 17, outputs, np.float32)
    delta = np.where(mask > 0, dy, 0)
    found = computed(x, weight, dy, mask)
    np.testing.assert_array_equal(found[1], delta.sum((0, 2)))
    np.testing.assert_array_equal(found[0], np.einsum("gon,gin->oi", delta, x))


def test_what_nobody_needs_is_left_out_and_the_rest_is_the_same():
    x, weight, dy, mask = operands(2, 21, 9, np.float32)
    everything, less = computed(x, weight, dy, mask), computed(x, weight, dy, mask, False, False)
    np.testing.assert_array_equal(less[0], everything[0])
    assert less[1].size == less[2].size == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_with_one_and_two_threads(dtype):
    def normal(rng, shape):
        return rng.normal(size=shape)

    given = operands(3, 85, 203, dtype, normal)
    for one, two in zip(*with_one_and_two_threads(lambda: computed(*given))):
        np.testing.assert_array_equal(one, two)


def test_a_unit_s_bits_do_not_depend_on_its_place_in_a_tile():
    """Equal rows of delta give equal rows of dE/dW, and equal columns of W equal dE/dx."""
    x, weight, dy, _ = operands(1, 21, 2 * ROWS + 3, np.float32, lambda r, s: r.normal(size=s))
    dy[:], weight[:] = dy[:, :1], weight[:, :1]
    weight_grad, bias_grad, dx, _ = computed(x, weight, dy)
    assert (weight_grad == weight_grad[0]).all() and (bias_grad == bias_grad[0]).all()
    assert (dx == dx[:, :1]).all()
