"""Advice on axes turns an array into the samples that are wanted."""

import numpy as np
import pytest

from minicnn.hints.axes import advice_on_axes


@pytest.mark.parametrize(("shape", "wanted"), [
    ((3, 8, 6), (3, 8, 6)),
    ((5, 8, 6, 3), (3, 8, 6)),
    ((8, 6, 3), (3, 8, 6)),
    ((5, 8, 6), (1, 8, 6)),
    ((8, 6), (1, 8, 6)),
    ((5, 8, 6, 1), (1, 8, 6)),
    ((5, 48), (1, 8, 6)),
    ((5, 144), (3, 8, 6)),
    ((5, 3, 8, 6), (144,)),
    ((7,), (7,)),
])  # fmt: skip
def test_what_it_says_gives_such_samples(shape, wanted):
    images = np.random.default_rng(0).random(shape)
    code = advice_on_axes(shape, wanted).partition("use ")[2] or advice_on_axes(shape, wanted)[4:]
    found = eval(code.rstrip("."), {"images": images})
    assert found.shape[1:] == wanted and found.size == images.size
    if len(shape) > 1 and shape[-1] == wanted[0]:  # the colours of a pixel stay together
        np.testing.assert_array_equal(
            found[0, :, 2, 3], images.reshape(-1, 8, 6, shape[-1])[0, 2, 3]
        )


@pytest.mark.parametrize("shape", [(), (5,), (5, 3, 6, 8), (5, 3, 8, 7), (5, 2, 8, 6)])
def test_no_advice_where_no_change_of_axes_helps(shape):
    assert advice_on_axes(shape, (3, 8, 6)) == ""
