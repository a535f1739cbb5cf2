import math

import numpy as np
import pytest

from minicnn.errors import ArgumentError
from minicnn.lab.theory.forward import forward
from minicnn.lab.theory.joins import added
from minicnn.lab.theory.maps import asymptotic_box_factor
from minicnn.lab.theory.signal import NoPromiseError, from_batch
from minicnn.layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Dropout2d,
    Flatten,
    GlobalAvgPool2d,
    GroupNorm,
    InstanceNorm2d,
    Layer,
    LayerNorm,
    LayerNorm2d,
    LayerScale,
    MaxPool2d,
    ReLU,
    RMSNorm,
    Tanh,
    ZeroPad2d,
)
from minicnn.layers.scalars import Scale, Shift


def through(x, *layers, **settings):
    """The signal behind layers, from the images `x`."""
    signal, shape = from_batch(x, **settings), x.shape[1:]
    for layer in layers:
        shape = layer.build(shape, np.random.default_rng(0))
        signal, _ = forward(layer, signal)
    return signal


@pytest.fixture
def x():
    return np.random.default_rng(0).standard_normal((6, 2, 8, 8)) + 0.3


def test_a_relu_layer_halves_and_msra_doubles(x):
    behind = through(x, Flatten(), Dense(30, init="msra"), ReLU())
    each = np.square(x).mean((1, 2, 3))
    np.testing.assert_allclose(behind.field.map[:, 0, 0], each, rtol=1e-12)


def test_xavier_relu_layers_lose_a_half_times_the_box_factor_each(x):
    layers = [
        layer for _ in range(30) for layer in (Conv2d(16, 3, padding=1, init="xavier"), ReLU())
    ]
    q = [through(x[:2], *layers[:n]).field.moment for n in (58, 60)]
    expected = 0.5 * asymptotic_box_factor((8, 8), (3, 3))
    assert abs(q[1] / q[0] / expected - 1) < 1e-3


def test_fan_out_leaves_a_funnel():
    """Forward, msra:fan_out differs from fan_in by the product of n / m, which is c_2 / d_L."""
    x, widths, q = np.random.default_rng(1).standard_normal((2, 8, 5, 5)), (8, 16, 32, 64), {}
    for mode in ("fan_in", "fan_out"):
        layers = [
            layer
            for width in widths
            for layer in (Conv2d(width, 3, padding=1, init=f"msra:{mode}"), ReLU())
        ]
        first = through(x, *layers[:2]).field.moment
        q[mode] = through(x, *layers).field.moment / first
    assert q["fan_out"] / q["fan_in"] == pytest.approx(8 / 64)


