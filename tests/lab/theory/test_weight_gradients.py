from dataclasses import replace

import numpy as np
import pytest

from minicnn.lab.theory.gradient import Gradient
from minicnn.lab.theory.maps import Field, from_images
from minicnn.lab.theory.signal import Signal
from minicnn.lab.theory.weight_gradients import at_scores, bias_gradient, weight_gradient
from minicnn.layers import Conv2d, Dense

LABELS = np.array([0, 1, 1, 2])


def scores(pairs):
    same = np.full((1, 1, 1, 1), np.trace(pairs) / len(pairs))
    return Signal(Field(pairs[:, :, None, None], same, same), units=3)


def test_without_scores_the_gradient_is_uniform_less_the_label():
    found = at_scores(scores(np.zeros((4, 4))), 3, LABELS)
    delta = (1 / 3 - np.eye(3)[LABELS]) / 4
    np.testing.assert_allclose(found.field.pairs[:, :, 0, 0], delta @ delta.T / 3, atol=1e-15)
    assert found.variance < 1e-20 and found.summed < 1e-20
    np.testing.assert_allclose(found.share, 2 / 9 / 4)  # p (1 - p) / N


def test_with_scores_it_is_that_of_draws():
    rng = np.random.default_rng(1)
    root = rng.standard_normal((4, 4))
    z = rng.standard_normal((20_000, 3, 4)) @ root.T
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    delta = (p - np.eye(3)[LABELS].T) / 4
    expected = np.einsum("dkn,dkm->nm", delta, delta) / len(z) / 3
    found = at_scores(scores(root @ root.T), 3, LABELS).field.pairs[:, :, 0, 0]
    # 256 draws: some per cent of the diagonal
    np.testing.assert_allclose(found, expected, atol=0.12 * np.diag(expected).max())


@pytest.mark.parametrize("size", [0.3, 30.0, 1e8])
def test_the_share_is_how_p_follows_the_scores(size):
    """Of large scores p is 1 for the largest: E[s p] is the mean of the largest of three, .846."""
    found = at_scores(scores(size * np.eye(4)), 3, LABELS).share.ravel() * 4
    z = np.random.default_rng(7).standard_normal((400_000, 3)) * size**0.5
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    expected = (z * (p - 1 / 3)).mean() / size
    np.testing.assert_allclose(found, expected, rtol=0.2)
    if size > 1e6:
        assert expected == pytest.approx(0.8463 / 3 / size**0.5, rel=0.01)


def test_without_labels_they_are_drawn():
    found = at_scores(scores(np.zeros((4, 4))), 3, None).field.pairs[:, :, 0, 0]
    np.testing.assert_allclose(found, np.eye(4) * (2 / 9) / 16, atol=1e-15)


def gradient_of(delta):
    """The gradient whose products are those of `delta`, (N, C, H, W)."""
    return Gradient(from_images(delta), np.zeros((len(delta), *delta.shape[2:])))


def test_dense_weights_get_the_sum_of_products():
    """Exact if all the products are: averaged over independent signs of units."""
    rng = np.random.default_rng(2)
    x, delta = rng.standard_normal((4, 6)), rng.standard_normal((4, 3))
    layer = Dense(3)
    layer.build((6,), np.random.default_rng(0))
    exact = np.square(delta.T @ x).mean()
    found = weight_gradient(
        layer, gradient_of(delta[:, :, None, None]), Signal(from_images(x), units=6)
    )
    assert found.value == pytest.approx(exact)
    found = bias_gradient(gradient_of(delta[:, :, None, None]))
    assert found.value == pytest.approx(np.square(delta.sum(0)).mean())


def test_convolution_weights_get_the_sum_over_positions():
    """Of one channel each the products are exact, and so is the sum for one sample."""
    rng = np.random.default_rng(3)
    x, delta = rng.standard_normal((1, 1, 6, 6)), rng.standard_normal((1, 1, 6, 6))
    layer = Conv2d(1, 1)
    layer.build((1, 6, 6), np.random.default_rng(0))
    found = weight_gradient(layer, gradient_of(delta), Signal(from_images(x), units=1))
    assert found.value == pytest.approx(np.sum(x * delta) ** 2)


def test_alike_gradients_of_samples_add_over_positions():
    """Two samples, one image and one gradient: 4 times what one gives, at two positions too."""
    rng = np.random.default_rng(4)
    x, delta = rng.standard_normal((1, 1, 4, 4)), rng.standard_normal((1, 1, 4, 4))
    layer = Conv2d(1, 1)
    layer.build((1, 4, 4), np.random.default_rng(0))
    one, two = (
        weight_gradient(
            layer, gradient_of(np.repeat(delta, n, 0)), Signal(from_images(x.repeat(n, 0)), units=1)
        ).value
        for n in (1, 2)
    )
    assert two == pytest.approx(4 * one)


def test_the_error_counts_the_units_on_the_way():
    rng = np.random.default_rng(4)
    delta, x = rng.standard_normal((4, 3, 1, 1)), rng.standard_normal((4, 6))
    layer, signal = Dense(30), Signal(from_images(x), units=6)
    layer.build((6,), np.random.default_rng(0))
    first, second = (
        weight_gradient(layer, replace(gradient_of(delta), chain=chain), signal).error
        for chain in (0.1, 0.2)
    )
    assert second == pytest.approx(2**0.5 * first, rel=1e-3) and first > 0
    bias = bias_gradient(replace(gradient_of(delta), chain=0.25))
    assert bias.error == pytest.approx(0.5, rel=1e-5)  # one direction: nothing is averaged


def test_balanced_gradients_leave_nothing_to_a_bias():
    rng = np.random.default_rng(5)
    gradient = gradient_of(rng.standard_normal((4, 3, 2, 2)))
    balanced = Gradient(gradient.field, gradient.share, balanced=True)
    layer = Conv2d(3, 1)
    layer.build((1, 2, 2), np.random.default_rng(0))
    found = bias_gradient(balanced)
    assert found.value == 0 and found.z(1e-14) == 0 and found.z(1.0) > 4


def test_a_constant_input_meets_a_sum_of_zero():
    rng = np.random.default_rng(6)
    gradient = gradient_of(rng.standard_normal((4, 3, 2, 2)))
    balanced = Gradient(gradient.field.centred(), gradient.share, balanced=True)
    layer = Conv2d(3, 1)
    layer.build((1, 2, 2), np.random.default_rng(0))
    small = 1e-3 * rng.standard_normal((4, 1, 2, 2))
    found = [
        weight_gradient(layer, balanced, Signal(from_images(small + level), units=1)).value
        for level in (0.0, 5.0)
    ]
    assert found[1] == pytest.approx(found[0], rel=1e-6) and found[0] > 0
