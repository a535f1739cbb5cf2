"""Normalizations within a sample: PyTorch's numbers, the reference's equations, and errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import lanes
from minicnn import reference as ref
from minicnn.errors import ArgumentError
from minicnn.layers import BatchNorm, GroupNorm, InstanceNorm2d, LayerNorm, RMSNorm
from minicnn.models import Sequential
from minicnn.plan.passes import Passes
from tests import alone
from tests.kernels.conv.test_correlate import DTYPES, EXAMPLES, assert_close
from tests.layers.cases import Case, run

X = np.array(
    [
        [[[0.5, -1.0], [2.0, 0.25]], [[1.5, 3.0], [-0.5, 1.0]]],
        [[[4.0, 1.0], [0.0, -2.0]], [[0.75, 0.5], [1.25, -3.0]]],
    ]
)
DY = np.array(
    [
        [[[1.0, -2.0], [0.5, 3.0]], [[-1.0, 0.25], [2.0, 1.0]]],
        [[[0.5, 0.5], [-1.5, 1.0]], [[2.0, -1.0], [0.0, -0.75]]],
    ]
)
#: A layer, y of the last channel, dE/dx of the first sample's last channel, and the last two
#: numbers of dE/dgamma and dE/dbeta; all by PyTorch 2.14.1 in float64. gamma and beta begin with 1
#: and 0, to which np.linspace(-0.5, 1) is added.
PYTORCH = [
    (
        lambda: GroupNorm(1), [1.440303267, 1.1887014, 1.943507001, -2.333724737],
        [-2.023090295, 0.433374726, 2.285292936, 1.085345671], [1.912311295, -0.555851637],
        [3.0, 2.5],
    ),
    (
        lambda: GroupNorm(2, eps=0.1), [2.022688194, 1.730491567, 2.607081448, -2.360261209],
        [-2.215904955, 0.969458418, 0.775566734, 0.470879803], [2.895282646, -0.845416127],
        [3.0, 2.5],
    ),
    (
        InstanceNorm2d, [0.520304982, 0.371646416, 0.817622115, -1.709573514],
        [-1.135997094, 0.547993139, 0.352003981, 0.235999974], None, None,
    ),
    (
        lambda: InstanceNorm2d(affine=True), [2.040609965, 1.743292832, 2.635244231, -2.419147028],
        [-2.271994189, 1.095986279, 0.704007962, 0.471999949], [3.018084372, -0.898847196],
        [3.0, 2.5],
    ),
    (
        LayerNorm, [0.655920074, 0.719693957, 1.628131251, -2.333724737],
        [-1.714768703, 0.065949198, 1.811500272, 0.893437676], [-2.183690671, 1.377105536],
        [2.0, 0.25],
    ),
    (
        RMSNorm, [0.505972524, 0.390575281, 1.109588868, -2.982574877],
        [-1.068738814, -0.055175342, 2.446526728, 1.234180859], [-0.670166253, 1.788631832], None,
    ),
    (
        lambda: RMSNorm(eps=0.1), [0.499834647, 0.385837271, 1.096128611, -2.946393706],
        [-1.038823168, -0.040586155, 2.391139398, 1.211829321], [-0.655605575, 1.760503215], None,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "y", "dx", "d_gamma", "d_beta"), PYTORCH)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-8), (np.float32, 1e-5)])
def test_pytorchs_numbers(make, y, dx, d_gamma, d_beta, dtype, tolerance):
    model = Sequential(make())
    model.initialize(X.shape[1:], 0, dtype, input_gradient=True)
    for parameter in model.parameters():
        size = parameter.value.size
        parameter.value += np.linspace(-0.5, 1, size).reshape(parameter.value.shape).astype(dtype)
    found = run(model, X, DY)
    assert_close(found["y"][1, 1].ravel(), np.array(y), tolerance)
    assert_close(found["dx"][0, 1].ravel(), np.array(dx), tolerance)
    own = {name.split(".")[-1]: a for name, a in found.items() if name.startswith("d ")}
    expected = {"weight": d_gamma, "bias": d_beta}
    assert own.keys() == {name for name, numbers in expected.items() if numbers is not None}
    for name, gradient in own.items():
        assert_close(gradient.ravel()[-2:], np.array(expected[name]), tolerance)


LAYERS = {
    "group": lambda shape, affine: GroupNorm(shape[0] // 2, affine=affine),
    "instance": lambda shape, affine: InstanceNorm2d(affine=affine),
    "layer": lambda shape, affine: LayerNorm(elementwise_affine=affine),
    "rms": lambda shape, affine: RMSNorm(elementwise_affine=affine),
}


@EXAMPLES
@given(
    st.integers(1, 40), st.sampled_from([2, 4, 6]), st.integers(2, 5), st.integers(1, 4),
    st.sampled_from(list(LAYERS)), st.booleans(), st.booleans(),
)  # fmt: skip
def test_values_and_gradients_are_the_references(
    samples, channels, height, width, kind, affine, flat
):
    shape = (channels,) if flat and kind != "instance" else (channels, height, width)
    case = Case(lambda: LAYERS[kind](shape, affine), shape)
    rng = np.random.default_rng(samples)
    x = 3 + 2 * rng.normal(size=(samples, *shape))
    delta = rng.normal(size=x.shape)
    model = case.built()
    (layer,) = model.layers
    gamma, beta = ([*(p.value for p in model.parameters()), 1.0, 0.0])[:2] if affine else (1.0, 0.0)
    if kind == "rms":
        beta = 0.0
    groups = {"group": channels // 2, "instance": channels}.get(kind, 1)
    eps = layer.eps or np.finfo(np.float64).eps
    settings = {"groups": groups, "eps": eps, "centred": kind != "rms"}
    found = run(model, x, delta)
    assert_close(
        found["y"], np.stack([ref.group_norm(s, gamma, beta, **settings) for s in x]), 1e-11
    )
    each = [ref.group_norm_gradients(d, s, gamma, **settings) for d, s in zip(delta, x)]
    dx, d_gamma, d_beta = (np.stack(arrays) for arrays in zip(*each))
    # dx is a difference of terms as large as gamma delta / std, and so is its rounding.
    rows = x.reshape(samples, groups, -1)
    smallest = np.sqrt((np.square(rows).mean(2) if kind == "rms" else rows.var(2)) + eps).min()
    largest = np.abs(delta).max() * np.abs(gamma).max() / smallest
    assert np.abs(found["dx"] - dx).max() <= 1e-11 * max(largest, 1) / smallest
    for parameter in model.parameters():
        sums = d_gamma if parameter.name.endswith("weight") else d_beta
        scale = samples * np.abs(delta).max() / min(smallest, 1)
        assert np.abs(parameter.grad - sums.sum(0)).max() <= 1e-12 * scale * height * width


def test_the_norms_are_one_family():
    """A group a channel, one for all; without a mean, the root mean square is the deviation."""
    x, delta = np.random.default_rng(0).normal(size=(2, 20, 4, 3, 2))

    def found(layer, images=x):
        model = Sequential(layer)
        model.initialize(x.shape[1:], 0, np.float64, input_gradient=True)
        return run(model, images, delta)

    def assert_same(one, other):
        for name in ("y", "dx"):
            np.testing.assert_allclose(one[name], other[name], rtol=1e-12, atol=1e-12)

    assert_same(found(GroupNorm(4)), found(InstanceNorm2d()))
    assert_same(found(GroupNorm(1)), found(LayerNorm()))
    centred = x - x.mean((1, 2, 3), keepdims=True)
    rms, layer = found(RMSNorm(eps=1e-5), centred), found(LayerNorm())
    np.testing.assert_allclose(rms["y"], layer["y"], rtol=1e-12, atol=1e-12)
    one = found(InstanceNorm2d(), np.repeat(x[:1], 20, 0))  # a batch of copies is one image
    batch = found(BatchNorm(), np.repeat(x[:1], 20, 0))
    np.testing.assert_allclose(one["y"], batch["y"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", [lambda: GroupNorm(2), InstanceNorm2d, LayerNorm, RMSNorm])
def test_samples_and_modes_do_not_mix(make):
    case = Case(make, (4, 3, 2))
    x, delta = case.batch(20)
    whole, evaluated = (run(case.built(), x, delta, training=mode) for mode in (True, False))
    for name in whole:
        np.testing.assert_array_equal(whole[name], evaluated[name])
    some = run(case.built(), x[7:9], delta[7:9])
    np.testing.assert_array_equal(some["y"], whole["y"][7:9])
    np.testing.assert_array_equal(some["dx"], whole["dx"][7:9])
    assert not make().mixes_samples and not case.built().layers[0].state()


@pytest.mark.parametrize("dtype", DTYPES)
def test_output_has_mean_beta_and_deviation_gamma(dtype):
    model = Sequential(GroupNorm(2, eps=1e-18))
    model.initialize((4, 5, 4), 0, dtype)
    x = np.random.default_rng(0).normal(3, 2, size=(20, 4, 5, 4))
    y = lanes.unpack(model.forward(lanes.pack(x, dtype), True, 20), 20).astype(float)
    rows = y.reshape(20, 2, -1)
    tolerance = 32 * np.finfo(dtype).eps
    np.testing.assert_allclose(rows.mean(2), 0, atol=tolerance)
    np.testing.assert_allclose(rows.var(2), 1, rtol=tolerance)


@pytest.mark.parametrize("make", [lambda: GroupNorm(2), InstanceNorm2d, LayerNorm])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_mean_far_from_zero_costs_few_digits(make, dtype):
    case = Case(make, (2, 4, 4))
    x, delta = case.batch(30)
    x = np.round(x * 2**10) / 2**10  # exact beside 1024, too
    shifted = run(case.built(dtype), x + 1024, delta)
    # The mean is a number of the dtype: it is off by half of eps times 1024.
    assert_close(shifted["y"], run(case.built(), x, delta)["y"], 1024 * np.finfo(dtype).eps)


def test_a_mean_between_two_numbers_of_the_dtype_does_not_change_the_deviation():
    """Half of the numbers are 4096, half the next float32: each is half a step off the mean."""
    step = 2.0**-11
    x = 4096 + step * np.tile([0.0, 1.0], 8).reshape(1, 2, 2, 4)
    y = run(Case(lambda: GroupNorm(1, eps=1e-14, affine=False), (2, 2, 4)).built(np.float32), x, x)
    assert np.ptp(y["y"]) == pytest.approx(2, rel=1e-6)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e17, 1e25, 1e36])
@pytest.mark.parametrize("make", [lambda: GroupNorm(1), RMSNorm])
def test_squares_may_be_beyond_float32(make, size):
    x, delta = np.random.default_rng(0).normal(size=(2, 20, 2, 3, 4))
    x = (size * x).astype(np.float32)
    found = run(Case(make, (2, 3, 4)).built(np.float32), x, delta)
    plain = run(Case(make, (2, 3, 4)).built(), x.astype(np.float64), delta)
    if size > 1e-30 or make is not RMSNorm:  # whose eps is the dtype's
        assert_close(found["y"], plain["y"], 1e-5)
    assert np.isfinite(found["dx"]).all()


def test_eps_counts_from_the_next_step_on_in_a_replay():
    model = Sequential(LayerNorm())
    model.initialize((5,), 0, np.float64, input_gradient=True)
    x, dy = (lanes.pack(a) for a in np.random.default_rng(0).normal(size=(2, 20, 5)))
    x, dy, passes = x.astype(float), dy.astype(float), Passes(model)
    for eps in (1e-5, 1e-5, 1e-5, 0.5):
        model.layers[0].eps = eps
        found = passes.forward(x, True, 20).copy(), passes.backward(dy).copy()
    fresh = Sequential(LayerNorm(eps=0.5))
    fresh.initialize((5,), 0, np.float64, input_gradient=True)
    np.testing.assert_array_equal(found[0], fresh.forward(x, True, 20))
    np.testing.assert_array_equal(found[1], fresh.backward(dy))


def test_the_default_eps_of_rms_norm_is_that_of_the_dtype():
    for dtype in DTYPES:
        layer = RMSNorm(elementwise_affine=False)
        layer.build((4,), np.random.default_rng(0), dtype)
        x = np.full((1, 4, 16), 1e-4, dtype)
        y = alone.forward(layer, x, True, 16)
        expected = 1e-4 / np.sqrt(1e-8 + np.finfo(dtype).eps)
        np.testing.assert_allclose(y, expected, rtol=4 * np.finfo(dtype).eps)
        assert layer.eps is None


BUILD = [
    (lambda: GroupNorm(4), (6, 2, 2), r"num_groups must divide the number of channels, 6, got 4"),
    (lambda: GroupNorm(4), (6,), r"use 1, 2, 3 or 6\."),
    (lambda: GroupNorm(2), (1, 4, 4), r"channels, 1, got 2: use 1\."),
    (lambda: GroupNorm(6), (6,), "each group .* is one number, which has no deviation"),
    (lambda: GroupNorm(6), (6, 1, 1), "each group .* is one number"),
    (InstanceNorm2d, (6, 1, 1), "each group .* is one number"),
    (InstanceNorm2d, (6,), r"needs images \(C, H, W\)"),
    (LayerNorm, (1,), r"sample of shape \(1,\) is one number"),
    (RMSNorm, (1, 1, 1), "is one number"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "shape", "told"), BUILD)
def test_shapes_that_cannot_be_normalized(make, shape, told):
    with pytest.raises(ArgumentError, match=told):
        make().build(shape, np.random.default_rng(0))


@pytest.mark.parametrize(
    "kind", [lambda **s: GroupNorm(1, **s), InstanceNorm2d, LayerNorm, RMSNorm]
)
@pytest.mark.parametrize(
    ("dtype", "eps"), [(np.float32, 1e-46), (np.float32, 1e-39), (np.float64, 1e-310)]
)
def test_eps_must_be_a_normal_number_of_the_dtype(kind, dtype, eps):
    with pytest.raises(ArgumentError, match="eps must be at least .* the smallest normal number"):
        kind(eps=eps).build((3, 2, 2), np.random.default_rng(0), dtype)
    layer = kind(eps=float(np.finfo(dtype).tiny))
    layer.build((3, 2, 2), np.random.default_rng(0), dtype)
    assert not alone.forward(layer, np.zeros((1, 3, 2, 2, 16), dtype), True, 16).any()


@pytest.mark.parametrize("eps", [0, -1, np.inf, np.nan, "1", True])
@pytest.mark.parametrize("kind", [InstanceNorm2d, LayerNorm, RMSNorm])
def test_eps_out_of_range(kind, eps):
    told = f"^{kind.__name__}: eps must be a finite number above 0, got"
    with pytest.raises(ArgumentError, match=told):
        kind(eps=eps)


@pytest.mark.parametrize("kind", [BatchNorm, LayerNorm])
def test_eps_may_be_beyond_float32(kind):
    layer = kind(eps=1e300)
    layer.build((3, 2, 2), np.random.default_rng(0))
    assert not alone.forward(layer, np.ones((1, 3, 2, 2, 16), np.float32), True, 16).any()


def test_other_settings_out_of_range():
    for groups in (0, -1, 1.5, True, None):
        with pytest.raises(ArgumentError, match="^GroupNorm: num_groups must be an integer of at"):
            GroupNorm(groups)
    with pytest.raises(ArgumentError, match="^LayerNorm: eps must be a finite number above 0"):
        LayerNorm(eps=None)
    with pytest.raises(ArgumentError, match="^InstanceNorm2d: affine must be"):
        InstanceNorm2d(affine=1)


def test_descriptions():
    told = {
        "4 groups": GroupNorm(4), "1 group": GroupNorm(1), "": LayerNorm(),
        "2 groups without parameters eps 0.1": GroupNorm(2, eps=0.1, affine=False),
        "with parameters": InstanceNorm2d(affine=True), "eps 0.001": RMSNorm(eps=1e-3),
        "without parameters": RMSNorm(elementwise_affine=False),
    }  # fmt: skip
    assert [layer.describe() for layer in told.values()] == list(told)
