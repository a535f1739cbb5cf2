"""Initializers: each draws what it promises, and repeats by its seed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from minicnn import initializers
from minicnn.errors import ArgumentError
from minicnn.initializers import (
    MSRA,
    Constant,
    DeltaOrthogonal,
    Fans,
    Identity,
    Orthogonal,
    Uniform,
    Zeros,
    from_string,
    gain,
)

WEIGHTS = {  # shape and fans, as layers supply them
    "dense": ((120, 84), Fans(84, 120)),
    "dense, wide": ((10, 700), Fans(700, 10)),
    "conv 3x5": ((24, 6, 3, 5), Fans(90, 360)),
    "conv 5x1, one channel": ((200, 1, 5, 1), Fans(5, 1000)),
    "conv, 4 groups": ((24, 4, 3, 5), Fans(60, 90)),
    "depthwise 5x3": ((96, 1, 5, 3), Fans(15, 15)),
    "bias": ((900,), Fans(50, 900)),
}
RANDOM = {  # distribution, mean, and standard deviation for fan_in n and fan_out m
    "normal:0.02": ("normal", 0, lambda n, m: 0.02),
    "normal:0.5,mean=-0.25": ("normal", -0.25, lambda n, m: 0.5),
    "truncated-normal:0.02": ("truncated-normal", 0, lambda n, m: 0.02),
    "truncated-normal:2,mean=3": ("truncated-normal", 3, lambda n, m: 2),
    "uniform:-0.05,0.05": ("uniform", 0, lambda n, m: 0.1 / math.sqrt(12)),
    "uniform:0.2,0.6": ("uniform", 0.4, lambda n, m: 0.4 / math.sqrt(12)),
    "variance-scaling:3,fan_in,normal": ("normal", 0, lambda n, m: math.sqrt(3 / n)),
    "variance-scaling:3,fan_out,uniform": ("uniform", 0, lambda n, m: math.sqrt(3 / m)),
    "variance-scaling:3,fan_avg,truncated-normal": (
        "truncated-normal", 0, lambda n, m: math.sqrt(6 / (n + m)),
    ),
    "xavier": ("uniform", 0, lambda n, m: math.sqrt(2 / (n + m))),
    "xavier:normal": ("normal", 0, lambda n, m: math.sqrt(2 / (n + m))),
    "xavier:gain=tanh": ("uniform", 0, lambda n, m: 5 / 3 * math.sqrt(2 / (n + m))),
    "msra": ("normal", 0, lambda n, m: math.sqrt(2 / n)),
    "msra:fan_out": ("normal", 0, lambda n, m: math.sqrt(2 / m)),
    "msra:uniform": ("uniform", 0, lambda n, m: math.sqrt(2 / n)),
    "msra:fan_avg,uniform": ("uniform", 0, lambda n, m: math.sqrt(4 / (n + m))),
    "msra:truncated-normal,slope=0.25": (
        "truncated-normal", 0, lambda n, m: math.sqrt(2 / (1.0625 * n)),
    ),
    "lecun": ("normal", 0, lambda n, m: math.sqrt(1 / n)),
    "lecun:uniform": ("uniform", 0, lambda n, m: math.sqrt(1 / n)),
}  # fmt: skip
UNIT = {  # mean 0, variance 1
    "normal": stats.norm(),
    "uniform": stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)),
    "truncated-normal": stats.truncnorm(-2, 2, 0, 1 / stats.truncnorm(-2, 2).std()),
}
EVERY = [
    *RANDOM, "zeros", "ones", "constant:0.1", "orthogonal", "orthogonal:gain=relu",
    "delta-orthogonal", "delta-orthogonal:gain=0.5", "identity",
]  # fmt: skip
MATRICES = ["dense", "dense, wide", "conv 3x5", "conv, 4 groups", "depthwise 5x3"]


def rng(seed=0):
    return np.random.default_rng(seed)


def convolve(x, weight, groups):
    """Correlation of x (C, H, W) with stride 1 and padding k // 2, straight from its equation."""
    height, width = weight.shape[2:]
    x = np.pad(x, [(0, 0), (height // 2,) * 2, (width // 2,) * 2])
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    y = np.zeros((groups, len(weight) // groups, rows, columns))
    weight = weight.reshape(groups, -1, *weight.shape[1:])
    x = x.reshape(groups, -1, *x.shape[1:])
    for u in range(height):
        for v in range(width):
            part = x[:, :, u : u + rows, v : v + columns]
            y += np.einsum("goc,gchw->gohw", weight[..., u, v], part)
    return y.reshape(-1, rows, columns)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("text", RANDOM)
def test_draws_from_the_distribution_that_it_promises(text, weight):
    shape, fans = WEIGHTS[weight]
    family, mean, std = RANDOM[text]
    std, unit, initializer = std(*fans[:2]), UNIT[family], from_string(text)
    w = initializer(shape, fans, rng(1), np.float64)
    assert initializer.mean(fans, shape) == pytest.approx(mean, rel=1e-14, abs=1e-17)
    assert initializer.variance(fans, shape) == pytest.approx(std**2, rel=1e-14)
    assert initializer.variance(fans) == initializer.variance(fans, shape)
    assert abs(w.mean() - mean) < 5 * std / math.sqrt(w.size)
    relative_error = math.sqrt((2 + unit.stats("k")) / w.size)  # of a sample variance
    assert abs(((w - mean) ** 2).mean() / std**2 - 1) < 5 * relative_error
    assert stats.kstest((w.ravel() - mean) / std, unit.cdf).pvalue > 1e-4


@pytest.mark.parametrize("text", RANDOM)
def test_bounds_of_uniform_and_truncated(text):
    family, mean, std = RANDOM[text]
    w = from_string(text)((500, 100), Fans(100, 500), rng(), np.float64)
    reach = np.abs(w - mean).max() / std(100, 500)
    high = UNIT[family].support()[1]
    assert reach <= high * (1 + 1e-12)
    assert reach > min(high, 3) * 0.999  # it uses the whole range


def test_truncated_normal_is_stretched_back():
    exact = stats.truncnorm(-2, 2).std()
    assert initializers.TRUNCATED_STD == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "value"), [("zeros", 0), ("ones", 1), ("constant:0.1", 0.1), ("constant:-2", -2)]
)
def test_constants(text, value):
    initializer = from_string(text)
    for shape, fans in WEIGHTS.values():
        np.testing.assert_array_equal(initializer(shape, fans, rng()), np.float32(value))
        assert initializer.mean(fans) == value
        assert initializer.variance(fans) == 0


@pytest.mark.parametrize("text", ["normal:0", "truncated-normal:0", "variance-scaling:0"])
def test_no_variance_gives_zeros(text):
    assert not from_string(text)((4, 5), Fans(5, 4), rng()).any()
    assert (Uniform(0.5, 0.5)((4, 5), Fans(5, 4), rng()) == 0.5).all()


@pytest.mark.parametrize("gain_", [1.0, "relu", 0.3])
@pytest.mark.parametrize("weight", MATRICES)
def test_orthogonal(weight, gain_):
    shape, fans = WEIGHTS[weight]
    initializer = Orthogonal(gain_)
    factor = gain(gain_) if isinstance(gain_, str) else gain_
    w = initializer(shape, fans, rng(), np.float64)
    matrix = w.reshape(len(w), -1) / factor
    gram = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(gram, np.eye(len(gram)), rtol=0, atol=1e-12)
    assert (w**2).mean() == pytest.approx(initializer.variance(fans, shape), rel=1e-12)
    assert abs(w.mean()) < 5 * math.sqrt(initializer.variance(fans, shape) / w.size)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3), (3, 1, 2, 2)])
