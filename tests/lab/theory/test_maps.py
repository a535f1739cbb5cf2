import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.lab.theory.maps import (
    asymptotic_box_factor,
    box_factor,
    from_images,
    spread_sums,
    through_windows,
    window_sums,
)

ONE, NONE = (1, 1), (0, 0)


@pytest.fixture
def field():
    return from_images(np.random.default_rng(0).standard_normal((5, 2, 4, 3)))


@pytest.mark.parametrize("size, factor", [(7, 0.901), (14, 0.971), (28, 0.992)])
def test_zero_padding_leaks(size, factor):
    assert abs(asymptotic_box_factor((size, size), (3, 3)) - factor) < 5e-4


def test_the_box_factor_tends_to_its_asymptote():
    m, taps, factors = np.ones((7, 7)), np.full((3, 3), 1 / 9), []
    for _ in range(30):
        before, m = m.mean(), window_sums(m, taps, ONE, ONE, ONE, (7, 7))
        factors.append(m.mean() / before)
    assert abs(factors[0] - box_factor((7, 7), (3, 3), ONE)) < 1e-14
    assert abs(factors[0] - (19 / 21) ** 2) < 1e-14  # 19 of 21 taps an axis see the image
    assert abs(factors[-1] - asymptotic_box_factor((7, 7), (3, 3))) < 1e-6


def test_fields_are_the_products_of_images():
    x = np.random.default_rng(1).standard_normal((4, 3, 2, 3))
    field = from_images(x)
    np.testing.assert_allclose(field.pairs, np.einsum("nchw,mchw->nmhw", x, x) / 3)
    np.testing.assert_allclose(field.map, (x**2).mean(1))
    assert field.moment == pytest.approx((x**2).mean())
    same = np.einsum("nchw,ncij->hwij", x, x) / 12
    np.testing.assert_allclose(field.same, same)
    every = np.einsum("nchw,mcij->hwij", x, x) / 3
    np.testing.assert_allclose(field.cross, (every - 4 * same) / 12)
    whole = (x.mean((0, 2, 3)) ** 2).mean()
    assert field.mean_square_of_sum() == pytest.approx(whole)


@pytest.mark.parametrize("stride, padding, dilation", [(1, 1, 1), (2, 1, 1), (2, 0, 2), (3, 2, 1)])
def test_window_sums_are_plain_loops_and_spread_sums_their_adjoint(stride, padding, dilation):
    rng = np.random.default_rng(2)
    x, taps = rng.random((9, 8)), rng.random((3, 2))
    sizes = zip(x.shape, taps.shape)
    out = [(n + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for n, k in sizes]
    window = taps, (stride,) * 2, (padding,) * 2, (dilation,) * 2
    expected, border = np.zeros(out), np.pad(x, padding)
    for i, j in np.ndindex(*out):
        for u, v in np.ndindex(*taps.shape):
            at = border[stride * i + dilation * u, stride * j + dilation * v]
            expected[i, j] += taps[u, v] * at
    y = window_sums(x, *window, out)
    np.testing.assert_allclose(y, expected)
    other = rng.random(out)
    back = spread_sums(other, *window, x.shape)
    assert (y * other).sum() == pytest.approx((x * back).sum())


def test_windows_of_four_paddings_are_those_of_a_padded_array():
    rng = np.random.default_rng(2)
    x, taps, sides = rng.random((5, 4)), rng.random((3, 2)), ((1, 0), (0, 2))
    out = (5 + 1 - 2, 4 + 2 - 1)
    plain = window_sums(np.pad(x, sides), taps, ONE, (0, 0), ONE, out)
    np.testing.assert_allclose(window_sums(x, taps, ONE, sides, ONE, out), plain)
    back = spread_sums(plain, taps, ONE, sides, ONE, x.shape)
    assert (back * x).sum() == pytest.approx((plain * plain).sum())


def test_convolution_passes_products_exactly():
    """Over all draws of weights; here over many."""
    rng = np.random.default_rng(3)
    x, draws = rng.standard_normal((2, 1, 4, 4)), 20_000
    taps = np.ones((3, 3))
    field = through_windows(from_images(x), window_sums, taps, (2, 2), ONE, ONE, (2, 2))
    border = np.pad(x[:, 0], ((0, 0), (1, 1), (1, 1)))
    patches = np.stack(
        [border[:, i : i + 3, j : j + 3].reshape(2, 9) for i in (0, 2) for j in (0, 2)], 1
    )
    z = patches @ rng.standard_normal((9, draws))
    pairs = np.einsum("npd,mpd->nmp", z, z) / draws
    scale = np.abs(field.pairs).max()
    np.testing.assert_allclose(pairs, field.pairs.reshape(2, 2, 4), atol=6 * scale * draws**-0.5)
    same = np.einsum("npd,nqd->pq", z, z) / draws / 2
    np.testing.assert_allclose(same, field.same.reshape(4, 4), atol=6 * scale * draws**-0.5)


def test_stride_divides_the_fan_out():
    """A gradient's second moment is that of m / s² outputs an input, but for the border."""
    taps = np.ones((3, 3))
    back = spread_sums(np.ones((50, 50)), taps, (2, 2), ONE, ONE, (100, 100))
    assert abs(back.mean() / (9 / 4) - 1) < 0.015
    assert abs(back[10:90, 10:90].mean() / (9 / 4) - 1) < 1e-12


def test_centring_takes_the_mean_out(field):
    centred = field.centred()
    assert abs(centred.mean_square_of_sum()) < 1e-12
    np.testing.assert_allclose(centred.same, centred.same.transpose(2, 3, 0, 1))


def test_dropout_raises_squares_only(field):
    dropped = field.dropped(0.75)
    np.testing.assert_allclose(dropped.map, 4 * field.map)
    assert dropped.pairs[0, 1, 2, 2] == field.pairs[0, 1, 2, 2]
    assert dropped.same[0, 0, 0, 0] == 4 * field.same[0, 0, 0, 0]
    assert dropped.same[0, 0, 0, 1] == field.same[0, 0, 0, 1]


def test_sums_and_scales_are_those_of_signals(field):
    total = field.plus(field.scaled(2.0))
    np.testing.assert_allclose(total.pairs, 3 * field.pairs)
    np.testing.assert_allclose(total.cross, 3 * field.cross)


@pytest.mark.parametrize("shape", [(3,), (0, 1, 2, 2), (2, 3, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ArgumentError, match="images"):
        from_images(np.zeros(shape))


def test_large_images_are_refused():
    with pytest.raises(ArgumentError, match="65x64"):
        from_images(np.zeros((1, 1, 65, 64)))


def test_a_kernel_with_an_even_side_keeps_no_size():
    with pytest.raises(ArgumentError, match="odd sides"):
        asymptotic_box_factor((7, 7), (2, 3))