def test_groups_see_their_share():
    x = np.random.default_rng(2).standard_normal((3, 4, 5, 5))
    whole, parts = (
        through(x, Conv2d(8, 3, groups=groups, init="normal:0.1")).field for groups in (1, 4)
    )
    np.testing.assert_allclose(parts.pairs * 4, whole.pairs)


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("shape, kernel", [((6, 1, 6, 6), 3), ((4, 1, 8, 8), 5)])
def test_the_spread_over_given_images_is_exact(shape, kernel, padding):
    """Within the sampling error of a variance of 40,000 draws."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal(shape).cumsum(-1)
    signal = through(x, Conv2d(1, kernel, padding=padding, init="normal:1"))
    border = np.pad(x[:, 0], ((0, 0), (padding,) * 2, (padding,) * 2))
    view = np.lib.stride_tricks.sliding_window_view(border, (kernel, kernel), (1, 2))
    z = view.reshape(-1, kernel**2) @ rng.standard_normal((kernel**2, 40_000))
    seen = np.square(z).mean(0)
    assert np.var(seen) / np.mean(seen) ** 2 == pytest.approx(signal.own, rel=0.06)
    assert np.mean(seen) == pytest.approx(signal.field.moment, rel=0.03)


def test_means_of_few_numbers_in_common_vary_more():
    """Global averages of noise: small, and not as sure as the mean square of all."""
    x = np.random.default_rng(6).standard_normal((1, 1, 6, 6))
    conv = Conv2d(1, 1, init="normal:1")
    before, behind = through(x, conv), through(x, conv, GlobalAvgPool2d())
    # One weight: both are its square times a constant, of relative variance 2.
    assert before.variance == pytest.approx(2) and behind.variance == pytest.approx(2)
    x = np.random.default_rng(7).standard_normal((8, 1, 6, 6))
    layers = Conv2d(64, 3, init="lecun"), Tanh(), Conv2d(64, 3, init="lecun"), Tanh()
    before, behind = through(x, *layers), through(x, *layers, GlobalAvgPool2d())
    assert behind.variance > 2 * before.variance


def test_spreads_add_over_layers():
    x = np.random.default_rng(4).standard_normal((4, 50))[:, :, None, None]
    dense = [layer for _ in range(3) for layer in (Dense(40), ReLU())]
    seen = [through(x, Flatten(), *dense[:n]).variance for n in (2, 4, 6)]
    # one sample: 5 / 40 a layer, but four are not alike
    assert 0 < seen[0] < 5 / 40
    assert seen[0] < seen[1] < seen[2] < 3 * 5 / 40


def test_orthogonal_layers_vary_less():
    x = np.random.default_rng(5).standard_normal((4, 30))[:, :, None, None]
    plain, orthogonal = (
        through(x, Flatten(), Dense(30, init=init), Tanh()).variance
        for init in ("lecun", "orthogonal")
    )
    assert orthogonal < plain


def test_delta_orthogonal_sees_the_centre_only(x):
    behind = through(x, Conv2d(2, 3, padding=1, init="delta-orthogonal"))
    np.testing.assert_allclose(behind.field.map, np.square(x).mean(1))


def test_biases_add_their_second_moment(x):
    plain, biased = (
        through(x, Conv2d(4, 3, bias_init=bias)).field for bias in ("zeros", "normal:0.5")
    )
    np.testing.assert_allclose(biased.pairs - plain.pairs, 0.25)


def test_batch_norm_brings_all_to_one(x):
    behind = through(x, Conv2d(4, 3), BatchNorm())
    assert behind.field.moment == pytest.approx(1, rel=1e-3)
    assert behind.variance < 1e-8
    assert abs(behind.field.mean_square_of_sum()) < 1e-9
    evaluated = through(x, Conv2d(4, 3), BatchNorm(), training=False)
    assert evaluated.field.moment == pytest.approx(through(x, Conv2d(4, 3)).field.moment, rel=1e-4)


def test_dropout_drops_in_training_only(x):
    kept = through(x, Dropout(0.5), training=False).field.moment
    assert through(x, Dropout(0.5)).field.moment == pytest.approx(2 * kept)


NORMS = [GroupNorm(1), InstanceNorm2d(), LayerNorm(), LayerNorm2d(), RMSNorm()]


@pytest.mark.parametrize("layer", NORMS)
def test_norms_within_a_sample_promise_nothing(x, layer):
    for training in (True, False):
        with pytest.raises(NoPromiseError, match=f"a sample, as {type(layer).__name__} takes them"):
            through(x, Conv2d(4, 3), layer, training=training)


def test_dropped_channels_promise_something_in_evaluation_alone(x):
    with pytest.raises(NoPromiseError, match="drops whole channels"):
        through(x, Dropout2d(0.5))
    kept = through(x, Dropout2d(0.5), training=False).field.moment
    assert kept == through(x, Dropout2d(0)).field.moment == pytest.approx(np.square(x).mean())
    with pytest.raises(NoPromiseError, match="no layer ZeroPad2d"):
        through(x, ZeroPad2d(1))


def test_a_constant_is_its_own_pool():
    x = np.ones((3, 1, 4, 4))
    for layer in (AvgPool2d(2), GlobalAvgPool2d()):
        np.testing.assert_allclose(through(x, layer).field.pairs, 1)
    np.testing.assert_allclose(through(x, MaxPool2d(2)).field.pairs, 1, rtol=0.1)


def test_sums_of_branches_add_moments_and_means(x):
    relu = through(x, Conv2d(4, 3, padding=1), ReLU())
    body = through(x, Conv2d(4, 3, padding=1))
    total = added(body, relu)
    assert total.field.moment == pytest.approx(body.field.moment + relu.field.moment)
    behind, _ = forward(ReLU(), total)
    # its input has a mean above 0: more than half passes
    assert total.field.moment / 2 < behind.field.moment < total.field.moment
    np.testing.assert_allclose(total.mean, relu.mean)
    assert math.isclose(
        float(np.mean(relu.mean**2 / relu.field.map)), (1 / (2 * math.pi)) / 0.5, rel_tol=1e-9
    )


@pytest.mark.parametrize("init", ["constant:0.1", "uniform:0,1", "identity"])
def test_weights_with_a_mean_promise_nothing(x, init):
    with pytest.raises(NoPromiseError):
        through(x, Conv2d(4, 3, init=init))


def test_zeros_give_zero(x):
    signal = through(x, Conv2d(4, 3, init="zeros"), ReLU(), Conv2d(4, 3, init="zeros"), Tanh())
    assert signal.field.moment == 0 and signal.variance == 0


def test_an_unknown_layer_is_refused(x):
    class Odd(Layer):
        pass

    with pytest.raises(ArgumentError, match="no layer Odd"):
        through(x, Odd())


def test_a_gate_scales_numbers_by_its_start_and_a_shift_leaves_them(x):
    plain = through(x, Flatten())
    for layer in (Scale(0.5), LayerScale(0.5)):
        gated = through(x, Flatten(), layer)
        assert gated.field.moment == pytest.approx(0.25 * plain.field.moment)
    assert through(x, Flatten(), Shift()).field.moment == plain.field.moment
    relu = [Flatten(), Dense(30), ReLU()]
    np.testing.assert_allclose(through(x, *relu, Scale(0.5)).mean, through(x, *relu).mean / 2)
