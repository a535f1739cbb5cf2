import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.lab.theory.backward import added, backward
from minicnn.lab.theory.forward import forward
from minicnn.lab.theory.gradient import Gradient
from minicnn.lab.theory.maps import Field, from_images
from minicnn.lab.theory.signal import Signal
from minicnn.layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Identity,
    Layer,
    LayerScale,
    MaxPool2d,
    ReLU,
    Tanh,
)

N = 5


def unrelated(shape):
    """A gradient of independent numbers of second moment 1."""
    size = shape[1:] or (1, 1)
    pairs = np.broadcast_to(np.eye(N)[:, :, None, None], (N, N, *size))
    same = np.eye(int(np.prod(size))).reshape(*size, *size)
    return Gradient(Field(pairs, same, 0 * same), np.zeros((N, *size)))


def back(layer, shape=(2, 6, 6), gradient=None):
    """The gradient before a layer, from one of ones behind it."""
    x = np.random.default_rng(0).standard_normal((N, *shape))
    signal = Signal(from_images(x), units=shape[0])
    layer.build(shape, np.random.default_rng(0))
    _, memory = forward(layer, signal)
    given = unrelated(layer.output_shape) if gradient is None else gradient
    return backward(layer, memory, given, signal)


def test_dense_multiplies_by_fan_out_times_the_variance():
    found = back(Dense(7, init="normal:0.5"), (12,))
    assert found.field.moment == pytest.approx(7 * 0.25)
    # with Gaussian weights: 2 / (N units) for independent samples
    assert found.own == pytest.approx(2 / (N * 12))


def test_dense_after_flatten_makes_positions_independent():
    found = back(Dense(7, init="normal:0.5"), (12,), unrelated((7,)))
    image = Signal(from_images(np.ones((N, 3, 2, 2))), units=3)
    layer = Dense(7, init="normal:0.5")
    layer.build((12,), np.random.default_rng(0))
    _, memory = forward(layer, image)
    spread = backward(layer, memory, unrelated((7,)), image)
    assert spread.field.size == (2, 2)
    assert spread.field.moment == pytest.approx(found.field.moment)
    assert spread.field.same[0, 0, 0, 1] == 0


@pytest.mark.parametrize("stride, groups", [(1, 1), (2, 1), (1, 2)])
def test_convolution_keeps_the_sum_of_gradients_times_its_weights(stride, groups):
    """Every gradient is spread over its taps, those in the border are lost."""
    layer = Conv2d(4, 3, stride=stride, groups=groups, init="normal:0.5")
    found = back(layer)
    outputs = np.prod(layer.output_shape[1:])
    total = 0.25 * 4 / groups * 9 * outputs
    assert found.field.moment * 36 == pytest.approx(total)


def test_a_second_moment_comes_back_by_the_slope():
    assert back(ReLU()).field.moment == pytest.approx(0.5)
    assert back(Identity()).field.moment == pytest.approx(1)
    tanh = back(Tanh()).field.moment
    assert 0.3 < tanh < 0.6


def test_a_winner_is_more_often_above_zero():
    shape = (2, 6, 6)
    x = np.random.default_rng(1).standard_normal((N, *shape))
    signal = Signal(from_images(x), units=2)
    layers = [ReLU(), MaxPool2d(2)]
    memories, signals, at = [], [signal], shape
    for layer in layers:
        at = layer.build(at, np.random.default_rng(0))
        signal, memory = forward(layer, signal)
        memories.append(memory)
        signals.append(signal)
    gradient = backward(layers[1], memories[1], unrelated(at), signals[1])
    assert gradient.field.moment == pytest.approx(0.25)
    before = backward(layers[0], memories[0], gradient, signals[0])
    assert 0.8 * 0.25 < before.field.moment < 0.25


def test_means_divide_by_their_count():
    assert back(AvgPool2d(2)).field.moment == pytest.approx(1 / 16)
    assert back(GlobalAvgPool2d()).field.moment == pytest.approx(1 / 36**2)


def test_flatten_and_dropout():
    assert back(Flatten(), gradient=unrelated((2, 6, 6))).field.moment == 1
    assert back(Dropout(0.5)).field.moment == 2
    assert back(LayerScale(0.5)).field.moment == pytest.approx(0.25)


def test_batch_norm_takes_the_mean_out_and_divides_by_the_deviation():
    layer, signal = BatchNorm(), Signal(unrelated((2, 6, 6)).field.scaled(4.0), units=2)
    layer.build((2, 6, 6), np.random.default_rng(0))
    _, memory = forward(layer, signal)
    found = backward(layer, memory, unrelated((2, 6, 6)), signal)
    assert abs(found.field.mean_square_of_sum()) < 1e-9 * found.field.moment
    assert found.balanced
    # Of 180 numbers two are gone, the mean and the part along the input; E[1/s] gives 2 / 180
    # back.
    assert found.field.moment == pytest.approx(1 / 4, rel=0.02)


def test_what_hangs_on_the_same_weights_is_a_multiple_of_the_input():
    gradient = unrelated((7,))
    tied = Gradient(gradient.field, gradient.share + 2.0)
    layer = Dense(7, init="normal:0.5")
    plain, aligned = back(layer, (12,), gradient), back(layer, (12,), tied)
    share = 2.0 * 7 * 0.25
    x = np.random.default_rng(0).standard_normal((N, 12))
    expected = share**2 * np.square(x).mean()
    assert aligned.field.moment - plain.field.moment == pytest.approx(expected)
    np.testing.assert_allclose(aligned.share, share)


def test_branches_add():
    a = unrelated((2, 3, 3))
    total = added(a, a)
    assert total.field.moment == 2 and total.carried == 0


def test_an_unknown_layer_is_refused():
    class Odd(Layer):
        pass

    with pytest.raises(ArgumentError, match="no way back"):
        backward(Odd(), None, unrelated((2, 3, 3)), None)
