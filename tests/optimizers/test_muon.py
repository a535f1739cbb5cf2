"""Muon: its matrices are orthogonal, and its steps are those of the equations in plain NumPy."""

import numpy as np
import pytest

from minicnn import Sequential, lanes, optimizers
from minicnn.errors import ArgumentError
from minicnn.kernels.orthogonal import COEFFICIENTS, DEPTH, EPS, SIDE, orthogonalize, product
from minicnn.kernels.runtime.thread_pool import get_num_threads, set_num_threads
from minicnn.layers import Dense, Tanh
from minicnn.losses import SoftmaxCrossEntropy
from minicnn.optimizers import Muon
from minicnn.parameter import Parameter
from minicnn.training.gradients import compute_gradients
from tests.optimizers import test_runs

SHAPES = [(40, 3, 3, 3), (8, 40, 3, 3), (50,), (33, 31), (10, 33), (10,)]  # high, wide, odd sides
HIDDEN = (0, 1, 3)
SETTINGS = {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.2, "ns_steps": 4, "sgd_lr_ratio": 2.0}


def parameters(dtype=np.float64):
    rng = np.random.default_rng(0)
    return [Parameter(rng.normal(size=s).astype(dtype), len(s) > 1) for s in SHAPES]


def steps(optimizer, count=5):
    """The values after steps with random gradients."""
    test_runs.steps(optimizer, count)
    return [p.value for p in optimizer.parameters]


def orthogonal(g, count):
    """The equations of the module, on float64."""
    a, b, c = COEFFICIENTS
    x = g / (np.linalg.norm(g) + EPS)
    for _ in range(count):
        square = x @ x.T
        x = (a * np.eye(len(x)) + b * square + c * square @ square) @ x
    return x


def plain(nesterov, count=5):
    """What `steps` makes of `parameters`, step by step as the class says."""
    rng = np.random.default_rng(1)
    values = [p.value.copy() for p in parameters()]
    kept = [np.zeros_like(v) for v in values]
    lr, m, ratio = SETTINGS["lr"], SETTINGS["momentum"], SETTINGS["sgd_lr_ratio"]
    for _ in range(count):
        for i, (w, v) in enumerate(zip(values, kept)):
            g = rng.normal(size=w.shape)
            shrunk = (1 - lr * SETTINGS["weight_decay"] * (w.ndim > 1)) * w
            if i in HIDDEN:
                v[...] = m * v + (1 - m) * g
                way = ((1 - m) * g + m * v if nesterov else v).reshape(len(w), -1)
                rows, columns = way.shape
                made = orthogonal(way, 4) if rows <= columns else orthogonal(way.T, 4).T
                w[...] = shrunk - lr * max(1, rows / columns) ** 0.5 * made.reshape(w.shape)
            else:
                v[...] = m * v + g
                w[...] = shrunk - ratio * lr * (g + m * v if nesterov else v)
    return values


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_steps_are_those_of_the_equations(dtype, rtol, nesterov):
    found = steps(Muon(parameters(dtype), **SETTINGS, nesterov=nesterov))
    for value, expected in zip(found, plain(nesterov)):
        np.testing.assert_allclose(value, expected, rtol=0, atol=rtol * np.abs(expected).max())


@pytest.mark.parametrize(
    "shape", [(SIDE, SIDE), (SIDE, 3 * SIDE), (2 * SIDE, 5 * SIDE), (DEPTH + SIDE, SIDE)]
)
def test_a_product_is_numpy_s(shape):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(shape[0], shape[0])), rng.normal(size=shape)
    out = lanes.zeros(shape, np.float64)
    product(a, b, out, False)
    np.testing.assert_allclose(out, a @ b, atol=1e-12 * shape[0])


def test_half_of_a_symmetric_product_is_the_whole():
    rng = np.random.default_rng(0)
    side = DEPTH + 3 * SIDE
    a = rng.normal(size=(side, 2 * side))
    found = [lanes.zeros((side, side), np.float64) for _ in range(2)]
    for out, symmetric in zip(found, (False, True)):
        product(a, np.ascontiguousarray(a.T), out, symmetric)
    np.testing.assert_allclose(found[0], a @ a.T, atol=1e-12 * side)
    assert found[0].tobytes() == found[1].tobytes()


