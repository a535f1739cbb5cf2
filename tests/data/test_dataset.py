"""Dataset: its checks, its normalization, and the moments of the pixels."""

import tracemalloc
import warnings

import numpy as np
import pytest

from minicnn.data.dataset import Dataset
from minicnn.data.statistics import normalization
from minicnn.errors import ArgumentError, DataError

RNG = np.random.default_rng(0)
LABELS = np.array([0, 2, 1, 2, 0, 3, 1])
BYTES = RNG.integers(0, 256, (7, 3, 5, 4), dtype=np.uint8)
REALS = RNG.normal(5, 2, (7, 3, 5, 4))
EPS = np.finfo(np.float32).eps


def bad(**changes):
    return Dataset(**{"images": BYTES, "labels": LABELS, **changes})


def test_what_a_dataset_knows():
    dataset = Dataset(BYTES, LABELS.astype(np.uint8), name="digits")
    assert len(dataset) == 7 and dataset.shape == (3, 5, 4) and dataset.classes == 4
    assert dataset.labels.dtype == np.int64 and dataset.name == "digits"
    np.testing.assert_array_equal(dataset.labels, LABELS)
    np.testing.assert_array_equal(dataset.class_frequencies(), np.array([2, 2, 2, 1]) / 7)
    more = Dataset(BYTES, LABELS, classes=6)
    assert more.classes == 6
    np.testing.assert_array_equal(more.class_frequencies(), np.array([2, 2, 2, 1, 0, 0]) / 7)


def test_images_without_channels_have_one():
    dataset = Dataset(BYTES[:, 0], LABELS)
    assert dataset.shape == (1, 5, 4)
    np.testing.assert_array_equal(dataset.images[:, 0], BYTES[:, 0])


def test_an_array_that_fits_is_not_copied():
    for images in (BYTES, REALS, REALS.astype(np.float32)):
        assert np.shares_memory(Dataset(images, LABELS).images, images)
        assert np.shares_memory(Dataset(images, LABELS).subset(3).images, images)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (np.int64, np.uint8),
        (np.uint16, np.uint8),
        (np.int16, np.uint8),
        (np.float16, np.float32),
        (">f4", np.float32),
        (">f8", np.float64),
    ],
)
def test_types_that_convert_without_loss(given, kept):
    dataset = Dataset(BYTES.astype(given), LABELS)
    assert dataset.images.dtype == kept and dataset.images.dtype.isnative
    np.testing.assert_array_equal(dataset.images, BYTES)


def test_images_in_another_order_in_memory():
    turned = BYTES.transpose(0, 1, 3, 2)
    dataset = Dataset(turned, LABELS)
    assert dataset.images.flags.c_contiguous
    np.testing.assert_array_equal(dataset.images, turned)
    np.testing.assert_array_equal(Dataset(BYTES[::-1], LABELS).images, BYTES[::-1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": BYTES[0, 0]}, r"expected images of shape \(N, C, H, W\).*got shape \(5, 4\)"),
        ({"images": BYTES[None]}, r"got shape \(1, 7"),
        ({"images": BYTES[:0], "labels": LABELS[:0]}, r"at least one.*got shape \(0, 3, 5, 4\)"),
        ({"images": BYTES[:, :, :0]}, "at least one pixel"),
        ({"images": BYTES[:, :0]}, "at least one pixel"),
        ({"images": BYTES.astype(int) - 1}, r"from 0 to 255, got -1 to .*astype\(np.float32\)"),
        ({"images": BYTES.astype(np.uint16) + 1}, "uint16 must be from 0 to 255, got .* to 256"),
        ({"images": BYTES > 9}, r"got bool.*astype\(np.float32\)"),
        ({"images": BYTES.astype(complex)}, "got complex128"),
        ({"images": BYTES.astype(object)}, "got object"),
        ({"labels": LABELS[:-1]}, "6 labels for 7 images"),
        ({"labels": LABELS[:, None]}, r"\(N,\), got int64 of shape \(7, 1\)\. Use labels\[:, 0\]"),
        ({"labels": np.eye(4)[LABELS]}, r"argmax\(axis=1\)"),
        ({"labels": LABELS * 1.0}, r"got float64.*astype\(np.int64\)"),
        ({"labels": LABELS - 1}, "2 labels are outside the classes 0 to 2.* -1 at index 0"),
        ({"classes": 2}, "3 labels are outside the classes 0 to 1.* 2 at index 1"),
        ({"labels": LABELS.astype(np.uint64) + 2**63, "classes": 4}, "9223372036854775808 at"),
        ({"labels": LABELS * 0 - 1}, "7 labels are outside"),
        ({"labels": LABELS + 1, "classes": 4}, r"1 labels are outside .*use labels - 1"),
        ({"labels": LABELS.astype(np.uint64) + 2**63}, "9223372036854775808 at index 0 is too"),
        ({"labels": np.array([0, 1] * 3 + [2**64 - 1], np.uint64)}, "18446744073709551615 at"),
        ({"labels": LABELS + 10**12}, "1000000000000 at index 0 is too large"),
        ({"labels": np.ma.masked_equal(LABELS, 2)}, "2 elements of the labels are masked"),
        ({"images": np.ma.masked_less(BYTES, 9)}, "elements of the images are masked"),
        ({"images": [[1, 2], [3]]}, "the images are no array"),
        ({"images": np.zeros((7, 28, 28, 3))}, r"Use images.transpose\(0, 3, 1, 2\)"),
    ],
)
def test_data_that_cannot_be_right(changes, message):
    with pytest.raises(DataError, match=message) as caught:
        bad(name="some digits", **changes)
    assert str(caught.value).startswith("some digits: ")


