"""Flatten: the same numbers as a vector. ZeroPad2d: the same images with zeros around them."""

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.layers import Flatten, ZeroPad2d
from tests.layers.cases import Case, run


@pytest.mark.parametrize("shape", [(3, 4, 2), (5, 1, 1), (7,)])
@pytest.mark.parametrize("samples", [1, 16, 19])
def test_flatten_keeps_every_number_channel_after_channel(shape, samples):
    case = Case(Flatten, shape)
    x, delta = case.batch(samples)
    found = run(case.built(), x, delta)
    np.testing.assert_array_equal(found["y"], x.reshape(samples, -1))
    np.testing.assert_array_equal(found["dx"], delta.reshape(samples, *shape))


@pytest.mark.parametrize(
    ("start_dim", "shape"), [(1, (24,)), (2, (3, 8)), (3, (3, 4, 2)), (-1, (3, 4, 2)), (-3, (24,))]
)
def test_flatten_from_an_axis_on_is_pytorchs(start_dim, shape):
    """Axis 0 are the samples; torch.nn.Flatten(start_dim) of (N, 3, 4, 2) has these shapes."""
    case = Case(lambda: Flatten(start_dim), (3, 4, 2))
    x, delta = case.batch(19)
    found = run(case.built(), x, delta)
    np.testing.assert_array_equal(found["y"], x.reshape(19, *shape))
    np.testing.assert_array_equal(found["dx"], delta.reshape(19, 3, 4, 2))


def test_flatten_leaves_the_samples_apart_and_needs_the_axis():
    with pytest.raises(ArgumentError, match="must not be 0, the axis of the samples"):
        Flatten(0)
    for wrong in (1.0, "1", None, True, (1,)):
        with pytest.raises(ArgumentError, match="^Flatten: start_dim must be an integer, got"):
            Flatten(wrong)
    for start_dim in (3, -3):
        with pytest.raises(
            ArgumentError, match=r"no axis of samples .* \(4, 2\): there are 1 to 2"
        ):
            Flatten(start_dim).build((4, 2), np.random.default_rng(0))
    assert [Flatten(n).describe() for n in (1, 2, -1)] == ["", "from axis 2", "from axis -1"]


#: A padding, and the four sides of np.pad that it stands for; what PyTorch 2.14.1 computes of the
#: last two (`torch.nn.ZeroPad2d`), which take four numbers there, is the same to the bit.
SIDES = {
    "one": (2, ((2, 2), (2, 2))), "pair": ((1, 3), ((1, 1), (3, 3))), "none": (0, ((0, 0), (0, 0))),
    "four": ((1, 0, 2, 3), ((2, 3), (1, 0))),
}  # fmt: skip


@pytest.mark.parametrize("name", SIDES)
def test_zero_pad_is_that_of_numpy_and_its_gradient_is_the_middle(name):
    padding, sides = SIDES[name]
    case = Case(lambda: ZeroPad2d(padding), (2, 3, 4))
    x, delta = case.batch(19)
    found = run(case.built(), x, delta)
    np.testing.assert_array_equal(found["y"], np.pad(x, ((0, 0), (0, 0), *sides)))
    (top, bottom), (left, right) = sides
    rows, columns = delta.shape[2:]
    middle = delta[:, :, top : rows - bottom, left : columns - right]
    np.testing.assert_array_equal(found["dx"], middle)


@pytest.mark.parametrize(
    "padding",
    [-1, (-1, 1), (2, -3, -1, 0), (-3, 2, 1, -2), (-5, 4, 0, 0), (6, -8, 0, 0), (0, 0, -7, 8)],
)
def test_negative_padding_cuts_off(padding):
    case = Case(lambda: ZeroPad2d(padding), (2, 3, 4))
    x, delta = case.batch(3)
    left, right, top, bottom = case.make().padding
    big = np.pad(x, ((0, 0), (0, 0), (9, 9), (9, 9)))
    rows, columns = big.shape[2:]
    found = run(case.built(), x, delta)
    cut = np.s_[:, :, 9 - top : rows - 9 + bottom, 9 - left : columns - 9 + right]
    np.testing.assert_array_equal(found["y"], big[cut])
    gradient = np.zeros_like(big)
    gradient[cut] = delta
    np.testing.assert_array_equal(found["dx"], gradient[:, :, 9:-9, 9:-9])


@pytest.mark.parametrize("padding", [(1, 2, 3), (), 1.5, (1, 2.0), "same", None, True, (1, True)])
def test_paddings_that_cannot_be(padding):
    with pytest.raises(ArgumentError, match=r"^ZeroPad2d: padding must be an integer, two"):
        ZeroPad2d(padding)


def test_padding_must_fit():
    with pytest.raises(ArgumentError, match="ZeroPad2d: padding must be at most"):
        ZeroPad2d(2**40)
    with pytest.raises(ArgumentError, match=r"output would be empty: \(-2, -2, 0, 0\)"):
        ZeroPad2d((0, -2)).build((2, 5, 4), np.random.default_rng(0))
    with pytest.raises(ArgumentError, match="needs images"):
        ZeroPad2d(1).build((5,), np.random.default_rng(0))
    assert ZeroPad2d(1).describe() == "1" and ZeroPad2d((1, 2)).describe() == "(2, 2, 1, 1)"