def test_singular_values_come_near_to_one():
    rng = np.random.default_rng(0)
    m, n = SIDE, 2 * SIDE
    # Singular values over two decades: Jordan's polynomial brings them to between .68 and 1.14.
    left, right = (np.linalg.qr(rng.normal(size=(side, side)))[0] for side in (m, n))
    x = left @ np.diag(np.logspace(-2, 0, m)) @ right[:m]
    shapes = (m, n), (n, m), (m, m), (m, m)
    room = [lanes.zeros(shape, np.float64) for shape in shapes]
    made = orthogonalize(x, *room, np.array([np.sum(x * x)]), 7)
    values = np.linalg.svd(made, compute_uv=False)
    assert 0.67 < values.min() and values.max() < 1.15


def test_threads_do_not_change_the_bits():
    threads, found = get_num_threads(), []
    try:
        for count in (1, threads):
            set_num_threads(count)
            found.append([v.tobytes() for v in steps(Muon(parameters(np.float32), **SETTINGS))])
    finally:
        set_num_threads(threads)
    assert found[0] == found[1]


@pytest.mark.parametrize("widths", [(40, 24), (24, 40)])
def test_units_that_begin_as_copies_stay_copies(widths):
    model = Sequential(
        Dense(widths[0], init="constant:0.1"), Tanh(), Dense(widths[1], init="constant:0.1"),
        Tanh(), Dense(3),
    )  # fmt: skip
    model.initialize((7,), seed=0)
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(32, 7)), rng.integers(0, 3, 32)
    # Scores that treat all units alike, or there would be no copies.
    model.layers[-1].weight.value[...] = rng.normal(size=(3, 1))
    muon = Muon(model.parameters(), lr=0.1)
    before = model.layers[2].weight.value.copy()
    for _ in range(5):
        compute_gradients(model, SoftmaxCrossEntropy(), lanes.pack(images, np.float32), labels)
        muon.step()
    for layer in (model.layers[0], model.layers[2]):
        assert (layer.weight.value == layer.weight.value[0]).all()
    assert not np.array_equal(model.layers[2].weight.value, before)


def test_the_scales_of_a_norm_are_no_matrices():
    """Those of images have three axes; each number is for itself."""
    scales = Parameter(np.ones((2, 3, 4), np.float32), decay=False)
    made = [scales, *parameters(np.float32)]
    for parameter in made:
        parameter.grad[...] = 1
    Muon(made, lr=0.1, momentum=0.0, weight_decay=0.5, sgd_lr_ratio=0.5).step()
    np.testing.assert_allclose(scales.value, 1 - 0.5 * 0.1, rtol=1e-6)


def test_without_a_gradient_only_weight_decay_acts():
    made = parameters(np.float32)
    before = [p.value.copy() for p in made]
    Muon(made, lr=0.5, weight_decay=0.5).step()
    for p, value in zip(made, before):
        np.testing.assert_array_equal(p.value, value * np.float32(0.75 if p.decay else 1))


def test_an_array_that_is_replaced_is_the_one_that_moves():
    made = parameters()
    muon = Muon(made, **SETTINGS)
    steps(muon, 1)
    old, made[0].value = made[0].value, made[0].value.copy()
    kept = old.copy()
    steps(muon, 1)
    np.testing.assert_array_equal(old, kept)
    assert not np.array_equal(made[0].value, kept)


def test_a_network_of_one_layer_has_no_hidden_weight():
    (value, bias) = (p.value for p in parameters()[4:])
    muon = Muon(parameters()[4:], lr=0.1, momentum=0.0, weight_decay=0.0, nesterov=False)
    rng = np.random.default_rng(1)
    grads = [rng.normal(size=value.shape), rng.normal(size=bias.shape)]
    found = steps(muon, 1)
    np.testing.assert_allclose(found[0], value - 0.1 * grads[0], atol=1e-15)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ns_steps": 0}, "ns_steps must be an integer of at least 1"),
        ({"sgd_lr_ratio": 0.0}, "sgd_lr_ratio must be a number above 0"),
        ({"momentum": 1.0}, r"momentum must be a number in \[0, 1\)"),
    ],
)
def test_settings_out_of_range(given, message):
    with pytest.raises(ArgumentError, match=message):
        Muon(parameters(), **{**SETTINGS, **given})


def test_it_goes_by_its_name():
    assert type(optimizers.create("muon", parameters())) is Muon
