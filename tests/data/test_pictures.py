"""Pictures of people's own become like the training images, and what was done is said."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from minicnn.data.pictures import centre_digit, mean_border, read_picture
from minicnn.errors import DataError

SHAPE = (1, 28, 28)


SEVEN = ((60, 60), (220, 60), (120, 240))


def drawn(path, size=(280, 300), ink="black", paper="white", line=SEVEN):
    image = Image.new("RGB", size[::-1], paper)
    ImageDraw.Draw(image).line(list(line), fill=ink, width=26)
    image.save(path)
    return path


def test_dark_on_light_is_inverted_and_it_is_said(tmp_path):
    path = drawn(tmp_path / "seven.png")
    picture = read_picture(path, SHAPE, background=0.0)
    assert picture.pixels.shape == SHAPE and mean_border(picture.pixels[None]) < 0.1
    assert picture.notes == (
        "it is dark on light, unlike the training images: inverted",
        "it has 280 x 300 pixels: its middle was resized to 28 x 28",
    )
    plain = read_picture(path, SHAPE)
    np.testing.assert_array_equal(picture.pixels, 255 - plain.pixels)
    light = drawn(tmp_path / "b.png", ink="white", paper="black")
    assert "light on dark" in read_picture(light, SHAPE, background=0.9).notes[0]
    assert len(read_picture(light, SHAPE, background=0.0).notes) == 1


def test_a_digit_is_centred_by_its_mass_in_20_pixels(tmp_path):
    seen = []
    for place in (0, 100):
        line = ((60 + place, 60), (110 + place, 60), (80 + place, 180))
        path = drawn(tmp_path / f"{place}.png", size=(300, 400), line=line)
        picture = read_picture(path, SHAPE, 0.0, digits=True)
        rows, columns = (np.nonzero(picture.pixels[0].any(axis))[0] for axis in (1, 0))
        assert np.ptp(rows) + 1 == 20 and np.ptp(columns) + 1 < 20
        ink = picture.pixels[0].astype(float)
        for axis in (0, 1):
            mass = ink.sum(1 - axis) @ (np.arange(28) + 0.5) / ink.sum()
            assert abs(mass - 14) <= 0.6 or axis == 0  # rows fill 20 of 28: they may not fit
        seen.append(picture.pixels)
    np.testing.assert_array_equal(*seen)
    assert "fitted into 20 x 20, centred" in picture.notes[1]


def test_what_has_the_size_of_mnist_is_taken_as_it_is(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    picture = read_picture(tmp_path / "x.png", SHAPE, digits=True)
    np.testing.assert_array_equal(picture.pixels[0], pixels)
    assert picture.notes == ()


def test_a_digit_of_nothing():
    assert not centre_digit(np.zeros((50, 40), np.uint8)).any()


def test_colour_is_never_inverted(tmp_path):
    picture = read_picture(drawn(tmp_path / "x.png"), (3, 32, 32), background=0.0)
    assert picture.pixels.shape == (3, 32, 32) and len(picture.notes) == 1


def test_pictures_that_cannot_be(tmp_path):
    (tmp_path / "x.png").write_text("no image")
    with pytest.raises(DataError, match="x.png cannot be read as an image: it is no image"):
        read_picture(tmp_path / "x.png", SHAPE)
    with pytest.raises(DataError, match="none.png cannot be read as an image: No such file"):
        read_picture(tmp_path / "none.png", SHAPE)
    with pytest.raises(DataError, match="images of 2 channels: no picture has"):
        read_picture(tmp_path / "x.png", (2, 8, 8))
