"""Two ways to compute a convolution: when which is taken, and that they agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import reference as ref
from minicnn.errors import ArgumentError
from minicnn.layers import Conv2d
from minicnn.layers.algorithms import Direct, Winograd
from minicnn.models import Sequential
from tests.kernels.conv.test_correlate import EXAMPLES, assert_close, with_one_and_two_threads
from tests.layers.cases import Case, run


def convolution(channels, image, padding, algorithm, dtype=np.float32):
    """A 3x3 convolution, with the model that it is."""
    layer = Conv2d(channels, 3, padding=padding, algorithm=algorithm)
    model = Case(lambda: layer, image).built(dtype)
    return layer, model


@EXAMPLES
@given(
    st.integers(1, 40),
    st.integers(1, 18),
    st.integers(1, 18),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_winograd_is_the_reference_to_rounding(samples, c_in, c_out, padding, size):
    image = (c_in, *(max(n, 3 - 2 * p) for n, p in zip(size, padding)))
    layer, model = convolution(c_out, image, padding, "winograd")
    assert isinstance(layer._by, Winograd)
    rng = np.random.default_rng(samples)
    x = rng.normal(size=(samples, *image)).astype(np.float32)
    delta = rng.normal(size=(samples, *model.output_shape)).astype(np.float32)
    found = run(model, x, delta)
    _, exact = convolution(c_out, image, padding, "direct", np.float64)
    for mine, theirs in zip(exact.parameters(), model.parameters(), strict=True):
        mine.value[...] = theirs.value
    expected = run(exact, x, delta)
    for name in ("y", "dx", "d 0.conv2d.weight", "d 0.conv2d.bias"):
        assert_close(found[name], expected[name], 1e-5 if name != "d 0.conv2d.weight" else 1e-4)
    weight, bias = (p.value for p in exact.parameters())
    assert_close(expected["y"][0], ref.correlate(x[0], weight, bias, padding=padding), 1e-6)


@pytest.mark.parametrize("c_in", [16, 32, 48, 64, 112])  # 1, 2, 3, 4 and 7 vectors side by side
@pytest.mark.parametrize("c_out", [4, 8, 12])  # a low tile, a tall one, and both
def test_every_tile_of_the_weight_gradient(c_in, c_out):
    rng = np.random.default_rng(c_in + c_out)
    _, model = convolution(c_out, (c_in, 6, 5), 1, "winograd")
    _, exact = convolution(c_out, (c_in, 6, 5), 1, "direct", np.float64)
    x, delta = (rng.normal(size=(20, c, 6, 5)).astype(np.float32) for c in (c_in, c_out))
    name = "d 0.conv2d.weight"
    assert_close(run(model, x, delta)[name], run(exact, x, delta)[name], 1e-4)


@pytest.mark.parametrize("channels", [1, 3, 4, 13])
def test_equal_weights_give_equal_bits_in_every_channel(channels):
    """Rows tied going in and coming out, whatever tile a channel falls into."""
    rng = np.random.default_rng(0)
    _, model = convolution(channels, (channels, 6, 7), 1, "winograd")
    weight, bias = (p.value for p in model.parameters())
    weight[...], bias[...] = weight[:1, :1].copy(), bias[0]
    x, delta = (np.repeat(rng.normal(size=(35, 1, 6, 7)), channels, axis=1) for _ in range(2))
    found = run(model, x, delta)
    for name in ("y", "dx"):
        np.testing.assert_array_equal(found[name], found[name][:, :1] + 0 * found[name])
    dw = found["d 0.conv2d.weight"]
    np.testing.assert_array_equal(dw, np.broadcast_to(dw[:1, :1], dw.shape))


def test_same_bits_with_one_and_two_threads():
    rng = np.random.default_rng(0)
    x, delta = rng.normal(size=(100, 9, 8, 7)), rng.normal(size=(100, 10, 8, 7))
    one, two = with_one_and_two_threads(
        lambda: run(convolution(10, (9, 8, 7), 1, "winograd")[1], x, delta)
    )
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


@pytest.mark.parametrize(
    ("layer", "image", "fast"),
    [
        (Conv2d(8, 3, padding=1), (8, 8, 8), True),
        (Conv2d(8, 3, padding=2), (8, 5, 5), True),
        (Conv2d(8, 3, padding=1, algorithm="direct"), (8, 8, 8), False),
        (Conv2d(7, 3, padding=1), (8, 8, 8), False),
        (Conv2d(8, 3, padding=1), (7, 8, 8), False),
        (Conv2d(7, 3, padding=1, algorithm="winograd"), (1, 5, 5), True),
        (Conv2d(8, 3, padding=1), (8, 5, 5), False),  # tiles of 8x8 pixels, 25 of 64 of use
        (Conv2d(8, 3, padding=3), (8, 8, 8), False),
        (Conv2d(8, 3, stride=2), (8, 9, 9), False),
        (Conv2d(8, 3, dilation=2), (8, 8, 8), False),
        (Conv2d(16, 3, groups=2), (16, 10, 10), False),
        (Conv2d(8, (3, 5)), (8, 10, 12), False),
    ],
)
def test_winograd_is_taken_where_it_can_be_and_is_worth_it(layer, image, fast):
    layer.build(image, np.random.default_rng(0))
    assert type(layer._by) is (Winograd if fast else Direct)
    if layer.algorithm == "auto":
        layer.build(image, np.random.default_rng(0), np.float64)
        assert type(layer._by) is Direct


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"algorithm": "winogard"}, "unknown convolution algorithm 'winogard'. Did you mean"),
        ({"algorithm": "winograd", "stride": 2}, "winograd needs a 3x3 kernel of stride 1"),
        ({"algorithm": "winograd", "padding": 3}, "winograd needs .* padding of at most 2"),
    ],
)
def test_algorithms_that_cannot_be(settings, message):
    with pytest.raises(ArgumentError, match=message):
        Sequential(Conv2d(8, 3, **settings)).initialize((8, 9, 9))


def test_winograd_in_float64():
    with pytest.raises(ArgumentError, match="winograd needs .* in float32"):
        convolution(8, (8, 9, 9), 1, "winograd", np.float64)
