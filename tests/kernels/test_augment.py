"""Each change of an image is what its formula says; random numbers are random, and keyed."""

import numpy as np
import pytest
import scipy.stats

from minicnn.kernels import augment as kernels

KEY = np.uint64(12345)
NOWHERE = np.empty(0, np.int64)
KINDS = [np.uint8, np.float32, np.float64]


def pictures(count=6, shape=(2, 7, 9), kind=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(1, 256, (count, *shape)).astype(kind)


def taken(images, indices, padding, flip, key=KEY, rows=NOWHERE):
    out = np.full((len(indices), *images.shape[1:]), 77, images.dtype)
    kernels.take(images, rows, np.asarray(indices), key, padding, False, flip, out)
    return out


def draws(count, draw=0, key=KEY):
    return np.array([kernels.uniform(key, sample, draw) for sample in range(count)])


def test_uniform_numbers_are_uniform_and_independent():
    ours = [draws(20000), draws(20000, draw=1), draws(20000, key=np.uint64(12346))]
    for one in ours:
        assert scipy.stats.kstest(one, "uniform").pvalue > 0.001
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(ours[one], ours[two])[0, 1]) < 4 / np.sqrt(20000)
    assert abs(np.corrcoef(ours[0][1:], ours[0][:-1])[0, 1]) < 4 / np.sqrt(20000)


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 1.0])
def test_shares_of_a_mixture_have_the_beta_distribution(alpha):
    ours = [kernels.beta(KEY, sample, alpha) for sample in range(5000)]
    assert scipy.stats.kstest(ours, scipy.stats.beta(alpha, alpha).cdf).pvalue > 0.001


@pytest.mark.parametrize("kind", KINDS)
def test_take_alone_copies(kind):
    images = pictures(kind=kind)
    np.testing.assert_array_equal(taken(images, [4, 1, 1], 0, 0.0), images[[4, 1, 1]])
    rows = np.array([5, 3])
    np.testing.assert_array_equal(taken(images, [1, 0], 0, 0.0, rows=rows), images[[3, 5]])
    np.testing.assert_array_equal(taken(images, [4, 2], 0, 1.0), images[[4, 2], :, :, ::-1])


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_a_crop_is_a_window_of_the_padded_image(kind, flip):
    images, padding = pictures(200, (2, 5, 6), kind), 3
    found = taken(images, np.arange(200), padding, flip)
    wide = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    places = set()
    for n in range(200):
        source = wide[n, :, :, ::-1] if flip else wide[n]
        fits = [
            (i, j)
            for i in range(2 * padding + 1)
            for j in range(2 * padding + 1)
            if np.array_equal(source[:, i : i + 5, j : j + 6], found[n])
        ]
        assert len(fits) == 1  # pixels are 1 and more: no two windows are alike
        places.add(fits[0])
    assert {i for i, _ in places} == {j for _, j in places} == set(range(7))


def test_how_often_an_image_is_mirrored():
    images = pictures(1, (1, 1, 2))
    found = taken(images, np.zeros(1, int), 0, 0.5)
    count = sum(
        not np.array_equal(taken(images, [0], 0, 0.3, key=np.uint64(k)), images)
        for k in range(4000)
    )
    assert abs(count - 1200) < 4 * np.sqrt(4000 * 0.3 * 0.7) and found.shape == images.shape


def warped(images, angle=0.0, scale=0.0, pixels=0.0):
    out = np.empty_like(images)
    kernels.warp(images, np.arange(len(images)), KEY, angle, scale, pixels, out)
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_a_warp_by_nothing_copies(kind):
    images = pictures(kind=kind)
    np.testing.assert_array_equal(warped(images), images)


@pytest.mark.parametrize(
    "settings",
    [{"angle": 0.5}, {"scale": 0.3}, {"pixels": 3.0}, {"angle": 3, "scale": 0.5, "pixels": 2}],
)
def test_a_warp_is_bilinear_interpolation(settings):
    """Held against SciPy's, of the map that the same random numbers give."""
    images = pictures(8, (2, 11, 8), np.float64)
    found = warped(images, **settings)
    for n, image in enumerate(images):
        symmetric = [2 * kernels.uniform(KEY, n, draw) - 1 for draw in range(3, 7)]
        turn, zoom = (
            settings.get("angle", 0) * symmetric[0],
            1 + settings.get("scale", 0) * symmetric[1],
        )
        move = settings.get("pixels", 0) * np.array(symmetric[2:])
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / zoom
        middle = (np.array(image.shape[1:]) - 1) / 2
        for c in range(2):
            expected = scipy.ndimage.affine_transform(
                np.pad(image[c], 3), matrix, middle + 3 - matrix @ (middle + move + 3),
                output_shape=np.array(image.shape[1:]) + 6, order=1,
            )[3:-3, 3:-3]  # fmt: skip
            np.testing.assert_allclose(found[n, c], expected, rtol=1e-12, atol=1e-10)


