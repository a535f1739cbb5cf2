"""What padding and stride leave of the fans, and the variances that follow from it."""

import numpy as np
import pytest

from minicnn import lanes
from minicnn.errors import ArgumentError
from minicnn.initializers import Fans, VarianceScaling, from_string
from minicnn.layers import Conv2d, Dense
from minicnn.models import Sequential

CASES = {
    "same": (dict(kernel_size=3, padding=1), (4, 7, 7)),
    "valid": (dict(kernel_size=3), (4, 7, 9)),
    "stride": (dict(kernel_size=3, padding=1, stride=2), (4, 8, 7)),
    "all": (
        dict(kernel_size=(3, 2), padding=(2, 1), stride=(2, 1), dilation=(1, 2), groups=2),
        (4, 9, 8),
    ),
    "more padding than kernel": (dict(kernel_size=2, padding=3), (4, 3, 4)),
}


def built(settings, shape, channels=6, init="msra", dtype=np.float64):
    layer = Conv2d(channels, **settings, init=init)
    model = Sequential(layer)
    model.initialize(shape, seed=0, dtype=dtype, input_gradient=True)
    return layer, model


@pytest.mark.parametrize("case", CASES)
def test_taps_are_what_windows_of_ones_see(case):
    settings, shape = CASES[case]
    layer, model = built(settings, shape)
    layer.own_parameters()["weight"].value[...] = 1
    seen = model.predict(np.ones((1, *shape)))
    fans = layer._fans
    assert fans.taps == pytest.approx(seen.mean(), rel=1e-14)
    assert fans.taps == fans.fan_in or any(layer.padding)
    sh, sw = layer.stride
    assert fans.effective_fan_out == fans.fan_out / (sh * sw)
    assert fans.fan_in == shape[0] // layer.groups * np.prod(layer.kernel_size)
    assert fans.fan_out == 6 // layer.groups * np.prod(layer.kernel_size)


@pytest.mark.parametrize("case", CASES)
def test_exact_keeps_the_second_moment_of_a_layer_with_a_border(case):
    """E[z²] over weights and positions is scale E[x²]; the plain fan_in loses taps / fan_in."""
    settings, shape = CASES[case]
    second, plain, count = 0.0, 0.0, 0
    for seed in range(40):
        layer, model = built(settings, shape, 48, "variance-scaling:exact")
        weight = layer.own_parameters()["weight"]
        rng = np.random.default_rng(seed)
        weight.value[...] = layer.init(weight.value.shape, layer._fans, rng, np.float64)
        x = np.random.default_rng(99).choice([-1.0, 1.0], (1, *shape))
        z = model.predict(x)
        second, count = second + (z**2).mean(), count + 1
        plain += (z**2).mean() * layer._fans.taps / layer._fans.fan_in
    error = 5 * np.sqrt(2 / (count * 48 / layer.groups / 2))
    assert second / count == pytest.approx(1, rel=error)
    exact = layer.init.variance(layer._fans)
    assert exact * layer._fans.taps == pytest.approx(1, rel=1e-14)
    lost = from_string("lecun").variance(layer._fans) * layer._fans.taps
    assert lost == pytest.approx(layer._fans.taps / layer._fans.fan_in, rel=1e-14)


def box(n):
    """The 3-tap sums of n numbers between zeros, as a matrix."""
    return (np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= 1).astype(float)


@pytest.mark.parametrize(
    ("n", "plain", "exact"), [(7, 0.901, 1.101), (14, 0.971, 1.071), (28, 0.992, 1.041)]
)
def test_in_a_deep_stack_exact_overdoes_it(n, plain, exact):
    """What the docstring of MSRA says: factors of E[z²] a layer in the end, by power iteration."""
    layer, _ = built(dict(kernel_size=3, padding=1), (1, n, n))
    profile = np.ones((n, n))
    for _ in range(2000):
        before, profile = profile, box(n) @ profile @ box(n)
        factor = profile.sum() / before.sum()
        profile /= profile.sum()
    assert factor / layer._fans.fan_in == pytest.approx(plain, abs=5e-4)
    assert factor / layer._fans.taps == pytest.approx(exact, abs=5e-4)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_effective_fan_out_keeps_the_second_moment_of_the_gradient(stride):
    """Through a stride: but for the border, whose loss is counted, E[dx²] = E[delta²]."""
    settings, shape = dict(kernel_size=3, padding=1, stride=stride), (40, 24, 24)
    layer, model = built(settings, shape, 60, "variance-scaling:effective_fan_out")
    rng = np.random.default_rng(0)
    x = lanes.pack(rng.normal(size=(8, *shape)), np.float64)
    delta = lanes.pack(rng.normal(size=(8, *model.output_shape)), np.float64)
    model.forward(x, True, 8)
    dx = lanes.unpack(model.backward(delta), 8)
    rows = layer.output_shape[1]
    at = stride * np.arange(rows)[:, None] + np.arange(3) - 1
    links = ((at >= 0) & (at < 24)).sum() ** 2 * 60 / 24**2  # outputs that an input feeds
    assert (dx**2).mean() == pytest.approx(links / layer._fans.effective_fan_out, rel=0.03)
    # Of the effective fan_out only those links are missing that the border cuts off.
    assert 0.9 < links / layer._fans.effective_fan_out <= 1
    assert layer._fans.effective_fan_out == layer._fans.fan_out / stride**2


def test_modes_without_the_optional_fields_are_the_plain_ones():
    fans = Fans(90, 40)
    assert fans == (90, 40, None, None)
    for mode, other in (("exact", "fan_in"), ("effective_fan_out", "fan_out")):
        expected = VarianceScaling(2, other).variance(fans)
        assert VarianceScaling(2, mode).variance(fans) == expected
    dense = Dense(5, init="msra:exact")
    dense.build((30,), np.random.default_rng(0))
    assert dense.initializers()["weight"][1] ** 2 == pytest.approx(2 / 30)


def test_strings():
    for text in ("msra:exact", "msra:effective_fan_out,uniform", "msra:exact,slope=0.25"):
        assert str(from_string(text)) == text
    fans = Fans(90, 40, 80.0, 10.0)
    assert from_string("msra:exact").variance(fans) == 2 / 80
    assert from_string("msra:effective_fan_out").variance(fans) == 2 / 10
    assert from_string("msra").variance(fans) == 2 / 90
    with pytest.raises(ArgumentError, match="effective_fan_out must be a number above 0, got 0"):
        from_string("msra:effective_fan_out").variance(Fans(9, 9, 9, 0))
