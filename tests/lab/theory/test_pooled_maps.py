import numpy as np
import pytest

from minicnn import Sequential
from minicnn.lab.theory.forward import forward
from minicnn.lab.theory.maps import Field, from_images
from minicnn.lab.theory.moments import LeakyMoments, moments_of
from minicnn.lab.theory.pooled_maps import AveragePooling, MaxPooling, membership, windows
from minicnn.lab.theory.signal import NoPromiseError, from_batch
from minicnn.layers import (
    AvgPool2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Upsample,
)

SHAPE = (3, 6, 6)


def built(layer):
    layer.build(SHAPE, np.random.default_rng(0))
    return layer


def independent(samples=4, size=(6, 6)):
    """The field of independent standard normal numbers."""
    pixels = int(np.prod(size))
    pairs = np.broadcast_to(np.eye(samples)[:, :, None, None], (samples, samples, *size))
    same = np.eye(pixels).reshape(*size, *size)
    return Field(pairs, same, 0 * same)


def test_windows_lie_where_the_layer_has_them():
    places = windows(built(MaxPool2d(3, stride=2, padding=1)))
    assert places.shape == (9, 9)
    assert places[0].tolist() == [-1, -1, -1, -1, 0, 1, -1, 6, 7]
    assert membership(places, 36).sum() == (places >= 0).sum()


def test_windows_of_options_lie_where_the_layer_has_them():
    x = np.arange(36.0)
    for layer in (MaxPool2d(2, 3, 1, dilation=3, ceil_mode=True), GlobalMaxPool2d()):
        model = Sequential(layer)
        model.initialize((1, 6, 6), 0)
        seen = np.where(windows(layer) < 0, -np.inf, x[windows(layer)]).max(1)
        assert seen.tolist() == model.predict(x.reshape(1, 1, 6, 6)).ravel().tolist()


def test_what_the_theory_does_not_cover_is_refused_in_a_sentence():
    layer = built(AvgPool2d(3, 2, 1, count_include_pad=False))
    with pytest.raises(NoPromiseError, match="avgpool2d: .* windows at the border have others"):
        forward(layer, from_batch(np.ones((2, *SHAPE))))
    with pytest.raises(NoPromiseError, match="the theory knows no layer ConvTranspose2d"):
        forward(built(ConvTranspose2d(2, 3)), from_batch(np.ones((2, *SHAPE))))
    with pytest.raises(NoPromiseError, match="upsample: .* no bilinear means"):
        forward(built(Upsample(2, "bilinear")), from_batch(np.ones((2, *SHAPE))))


@pytest.mark.parametrize(
    "layer", [AvgPool2d(2), AvgPool2d(3, stride=2, padding=1), GlobalAvgPool2d()]
)
def test_means_pass_products_exactly_as_means_over_samples(layer):
    x = np.random.default_rng(1).standard_normal((5, *SHAPE)) + 0.5
    layer, field = built(layer), from_images(x)
    places = windows(layer)
    matrix = membership(places, 36) / places.shape[1]
    y = (x.reshape(5, 3, 36) @ matrix.T).reshape(5, 3, *(layer.output_shape[1:] or (1, 1)))
    expected, found = from_images(y), AveragePooling(layer, field).forward(field)
    np.testing.assert_allclose(found.same, expected.same)
    np.testing.assert_allclose(found.cross, expected.cross)
    assert found.moment == pytest.approx(expected.moment)
    n = len(x)
    assert found.pairs.mean() * n == pytest.approx(expected.pairs.mean() * n, rel=1e-6)


def test_gradients_of_means_are_spread():
    layer = built(AvgPool2d(2))
    pooling = AveragePooling(layer, independent())
    back = pooling.backward(independent(size=(3, 3)))
    np.testing.assert_allclose(back.map, 1 / 16)
    assert back.same[0, 0, 0, 1] == pytest.approx(1 / 16)  # one window, one gradient
    assert back.same[0, 0, 0, 2] == 0


def test_the_maximum_of_four_independent_numbers():
    """E[max] = 1.0294, E[max²] = 1.5513 (order statistics of four normal numbers)."""
    layer, field = built(MaxPool2d(2)), independent()
    pooled = MaxPooling(layer, field, field, LeakyMoments(1.0)).forward()
    assert abs(pooled.moment - 1.5513) < 0.03
    assert abs(pooled.pairs[0, 1].mean() - 1.0294**2) < 0.04


def test_one_pixel_of_each_window_gets_the_gradient():
    layer, field = built(MaxPool2d(2)), independent()
    relu = moments_of(ReLU())
    pooling = MaxPooling(layer, field.scaled(0.5), field, relu)
    plain, gated = pooling.backward(independent(size=(3, 3)))
    assert plain.moment == pytest.approx(0.25)
    # the maximum of four is above 0 in 15 cases of 16
    assert abs(gated.moment / plain.moment - 15 / 16) < 0.02
    assert plain.same[0, 0, 0, 1] == 0  # two winners of one window: never
    loud = MaxPooling(layer, field.scaled(0.5), field, moments_of(LeakyReLU(2.0)))
    plain, gated = loud.backward(independent(size=(3, 3)))
    # the winner, of slope 1 above 0 and 2 below, where the square of the slope is 4
    assert abs(gated.moment / plain.moment - (15 + 4) / 16) < 0.03
    assert gated.same[0, 0, 2, 2] == 0
    # two samples without anything in common have the same winner in one case of four
    ones = Field(np.ones((4, 4, 3, 3)), *(np.ones((3, 3, 3, 3)),) * 2)
    shared, sloped = (part.pairs[0, 1].mean() for part in pooling.backward(ones))
    assert abs(shared - 1 / 16) < 0.01
    assert abs(sloped / shared - (15 / 16) ** 2) < 0.03


def test_alike_pixels_make_a_maximum_of_one():
    field = Field(np.ones((3, 3, 6, 6)), *(np.ones((6, 6, 6, 6)),) * 2)
    pooled = MaxPooling(built(MaxPool2d(2)), field, field, LeakyMoments(1.0)).forward()
    np.testing.assert_allclose(pooled.pairs, 1, rtol=1e-6)


def test_shares_of_a_relu_are_kept():
    """y = max(x) and dE/dy = y: what goes back is x itself where it wins."""
    layer, field = built(MaxPool2d(1)), independent()
    pooling = MaxPooling(layer, field.scaled(0.5), field, moments_of(ReLU()))
    plain, gated = pooling.aligned(np.ones((4, 6, 6)))
    np.testing.assert_allclose(plain, 1)
    assert abs(gated.mean() - 0.5) < 0.01
