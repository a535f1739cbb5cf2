"""ZerO: identity and Hadamard, and what that does to ties."""

import numpy as np
import pytest
from scipy.linalg import hadamard

from minicnn.errors import ArgumentError
from minicnn.initializers import Fans, ZerO, from_string
from minicnn.lab.symmetry.certificate import certify
from minicnn.layers import Conv2d, Flatten
from minicnn.models import Sequential


def draw(shape, groups=1):
    area = int(np.prod(shape[2:]))
    fans = Fans(shape[1] * area, shape[0] // groups * area)
    weight = ZerO()(shape, fans, np.random.default_rng(0), np.float64)
    assert weight.mean() == pytest.approx(ZerO().mean(fans, shape), rel=1e-12, abs=1e-17)
    assert weight.var() == pytest.approx(ZerO().variance(fans, shape), rel=1e-12)
    return weight


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (1, 4), (1, 1)])
def test_no_more_outputs_than_inputs_get_the_identity(shape):
    np.testing.assert_array_equal(draw(shape), np.eye(*shape))


@pytest.mark.parametrize(("shape", "size"), [((2, 1), 2), ((8, 4), 8), ((6, 5), 8), ((10, 3), 16)])
def test_more_outputs_than_inputs_get_hadamards_matrix(shape, size):
    outputs, inputs = shape
    expected = hadamard(size)[:outputs, :inputs] / size**0.5
    np.testing.assert_allclose(draw(shape), expected, rtol=1e-15)


@pytest.mark.parametrize("shape", [(8, 4), (16, 16), (32, 1)])
def test_norms_are_kept_where_the_outputs_are_a_power_of_2(shape):
    weight = draw(shape)
    np.testing.assert_allclose(weight.T @ weight, np.eye(shape[1]), atol=1e-15)


@pytest.mark.parametrize("kernel", [(3, 3), (5, 3), (1, 1), (2, 4)])
@pytest.mark.parametrize(("outputs", "inputs", "groups"), [(6, 3, 1), (4, 4, 1), (12, 3, 2)])
def test_convolutions_have_it_at_the_centre_of_each_group(outputs, inputs, groups, kernel):
    weight = draw((outputs, inputs, *kernel), groups)
    centre = weight[:, :, kernel[0] // 2, kernel[1] // 2]
    one = draw((outputs // groups, inputs))
    np.testing.assert_array_equal(centre, np.concatenate([one] * groups))
    assert np.count_nonzero(weight) == np.count_nonzero(centre)


def test_it_draws_nothing():
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    first = from_string("hadamard")((6, 4), Fans(4, 6), rng)
    assert rng.bit_generator.state == state
    np.testing.assert_array_equal(first, from_string("hadamard")((6, 4), Fans(4, 6), None))


def test_behind_one_channel_all_filters_are_equal():
    """Hadamard's first column is all 1: what the docstring says."""
    model = Sequential(Conv2d(8, 3, init="hadamard"), Flatten())
    model.initialize((1, 6, 6))
    assert certify(model)["0.conv2d"].distinct == 1
    model.initialize((2, 6, 6))
    assert certify(model)["0.conv2d"].distinct == 2
    model.initialize((3, 6, 6))
    assert certify(model)["0.conv2d"].distinct == 4


def test_it_needs_the_shape_of_a_weight():
    with pytest.raises(ArgumentError, match="hadamard: needs the shape of a weight"):
        ZerO().variance(Fans(3, 3))
    with pytest.raises(ArgumentError, match="cannot be the fans"):
        ZerO()((6, 1, 1, 2), Fans(2, 5), None)
