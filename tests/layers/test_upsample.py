"""Bilinear upsampling: PyTorch's numbers, and the matrices of its definition."""

import numpy as np
import pytest

from minicnn import lanes
from minicnn import reference as ref
from minicnn.layers import Upsample
from tests.kernels.conv.test_correlate import assert_close, with_one_and_two_threads
from tests.layers.cases import Case, run


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 1, 6), (2, 7, 1)])
def test_images_and_gradients_are_those_of_the_two_matrices(shape, corners):
    case = Case(lambda: Upsample((3, 2), "bilinear", corners), shape)
    x, delta = case.batch(18)
    a, b = ref.bilinear_matrix(shape[1], 3, corners), ref.bilinear_matrix(shape[2], 2, corners)
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        found = run(case.built(dtype), x, delta)
        assert_close(found["y"], a @ x @ b.T, tolerance)
        assert_close(found["dx"], a.T @ delta @ b, tolerance)


@pytest.mark.parametrize(
    ("corners", "y", "dx"),
    [
        (
            False,
            [
                [0, 15, 45, 50, 30, 20],
                [20, 28.75, 46.25, 45, 25, 15],
                [60, 56.25, 48.75, 35, 15, 5],
                [80, 70, 50, 30, 10, 0],
            ],
            [[262.5, 375, 487.5], [892.5, 1005, 1117.5]],
        ),
        (
            True,
            [
                [0, 24, 48, 52, 36, 20],
                [26.6667, 37.3333, 48, 45.3333, 29.3333, 13.3333],
                [53.3333, 50.6667, 48, 38.6667, 22.6667, 6.6667],
                [80, 64, 48, 32, 16, 0],
            ],
            [[246, 468, 456], [786, 1188, 996]],
        ),
    ],
)
def test_pytorchs_numbers(corners, y, dx):
    """Those of PyTorch 2.14.1, for pixels 0, 60, 20, 80, 40, 0 and dE/dy = 0, 15, 30, ..."""
    x = np.array([0.0, 60, 20, 80, 40, 0]).reshape(1, 1, 2, 3)
    model = Case(lambda: Upsample(2, "bilinear", corners), (1, 2, 3)).built()
    found = run(model, x, 15 * np.arange(24.0).reshape(1, 1, 4, 6))
    np.testing.assert_allclose(found["y"][0, 0], y, atol=1e-4 * corners)
    np.testing.assert_allclose(found["dx"][0, 0], dx, atol=1e-4 * corners)


def test_same_bits_on_one_and_two_threads():
    case = Case(lambda: Upsample(2, "bilinear"), (5, 6, 7))
    x, delta = case.batch(40)
    model = case.built(np.float32)
    one, two = with_one_and_two_threads(lambda: run(model, x, delta))
    for name in ("y", "dx"):
        np.testing.assert_array_equal(one[name], two[name])


def test_a_scale_of_one_changes_nothing():
    x = np.random.default_rng(0).normal(size=(3, 2, 4, 5))
    model = Case(lambda: Upsample(1, "bilinear", True), (2, 4, 5)).built()
    np.testing.assert_array_equal(lanes.unpack(model.forward(lanes.pack(x, np.float64)), 3), x)
    assert Upsample(2, "bilinear", True).describe() == "2x2 bilinear corners"