@pytest.mark.parametrize("images", [np.zeros((7, 28, 28, 3)), np.zeros((7, 32, 20, 1), np.uint8),
                                    np.zeros((7, 5, 5, 4), np.float32)])  # fmt: skip
def test_channels_that_come_last(images):
    with pytest.raises(
        DataError, match=r"look like \(N, H, W, C\).*images.transpose\(0, 3, 1, 2\)"
    ):
        Dataset(images, LABELS)
    images[..., 0] = np.arange(images.shape[1])[:, None]  # the row of each pixel, in channel 0
    rows = Dataset(images, LABELS, channels_first=False).images
    np.testing.assert_array_equal(rows, images.transpose(0, 3, 1, 2))
    assert rows.flags.c_contiguous
    np.testing.assert_array_equal(Dataset(images, LABELS, channels_first=True).images, images)


@pytest.mark.parametrize("shape", [(7, 3, 28, 28), (7, 1, 28, 3), (7, 64, 3, 3), (7, 3, 4, 4),
                                   (7, 4, 28, 4), (7, 28, 28, 2), (7, 28, 3)])  # fmt: skip
def test_shapes_whose_channels_come_first(shape):
    assert Dataset(np.zeros(shape, np.uint8), LABELS).shape == (1, *shape[1:])[-3:]


def test_a_single_image_is_no_batch():
    with pytest.raises(
        DataError, match=r"1 labels for 28 images.*\(1, C, H, W\), got \(28, 28, 3\)"
    ):
        Dataset(np.zeros((28, 28, 3)), [5])


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.uint64, "<i4", ">i4", list])
def test_labels_of_any_whole_numbers(kind):
    labels = list(LABELS) if kind is list else LABELS.astype(kind)
    found = Dataset(BYTES, labels, classes=300).labels
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, LABELS)


