"""LayerNorm2d: PyTorch's numbers, the reference's equations, what it is one with, and errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import lanes
from minicnn import reference as ref
from minicnn.errors import ArgumentError
from minicnn.layers import GroupNorm, LayerNorm, LayerNorm2d
from minicnn.models import Sequential
from minicnn.plan.passes import Passes
from tests.kernels.conv.test_correlate import EXAMPLES, assert_close
from tests.layers.cases import Case, run
from tests.layers.test_group_norm import DY, X

SHAPE = (4, 2, 1)  # of X and DY here
#: eps, y of the last sample's last pixel, dE/dx of the first's first one, dE/dgamma; by PyTorch
#: 2.14.1 in float64, ``layer_norm`` of ``x.permute(0, 2, 3, 1)``. gamma and beta are 1 and 0 and
#: np.linspace(-0.5, 1).
PYTORCH = [
    (
        1e-6, [0.060576219, -0.672691463, 1.733267683, -1.541278861],
        [-1.032683664, 1.535784909, -1.403392728, 0.900291484],
        [3.495851667, 0.239876539, -2.089360414, -1.781955798],
    ),
    (
        0.1, [0.050815812, -0.660978974, 1.711794785, -1.497031679],
        [-0.921171848, 1.279657444, -1.432429787, 1.073944191],
        [3.43083579, 0.217242505, -2.02994211, -1.657763989],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("eps", "y", "dx", "d_gamma"), PYTORCH)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-8), (np.float32, 1e-5)])
def test_pytorchs_numbers(eps, y, dx, d_gamma, dtype, tolerance):
    model = Sequential(LayerNorm2d(eps=eps))
    model.initialize(SHAPE, 0, dtype, input_gradient=True)
    weight, bias = model.parameters()
    for parameter in (weight, bias):
        parameter.value += np.linspace(-0.5, 1, 4).astype(dtype)
    found = run(model, X.reshape(2, *SHAPE), DY.reshape(2, *SHAPE))
    assert_close(found["y"][1, :, 1, 0], np.array(y), tolerance)
    assert_close(found["dx"][0, :, 0, 0], np.array(dx), tolerance)
    assert_close(weight.grad, np.array(d_gamma), tolerance)
    assert_close(bias.grad, np.array([0, 3, 0.25, 2.25]), tolerance)


@EXAMPLES
@given(
    st.integers(1, 40), st.integers(2, 9), st.integers(1, 5), st.integers(1, 4), st.booleans()
)  # fmt: skip
def test_values_and_gradients_are_the_references(samples, channels, height, width, affine):
    shape = (channels, height, width)
    model = Case(lambda: LayerNorm2d(eps=0.01, affine=affine), shape).built()
    rng = np.random.default_rng(samples)
    x, delta = 3 + 2 * rng.normal(size=(samples, *shape)), rng.normal(size=(samples, *shape))
    found = run(model, x, delta)
    gamma, beta = [p.value for p in model.parameters()] if affine else (np.ones(channels), 0.0)
    y = np.stack([ref.layer_norm_2d(s, gamma, beta, 0.01) for s in x])
    assert_close(found["y"], y, 1e-11)
    each = [ref.layer_norm_2d_gradients(d, s, gamma, 0.01) for d, s in zip(delta, x)]
    dx, *sums = (np.stack(arrays) for arrays in zip(*each))
    assert_close(found["dx"], dx, 1e-10)
    for parameter, gradients in zip(model.parameters(), sums):
        assert_close(parameter.grad, gradients.sum(0), 1e-10)


def test_each_pixel_is_a_sample_of_layer_norm():
    """An image of one pixel is that sample; permuting pixels permutes what comes out."""
    x, delta = np.random.default_rng(0).normal(size=(2, 20, 4, 3, 2))

    def found(layer, images, deltas):
        model = Sequential(layer)
        model.initialize(images.shape[1:], 0, np.float64, input_gradient=True)
        return run(model, images, deltas)

    whole = found(LayerNorm2d(affine=False), x, delta)
    turned = found(LayerNorm2d(affine=False), x[..., ::-1, ::-1], delta[..., ::-1, ::-1])
    for name in ("y", "dx"):
        np.testing.assert_array_equal(turned[name], whole[name][..., ::-1, ::-1])
        for i, j in np.ndindex(3, 2):
            pixel = np.index_exp[:, :, i, j]
            one = found(LayerNorm(eps=1e-6, elementwise_affine=False), x[pixel], delta[pixel])
            np.testing.assert_allclose(whole[name][pixel], one[name], rtol=1e-12, atol=1e-12)
    small = x[..., :1, :1], delta[..., :1, :1]
    one, other = found(LayerNorm2d(), *small), found(GroupNorm(1, eps=1e-6), *small)
    for name in one:
        kind = name.replace("layernorm2d", "groupnorm")
        np.testing.assert_allclose(one[name], other[kind], rtol=1e-12, atol=1e-12)


def test_samples_and_modes_do_not_mix():
    case = Case(LayerNorm2d, (4, 3, 2))
    x, delta = case.batch(20)
    whole, evaluated = (run(case.built(), x, delta, training=mode) for mode in (True, False))
    for name in whole:
        np.testing.assert_array_equal(whole[name], evaluated[name])
    some = run(case.built(), x[7:9], delta[7:9])
    np.testing.assert_array_equal(some["y"], whole["y"][7:9])
    np.testing.assert_array_equal(some["dx"], whole["dx"][7:9])
    assert not LayerNorm2d().mixes_samples and not case.built().layers[0].state()


def test_eps_counts_from_the_next_step_on_in_a_replay():
    model = Sequential(LayerNorm2d())
    model.initialize((5, 2, 2), 0, np.float64, input_gradient=True)
    x, dy = (lanes.pack(a, np.float64) for a in np.random.default_rng(0).normal(size=(2, 20, 20)))
    x, dy, passes = x.reshape(2, 5, 2, 2, 16), dy.reshape(2, 5, 2, 2, 16), Passes(model)
    for eps in (1e-6, 1e-6, 1e-6, 0.5):
        model.layers[0].eps = eps
        found = passes.forward(x, True, 20).copy(), passes.backward(dy).copy()
    fresh = Sequential(LayerNorm2d(eps=0.5))
    fresh.initialize((5, 2, 2), 0, np.float64, input_gradient=True)
    np.testing.assert_array_equal(found[0], fresh.forward(x, True, 20))
    np.testing.assert_array_equal(found[1], fresh.backward(dy))


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((6,), r"needs images \(C, H, W\)"),
        ((1, 4, 4), r"a pixel of a sample of shape \(1, 4, 4\) is one number.*LayerNorm\(\)"),
    ],
)
def test_shapes_that_cannot_be_normalized(shape, told):
    with pytest.raises(ArgumentError, match=told):
        LayerNorm2d().build(shape, np.random.default_rng(0))


def test_settings_out_of_range():
    for eps in (0, -1, np.inf, np.nan, "1", True, None):
        with pytest.raises(ArgumentError, match="^LayerNorm2d: eps must be a finite number above"):
            LayerNorm2d(eps=eps)
    with pytest.raises(ArgumentError, match="^LayerNorm2d: affine must be True or False, got 1"):
        LayerNorm2d(affine=1)
    with pytest.raises(ArgumentError, match="eps must be at least .* the smallest normal number"):
        LayerNorm2d(eps=1e-39).build((3, 2, 2), np.random.default_rng(0))


def test_descriptions():
    told = {
        "": LayerNorm2d(), "eps 1e-05": LayerNorm2d(eps=1e-5),
        "without parameters": LayerNorm2d(affine=False),
    }  # fmt: skip
    assert [layer.describe() for layer in told.values()] == list(told)