def test_a_warp_of_bytes_rounds():
    images = pictures(8, (2, 11, 8))
    exact = warped(images.astype(np.float64), 0.5, 0.2, 1.0)
    np.testing.assert_array_equal(warped(images, 0.5, 0.2, 1.0), np.rint(exact))


def test_a_hole_is_a_square_within_the_image():
    images = pictures(300, (2, 9, 8), np.float32)
    found = images.copy()
    kernels.cut_out(found, np.arange(300), KEY, 4, np.array([-5.0, -6.0]))
    rows = set()
    for n in range(300):
        hole = found[n, 0] == -5
        np.testing.assert_array_equal(found[n, 1] == -6, hole)
        np.testing.assert_array_equal(found[n][:, ~hole], images[n][:, ~hole])
        i, j = np.nonzero(hole)
        height, width = np.ptp(i) + 1, np.ptp(j) + 1
        assert hole.sum() == height * width and 2 <= height <= 4 and 2 <= width <= 4
        assert (height == 4 or i.min() == 0 or i.max() == 8) and (
            width == 4 or j.min() == 0 or j.max() == 7
        )
        rows.add(int(i.min()))
    assert rows == set(range(7))


def test_noise_is_nearly_normal():
    images = np.zeros((40, 1, 50, 50))
    kernels.add_noise(images, np.arange(40), KEY, 0.1)
    flat = images.ravel() / 0.1
    assert abs(flat.mean()) < 4 / np.sqrt(flat.size) and abs(flat.std() - 1) < 4 / np.sqrt(
        2 * flat.size
    )
    far = np.abs(
        np.sort(scipy.stats.norm.cdf(flat)) - (np.arange(flat.size) + 0.5) / flat.size
    ).max()
    assert far < 0.001 + 1.95 / np.sqrt(flat.size)  # as far as it is, and chance of one in 1000
    assert abs(np.corrcoef(flat[1:], flat[:-1])[0, 1]) < 4 / np.sqrt(flat.size)


def test_noise_keeps_bytes_from_0_to_255():
    images = np.repeat(np.array([0, 128, 255], np.uint8), 1000).reshape(3, 1, 20, 50)
    kernels.add_noise(images, np.arange(3), KEY, 25.5)
    middle = images[1].astype(float)
    assert abs(middle.std() - 25.5) < 3 and abs(middle.mean() - 128) < 4
    assert (images[0] == 0).sum() > 400 and (images[2] == 255).sum() > 400
    assert images[0].max() < 130 and images[2].min() > 125


def mixed(images, others, mixup, cutmix):
    found, weights = images.copy(), np.empty(len(images))
    kernels.mix(found, others, np.arange(len(images)), KEY, mixup, cutmix, weights)
    return found, weights


def test_mixup_is_a_weighted_mean():
    images, others = pictures(50, kind=np.float64), pictures(50, kind=np.float64, seed=1)
    found, weights = mixed(images, others, 0.4, 0.0)
    w = weights[:, None, None, None]
    np.testing.assert_allclose(found, w * images + (1 - w) * others, rtol=1e-15)
    assert (weights > 0.9).any() and (weights < 0.1).any()


def test_cutmix_is_a_box_of_the_other_and_its_area_counts():
    images, others = pictures(50), pictures(50, seed=1)
    images[:], others[:] = 1, 2
    found, weights = mixed(images, others, 0.0, 1.0)
    for n in range(50):
        box = found[n, 0] == 2
        np.testing.assert_array_equal(found[n, 1] == 2, box)
        assert weights[n] == pytest.approx(1 - box.mean(), abs=1e-15)
        if box.any():
            i, j = np.nonzero(box)
            assert box.sum() == (np.ptp(i) + 1) * (np.ptp(j) + 1)


def test_one_of_both_is_tossed_for():
    images, others = np.zeros((400, 1, 10, 10)), np.ones((400, 1, 10, 10))
    found, _ = mixed(images, others, 1.0, 1.0)
    blended = np.array([((one > 0) & (one < 1)).any() for one in found])
    assert abs(blended.sum() - 200) < 4 * np.sqrt(100)


def test_partners_are_any_sample():
    partners = np.empty(5000, np.int64)
    kernels.choose_partners(np.arange(5000), KEY, 7, partners)
    counts = np.bincount(partners, minlength=7)
    assert len(counts) == 7 and scipy.stats.chisquare(counts).pvalue > 0.001