@pytest.mark.parametrize(("labels", "message"), [
    (LABELS + 1, "class 0 has no image: the labels are from 1 to 4.*labels - 1.*classes=5"),
    (LABELS + 5, "class 0 has no image: the labels are from 5 to 8.*labels - 5.*classes=9"),
    (np.array([0, 1, 2, 0, 1, 2, 7]), "4 of 8 classes have no image, the first is 3.*return_inv"),
    (np.array([1, 1, 1, 1, 3, 3, 3]), "2 of 4 classes have no image, the first is 0"),
])  # fmt: skip
def test_classes_without_an_image_are_said(labels, message):
    with pytest.warns(UserWarning, match=f"the data set: {message}") as caught:
        dataset = Dataset(BYTES, labels)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Dataset(BYTES, labels, classes=20)  # it is meant so
        dataset.subset(2), dataset.with_normalization(1, 2)
        Dataset(BYTES, np.unique(labels, return_inverse=True)[1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_pixels_that_are_no_numbers(value, dtype):
    images = REALS.astype(dtype)
    images[5, 1, 2, 3] = images[2, 2, 4, 0] = value
    with pytest.raises(DataError, match=r"2 pixels are NaN.*first at index \(2, 2, 4, 0\)"):
        Dataset(images, LABELS)
    with pytest.raises(DataError, match=r"1 pixels are NaN.*first at index \(2, 4, 0\)"):
        Dataset(images[:, 2], LABELS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 0}, "classes must be"),
        ({"classes": True}, "classes must be"),
        ({"classes": 4.0}, "classes must be"),
        ({"mean": np.nan}, "mean must be finite"),
        ({"mean": [0.1, 0.2]}, r"each of the 3 channels, got shape \(2,\)"),
        ({"std": 0}, "std must be above 0"),
        ({"std": [1, -1, 1]}, "std must be above 0"),
        ({"std": np.inf}, "std must be above 0"),
        ({"std": 1e-42}, r"cannot be divided by a std of .*1\.?e-42"),
        ({"std": 1e-3, "mean": 1e37}, "cannot be divided"),
        ({"std": 5e-324, "images": REALS}, "cannot be divided"),
    ],
)
def test_settings_that_cannot_work(changes, message):
    with pytest.raises(ArgumentError, match=message):
        bad(**changes)


def test_bytes_count_as_fractions_of_255():
    np.testing.assert_allclose(
        Dataset(BYTES, LABELS).normalized(slice(None)), BYTES / 255, rtol=2 * EPS
    )
    for dtype in (np.float32, np.float64):
        plain = Dataset(REALS.astype(dtype), LABELS)
        np.testing.assert_array_equal(plain.normalized(slice(None)), REALS.astype(np.float32))


@pytest.mark.parametrize("images", [BYTES, REALS, REALS.astype(np.float32)])
def test_normalized_is_the_pixel_minus_mean_over_std(images):
    mean, std = np.array([0.2, -3.0, 5.0]), np.array([0.5, 2.0, 7.0])
    dataset = Dataset(images, LABELS, mean=mean, std=std)
    indices = np.array([6, 0, 0, 3])
    pixels = images[indices] / (255 if images is BYTES else 1)
    mean, std = mean[:, None, None], std[:, None, None]
    found = dataset.normalized(indices)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    exact = (pixels - mean) / std
    error = np.abs(found - exact)
    if images is BYTES:  # pixel * scale + shift, in float32
        assert (error <= 2 * EPS * (np.abs(pixels) + np.abs(mean)) / std).all()
    else:
        assert (error <= EPS * np.abs(exact)).all()


