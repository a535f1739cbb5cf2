"""ConvTranspose2d against the convolution whose gradient it is, PyTorch's numbers, and its fans."""

import numpy as np
import pytest

from minicnn import reference as ref
from minicnn.errors import ArgumentError
from minicnn.layers import ConvTranspose2d
from tests.kernels.conv.test_correlate import assert_close, with_one_and_two_threads
from tests.layers.cases import Case, run

SETTINGS = [
    {"kernel_size": 3},
    {"kernel_size": 4, "stride": 2, "padding": 1, "bias": False},
    {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2)},
    {"kernel_size": 2, "stride": 3, "groups": 2, "dilation": 2, "output_padding": 1},
    {"kernel_size": 3, "padding": 2, "dilation": (2, 3), "groups": 2, "output_padding": (1, 2)},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_it_is_the_gradient_of_a_convolution(settings):
    case = Case(lambda: ConvTranspose2d(6, **settings), (4, 5, 6))
    x, delta = case.batch(18)
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        model = case.built(dtype)
        found, (layer,) = run(model, x, delta), model.layers
        own = {name: p.value.astype(float) for name, p in layer.own_parameters().items()}
        how = {name: getattr(layer, name) for name in ("stride", "padding", "dilation", "groups")}
        w, shape = own["weight"], layer.output_shape
        b = own.get("bias", np.zeros(6))[:, None, None]
        dx = np.stack([ref.correlate(d, w, **how) for d in delta])
        # With more output padding than the stride, the convolution has places without an input.
        beyond = [(0, m - n) for m, n in zip(dx.shape[2:], x.shape[2:])]
        wide = [ref.pad(a, *beyond) for a in x]
        y = [ref.conv_input_gradient(a, w, shape, **how) + b for a in wide]
        assert_close(found["y"], np.stack(y), tolerance)
        assert_close(found["dx"], dx[:, :, :5, :6], tolerance)
        dw = sum(ref.conv_weight_gradient(a, d, w.shape, **how) for a, d in zip(wide, delta))
        assert_close(layer.weight.grad, dw, tolerance)
        if layer.b is not None:
            assert_close(layer.b.grad, delta.sum(axis=(0, 2, 3)), tolerance)


def test_pytorchs_numbers():
    """Those of PyTorch 2.14.1, for weights 0, 1, 2, ... modulo 5 and dE/dy = 0, 1, ... modulo 7."""
    settings = dict(stride=2, padding=1, output_padding=1, groups=2)
    case = Case(lambda: ConvTranspose2d(2, 3, **settings), (2, 2, 2))
    model = case.built()
    (layer,) = model.layers
    layer.weight.value[...] = np.arange(18.0).reshape(2, 1, 3, 3) % 5
    layer.b.value[...] = [1, -1]
    x = np.arange(8.0).reshape(1, 2, 2, 2)
    found = run(model, x, np.arange(32.0).reshape(1, 2, 4, 4) % 7)
    np.testing.assert_array_equal(
        found["y"][0],
        [
            [[1, 4, 5, 1], [3, 6, 6, 10], [9, 10, 13, 1], [5, 10, 7, 10]],
            [[11, 25, 14, 19], [3, 41, 4, 16], [17, 37, 20, 27], [5, 11, 6, 13]],
        ],
    )
    np.testing.assert_array_equal(found["dx"][0], [[[23, 28], [46, 33]], [[24, 43], [27, 57]]])
    np.testing.assert_array_equal(
        layer.weight.grad[:, 0],
        [[[15, 26, 10], [7, 13, 19], [23, 16, 15]], [[0, 43, 14], [43, 81, 103], [7, 43, 37]]],
    )
    np.testing.assert_array_equal(layer.b.grad, [43, 47])


def test_fans_count_what_feeds_an_output_and_what_an_input_feeds():
    layer = ConvTranspose2d(6, 4, 2, 1, groups=2)
    layer.build((4, 8, 8), np.random.default_rng(0))
    fans = layer._fans
    assert (fans.fan_in, fans.fan_out) == (2 * 4, 3 * 16)
    own = np.zeros((8, 8, 16, 16))  # which input feeds which output, of one channel
    for i, j, u, v in np.ndindex(8, 8, 4, 4):
        row, column = 2 * i + u - 1, 2 * j + v - 1
        if 0 <= row < 16 and 0 <= column < 16:
            own[i, j, row, column] = 1
    assert fans.taps == pytest.approx(2 * own.sum((0, 1)).mean())
    assert fans.effective_fan_out == pytest.approx(3 * own.sum((2, 3)).mean())


def test_same_bits_on_one_and_two_threads():
    case = Case(lambda: ConvTranspose2d(5, 3, 2, 1), (6, 7, 5))
    x, delta = case.batch(40)
    model = case.built(np.float32)

    def both():
        found = run(model, x, delta)
        return [found["y"], found["dx"], *(p.grad.copy() for p in model.parameters())]

    for first, second in zip(*with_one_and_two_threads(both)):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"output_padding": 2, "stride": 2}, r"output_padding \(2, 2\) must be less than the str"),
        ({"padding": 3}, "would have -1 x -1 pixels"),
        ({"groups": 3}, "groups = 3 must divide the 4 input and the 6 output"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ArgumentError, match=message):
        ConvTranspose2d(6, 2, **settings).build((4, 4, 4), np.random.default_rng(0))