def test_orthogonal_is_uniform_among_the_orthogonal_matrices(shape):
    generator, fans = rng(3), Fans(shape[1], shape[0])
    draws = np.stack([Orthogonal()(shape, fans, generator, np.float64) for _ in range(1500)])
    size = max(shape[0], math.prod(shape[1:]))
    element = stats.beta((size - 1) / 2, (size - 1) / 2, -1, 2)  # of a random unit vector
    for one in draws.reshape(len(draws), -1).T:
        assert stats.kstest(one, element.cdf).pvalue > 1e-4
    if shape == (4, 4):  # rotations and reflections are equally likely: 5 standard errors
        rotations = (np.linalg.det(draws) > 0).sum()
        assert abs(rotations - 750) < 5 * math.sqrt(1500 / 4)


@pytest.mark.parametrize("kernel", [(3, 5), (1, 1), (2, 4), (5, 2)])
@pytest.mark.parametrize(
    ("outputs", "inputs", "groups"), [(6, 6, 1), (9, 4, 1), (12, 6, 3), (5, 5, 5)]
)
def test_delta_orthogonal_keeps_norms(outputs, inputs, groups, kernel):
    shape, area = (outputs, inputs // groups, *kernel), math.prod(kernel)
    fans = Fans(inputs // groups * area, outputs // groups * area)
    initializer = DeltaOrthogonal(0.5)
    w = initializer(shape, fans, rng(), np.float64)
    assert (w**2).mean() == pytest.approx(initializer.variance(fans, shape), rel=1e-12)
    x = rng(1).standard_normal((inputs, 6, 7))
    y = convolve(x, w, groups)
    assert np.linalg.norm(y) == pytest.approx(0.5 * np.linalg.norm(x), rel=1e-12)
    assert np.count_nonzero(w) == w.size // area


def test_delta_orthogonal_of_a_dense_weight_is_orthogonal():
    for weight in ("dense", "dense, wide"):
        shape, fans = WEIGHTS[weight]
        delta, orthogonal = from_string("delta-orthogonal:2"), from_string("orthogonal:2")
        np.testing.assert_array_equal(delta(shape, fans, rng()), orthogonal(shape, fans, rng()))
        assert delta.variance(fans, shape) == orthogonal.variance(fans, shape)


@pytest.mark.parametrize("kernel", [(3, 5), (1, 1), (2, 4)])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_identity_returns_its_input(groups, kernel):
    area = math.prod(kernel)
    w = Identity()((6, 6 // groups, *kernel), Fans(6 // groups * area, 6 // groups * area), rng())
    x = rng().standard_normal((6, 5, 4))
    y = convolve(x, w, groups)
    np.testing.assert_array_equal(y[:, :5, :4], x)
    assert np.count_nonzero(y) == x.size


def test_identity_of_unequal_channels():
    np.testing.assert_array_equal(Identity()((2, 3), Fans(3, 2), rng()), [[1, 0, 0], [0, 1, 0]])
    kernels = Identity()((4, 1, 1, 3), Fans(3, 6), rng())  # two groups of two outputs, one input
    np.testing.assert_array_equal(kernels[:, 0, 0], [[0, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 0]])


@given(
    groups=st.integers(1, 4),
    outputs=st.integers(1, 6),
    inputs=st.integers(1, 6),
    kernel=st.lists(st.integers(1, 5), max_size=2).filter(lambda k: len(k) != 1),
)
@settings(max_examples=60, deadline=None)
def test_identity_promises_its_exact_moments(groups, outputs, inputs, kernel):
    groups, area = groups if kernel else 1, math.prod(kernel)
    shape, fans = (groups * outputs, inputs, *kernel), Fans(inputs * area, outputs * area)
    w = Identity()(shape, fans, rng(), np.float64)
    assert w.mean() == pytest.approx(Identity().mean(fans, shape), rel=1e-12)
    assert w.var() == pytest.approx(Identity().variance(fans, shape), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("slope", [0, 0.25, 1])
@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated-normal"])
def test_msra_keeps_the_second_moment_through_the_activation(distribution, slope):
    initializer, n, m = MSRA("fan_in", distribution, slope), 100, 40_000
    x = rng(1).random(n)  # far from zero mean: the second moment counts, not the variance
    z = initializer((m, n), Fans(n, m), rng(), np.float64) @ x
    y = np.where(z > 0, z, slope * z)
    second, fourth = (1 + slope**2) / 2, 3 * (1 + slope**4) / 2  # E[y²], E[y⁴], z of N(0, 1)
    relative_error = math.sqrt((fourth / second**2 - 1) / m)
    assert abs((y**2).mean() / (x**2).mean() - 1) < 5 * relative_error


def test_msra_fan_out_keeps_the_second_moment_of_the_gradient():
    n, m = 40_000, 100
    delta = np.where(np.arange(m) % 2, 1.0, 0.0)  # ReLU's derivative is 0 for one half of the units
    dx = delta @ MSRA("fan_out")((m, n), Fans(n, m), rng(), np.float64)
    assert abs((dx**2).mean() - 1) < 5 * math.sqrt(2 / n)


@pytest.mark.parametrize(
    ("text", "fans", "variance"),
    [
        ("msra", Fans(25, 150), 2 / 25),
        ("msra:fan_out", Fans(25, 150), 2 / 150),
        ("msra:slope=1", Fans(25, 150), 1 / 25),
        ("msra:slope=0.25", Fans(9, 288), 2 / (9 * 1.0625)),
        ("xavier", Fans(25, 150), 2 / 175),
        ("xavier:gain=2", Fans(25, 150), 8 / 175),
        ("xavier:gain=relu", Fans(25, 150), 4 / 175),
        ("lecun", Fans(400, 120), 1 / 400),
        ("variance-scaling", Fans(50, 2), 1 / 50),
        ("variance-scaling:0.5,fan_avg", Fans(50, 2), 0.5 / 26),
        ("normal:0.01", Fans(1, 1), 1e-4),
        ("truncated-normal:0.02", Fans(1, 1), 4e-4),
        ("uniform:-1,2", Fans(1, 1), 0.75),
    ],
)
def test_promised_standard_deviations(text, fans, variance):
    assert from_string(text).variance(fans) ** 0.5 == pytest.approx(variance**0.5, rel=1e-15)


def test_the_layer_supplies_the_fans():
    """The same shape with other fans, as with other groups, gives another variance."""
    shape = (24, 6, 3, 5)
    for fans in (Fans(90, 360), Fans(90, 180), Fans(90, 15)):
        w = from_string("msra:fan_out")(shape, fans, rng(), np.float64)
        assert (w**2).mean() == pytest.approx(2 / fans.fan_out, rel=5 * math.sqrt(2 / w.size))


@pytest.mark.parametrize("weight", [*MATRICES, "bias"])
@pytest.mark.parametrize("text", EVERY)
def test_shape_dtype_and_seed(text, weight):
    initializer, (shape, fans) = from_string(text), WEIGHTS[weight]
    if weight == "bias" and isinstance(initializer, (Orthogonal, Identity)):
        pytest.skip("is for weights")
    w = initializer(shape, fans, rng(7), np.float64)
    single = initializer(shape, fans, rng(7), np.float32)
    assert w.shape == single.shape == shape
    assert (w.dtype, single.dtype) == (np.float64, np.float32)
    assert w.flags.c_contiguous and single.flags.c_contiguous and w.flags.writeable
    np.testing.assert_array_equal(single, w.astype(np.float32))
    np.testing.assert_array_equal(w, initializer(shape, fans, rng(7), np.float64))
    generator = rng(8)
    others = [initializer(shape, fans, generator, np.float64) for _ in range(2)]
    is_random = not isinstance(initializer, (Constant, Identity))
    assert (w != others[0]).any() == (others[0] != others[1]).any() == is_random


@pytest.mark.parametrize("text", ["orthogonal", "delta-orthogonal", "identity"])
def test_what_depends_on_a_shape_asks_for_a_weight(text):
    initializer = from_string(text)
    with pytest.raises(ArgumentError, match="needs the shape of a weight"):
        initializer.variance(Fans(4, 4))
    for shape in ((4,), (0, 4)):
        with pytest.raises(ArgumentError, match="needs the shape of a weight"):
            initializer(shape, Fans(4, 4), rng())


def test_shapes_and_fans_that_do_not_fit():
    delta, fans = DeltaOrthogonal(), Fans(54, 27)
    for call in (
        lambda: delta((3, 6, 3, 3), fans, rng()),
        lambda: delta.variance(fans, (3, 6, 3, 3)),
    ):
        with pytest.raises(ArgumentError, match="got 3 and 6; use orthogonal"):
            call()
    for bad in (Fans(2, 5), Fans(2, 0), Fans(2, 3), Fans(2, 24), Fans(2, math.nan)):
        with pytest.raises(ArgumentError, match="cannot be the fans of a weight"):
            Identity()((6, 1, 1, 2), bad, rng())  # 12, 6, 4 or 2 for 1, 2, 3 or 6 groups
    for bad in (Fans(0, 5), Fans(-3, 5), Fans(math.inf, 5), Fans(math.nan, 5)):
        with pytest.raises(ArgumentError, match="fan_in must be a number above 0"):
            MSRA()((5, 3), bad, rng())


@pytest.mark.parametrize("dtype", [np.float16, np.int64, complex])
def test_dtypes_that_are_not_served(dtype):
    with pytest.raises(ArgumentError, match="dtype must be float32 or float64"):
        Zeros()((2, 3), Fans(3, 2), rng(), dtype)


@pytest.mark.parametrize(
    "text",
    [
        "constant:1e39", "normal:1e39", "uniform:-1e308,1e308", "variance-scaling:1e300",
        "xavier:gain=1e200", "orthogonal:gain=1e39", "normal:1,mean=-1e39",
    ],
)  # fmt: skip
def test_numbers_that_overflow(text):
    with pytest.raises(ArgumentError, match="overflow float32"):
        from_string(text)((20, 30), Fans(30, 20), rng(), np.float32)