def test_with_normalization_leaves_the_first_alone():
    first = Dataset(BYTES, LABELS, mean=0.5)
    second = first.with_normalization([0.1, 0.2, 0.3], 2)
    assert np.shares_memory(first.images, second.images)
    np.testing.assert_array_equal(first.mean, 0.5)
    np.testing.assert_array_equal(first.std, 1)
    np.testing.assert_array_equal(second.mean, [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(second.std, 2)
    with pytest.raises(ArgumentError, match="std must be above 0"):
        first.with_normalization(0, 0)


def test_subset():
    whole = Dataset(BYTES, LABELS, mean=0.5, std=2)
    part = whole.subset(3)
    assert len(part) == 3 and len(whole) == 7 and part.classes == 4
    np.testing.assert_array_equal(part.normalized(slice(None)), whole.normalized(range(3)))
    np.testing.assert_array_equal(part.labels, LABELS[:3])
    assert len(whole.subset(7)) == len(whole.subset(1000)) == 7
    for n in (0, -1, 2.0, True):
        with pytest.raises(ArgumentError, match="number of images"):
            whole.subset(n)


@pytest.mark.parametrize("images", [BYTES, REALS, REALS.astype(np.float32), REALS + 1e4])
def test_moments_are_numpys(images):
    mean, std = normalization(Dataset(images, LABELS))
    pixels = images.astype(np.longdouble) / (255 if images.dtype == np.uint8 else 1)
    # Numbers near `size` are summed with a few roundings each.
    size = float(np.abs(pixels).max())
    np.testing.assert_allclose(mean, pixels.mean(axis=(0, 2, 3)), rtol=0, atol=1e-15 * size)
    np.testing.assert_allclose(std, pixels.std(axis=(0, 2, 3)), rtol=0, atol=1e-15 * size)
    assert mean.dtype == std.dtype == np.float64


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_moments_of_more_than_one_slice(dtype):
    images = np.random.default_rng(1).integers(0, 256, (500, 2, 30, 31)).astype(dtype)
    mean, std = normalization(Dataset(images, np.zeros(500, int)))
    unit = 255 if dtype == np.uint8 else 1
    np.testing.assert_allclose(mean * unit, images.mean((0, 2, 3), np.float64), rtol=1e-14)
    np.testing.assert_allclose(std * unit, images.std((0, 2, 3), np.float64), rtol=1e-13)


@pytest.mark.parametrize("images", [BYTES, REALS, 1e9 + REALS, (1e5 + REALS).astype(np.float32)])
def test_normalized_with_its_own_moments_has_mean_0_and_variance_1(images):
    dataset = Dataset(images, LABELS)
    found = dataset.with_normalization(*normalization(dataset)).normalized(slice(None))
    found = found.astype(np.float64)
    # Each of the pixels is off by at most a few roundings of a number below 8.
    np.testing.assert_allclose(found.mean(axis=(0, 2, 3)), 0, atol=8 * EPS)
    np.testing.assert_allclose(found.std(axis=(0, 2, 3)), 1, atol=8 * EPS)


@pytest.mark.parametrize("value", [0, 7, 255, 0.1, 1e8 / 3, -1 / 3])
def test_a_constant_channel_gets_std_1_and_becomes_0(value):
    dtype = np.uint8 if isinstance(value, int) else np.float64
    images = np.concatenate([BYTES[:, :1], np.full((7, 1, 5, 4), value)], axis=1).astype(dtype)
    dataset = Dataset(images, LABELS)
    mean, std = normalization(dataset)
    assert std[1] == 1 and std[0] != 1
    unit = 255 if dtype == np.uint8 else 1
    np.testing.assert_allclose(mean[1], value / unit, rtol=1e-15)
    found = dataset.with_normalization(mean, std).normalized(slice(None))[:, 1]
    assert (np.abs(found) <= 2 * EPS * abs(value) / unit).all()


def test_one_image_of_one_pixel():
    mean, std = normalization(Dataset(np.full((1, 1, 1), 51, np.uint8), [0]))
    assert mean == [0.2] and std == [1]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_moments_need_no_copy_of_the_images(dtype):
    images = np.ones((2000, 1, 64, 64), dtype)
    dataset = Dataset(images, np.zeros(2000, int))
    tracemalloc.start()
    normalization(dataset)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6  # two slices of 2^18 pixels in float64 are 4 MB; the images are 8 million


def test_images_are_chosen_along_the_first_axis_alone():
    dataset = Dataset(BYTES, LABELS, mean=0.5)
    whole = dataset.normalized(slice(None))
    for indices in ((0, 1), [0, 1], range(2), np.array([0, 1], np.uint8), slice(2), LABELS < 0):
        chosen = indices if isinstance(indices, (slice, np.ndarray)) else list(indices)
        np.testing.assert_array_equal(dataset.normalized(indices), whole[chosen])
    assert dataset.normalized([]).shape == dataset.normalized(()).shape == (0, 3, 5, 4)
    for indices in (3, (i for i in range(2)), [1.0], [[1]], None, ...):
        with pytest.raises(ArgumentError, match="indices must be whole numbers"):
            dataset.normalized(indices)
    for indices in ([7], [-8], [True]):
        with pytest.raises(ArgumentError, match="the data set has 7 images"):
            dataset.normalized(indices)


@pytest.mark.parametrize("value", ["a", (i for i in range(3)), [0.1, None, 0.2]])
def test_normalization_that_is_no_numbers(value):
    with pytest.raises(ArgumentError, match="mean must be"):
        Dataset(BYTES, LABELS).with_normalization(value, 1)
