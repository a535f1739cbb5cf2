"""Jacobians: against weights, differences, NumPy's singular values and random-matrix theory."""

import math

import numpy as np
import pytest

from minicnn import Sequential, lanes
from minicnn.errors import ArgumentError
from minicnn.lab.measure import jacobian as module
from minicnn.lab.measure.jacobian import Jacobian, jacobian, singular_values
from minicnn.layers import (
    BatchNorm,
    Conv2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    Identity,
    MaxPool2d,
    NumpyLayer,
    Tanh,
)
from minicnn.models import Residual, zoo

SHAPE = (2, 6, 6)


def model_of(*layers, shape=SHAPE, seed=0, dtype=np.float32):
    model = Sequential(*layers)
    model.initialize(shape, seed=seed, dtype=dtype)
    return model


def small(dtype=np.float32):
    body = Sequential(Conv2d(4, 3, padding=1), BatchNorm(), Tanh(), Conv2d(4, 3, padding=1))
    return model_of(
        Conv2d(4, 3, padding=1), Tanh(), MaxPool2d(3, 2, 1), Residual(body), Tanh(),
        GlobalAvgPool2d(), Dense(3), dtype=dtype,
    )  # fmt: skip


def image(shape=SHAPE, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_of_a_dense_layer_it_is_the_weight():
    model = model_of(Dense(20), Dense(5), shape=(12,))
    model.parameters()[1].value[:] = 3
    first, second = (p.value.astype(np.float64) for p in model.parameters()[::2])
    x = image((12,))
    np.testing.assert_allclose(jacobian(model, x, "0.dense"), first, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(jacobian(model, x), second @ first, rtol=1e-12, atol=1e-14)
    expected = np.linalg.svd(first, compute_uv=False)
    np.testing.assert_allclose(singular_values(model, x, layers="0.dense"), expected, rtol=1e-12)


def test_of_an_activation_it_is_the_slopes():
    model = model_of(Dense(8), Tanh(), Dense(3), shape=(5,))
    found = jacobian(model, image((5,)), "1.tanh")
    z = model.parameters()[0].value.astype(float) @ image((5,))
    np.testing.assert_allclose(found, np.diag(1 - np.tanh(z) ** 2), atol=1e-12)


def test_end_to_end_it_is_a_difference_quotient():
    model, x, h = small(np.float64), image().astype(np.float64), 1e-6
    found = jacobian(model, x)
    steps = h * np.eye(x.size).reshape(-1, *SHAPE)
    quotient = ((model.predict(x + steps) - model.predict(x - steps)) / (2 * h)).T
    assert found.shape == (3, x.size) and np.abs(found).max() > 0.01
    np.testing.assert_allclose(found, quotient, atol=1e-8)


@pytest.mark.parametrize(
    "layers", [None, "0.conv2d", "3.residual", "3.residual.0", "3.residual.0.3.conv2d"]
)
def test_both_products_are_those_of_the_dense_matrix(layers):
    of = Jacobian(small(), image(), layers)
    matrix, rng = of.dense(), np.random.default_rng(0)
    assert matrix.shape == of.shape
    v, u = rng.standard_normal((of.shape[1], 19)), rng.standard_normal((of.shape[0], 19))
    np.testing.assert_allclose(of.times(v), matrix @ v, atol=1e-12)
    np.testing.assert_allclose(of.transposed_times(u), matrix.T @ u, atol=1e-12)
    np.testing.assert_allclose(of.times(v[:, 3]), matrix @ v[:, 3], atol=1e-12)


def test_layers_in_a_row_multiply():
    model, x = small(), image()
    whole = jacobian(model, x, ("0.conv2d", "2.maxpool2d"))
    parts = [jacobian(model, x, name) for name in ("2.maxpool2d", "1.tanh", "0.conv2d")]
    np.testing.assert_allclose(whole, parts[0] @ parts[1] @ parts[2], atol=1e-12)
    inner = jacobian(model, x, ("3.residual.0.0.conv2d", "3.residual.0.3.conv2d"))
    np.testing.assert_allclose(inner, jacobian(model, x, "3.residual.0"), atol=1e-12)


def test_a_dense_matrix_of_many_rows_is_made_in_parts(monkeypatch):
    model, x = small(), image()
    whole = jacobian(model, x, "0.conv2d")
    monkeypatch.setattr(module, "ROWS", 17)
    np.testing.assert_allclose(jacobian(model, x, "0.conv2d"), whole, atol=1e-14)


@pytest.mark.parametrize("count", [1, 5, 16])
def test_the_largest_values_without_a_matrix(count, monkeypatch):
    model = model_of(Conv2d(6, 3, padding=1, init="normal:0.2"), Tanh(), shape=(3, 10, 10))
    x = image((3, 10, 10))
    exact = singular_values(model, x)
    of = Jacobian(model, x)
    monkeypatch.setattr(of, "dense", None)
    for tolerance in (1e-2, 1e-6):
        found = of.singular_values(count, tolerance)
        np.testing.assert_allclose(found, exact[:count], atol=tolerance**2 * exact[0])


def test_equal_values_are_all_found(monkeypatch):
    """A hundred ones and two hundred zeros: a block that is too narrow would report zeros."""
    model = model_of(Dense(300, init="zeros"), shape=(300,))
    model.parameters()[0].value[range(100), range(100)] = 1
    of = Jacobian(model, image((300,)))
    monkeypatch.setattr(of, "dense", None)
    np.testing.assert_allclose(of.singular_values(40), np.ones(40), rtol=1e-12)
    rank_low = model_of(Dense(300, init="constant:0.01"), shape=(300,))
    nothing = model_of(Dense(300, init="zeros"), shape=(300,))
    for model, expected in [(rank_low, [3, 0, 0]), (nothing, [0, 0, 0])]:
        of = Jacobian(model, image((300,)))
        monkeypatch.setattr(of, "dense", None)
        np.testing.assert_allclose(of.singular_values(3), expected, atol=1e-4)


def test_a_narrow_jacobian_comes_from_the_dense_matrix():
    model, x = small(), image()
    exact = np.linalg.svd(jacobian(model, x), compute_uv=False)
    np.testing.assert_allclose(singular_values(model, x, 2), exact[:2], rtol=1e-12)
    assert len(singular_values(model, x)) == 3


def test_values_far_below_single_precision_are_seen():
    """Thirty layers that shrink: the product is 1e-24 and still has its three digits."""
    model = model_of(*(Dense(6, init="normal:0.05", bias=False) for _ in range(30)), shape=(6,))
    product = np.eye(6)
    for parameter in model.parameters():
        product = parameter.value.astype(np.float64) @ product
    largest = np.linalg.norm(product, 2)
    assert largest < 1e-20
    assert singular_values(model, image((6,)))[0] == pytest.approx(largest, rel=1e-9)


@pytest.mark.parametrize(
    "init, expected",
    [
        ("xavier", 8 / (3 * math.pi)),
        (f"uniform:{-1 / math.sqrt(300)},{1 / math.sqrt(300)}", 8 / (3 * math.pi * math.sqrt(3))),
    ],
)
def test_mean_singular_value_of_a_wide_tanh_layer(init, expected):
    """Glorot & Bengio 2010, where a layer is a dense one with its tanh."""
    model = model_of(
        Dense(300, init=init), Tanh(), Dense(300, init=init), Tanh(), shape=(300,)
    )  # fmt: skip
    x = 0.01 * image((300,))
    for layers in [("0.dense", "1.tanh"), ("2.dense", "3.tanh")]:
        assert np.mean(singular_values(model, x, layers=layers)) == pytest.approx(
            expected, abs=0.01
        )


def test_nothing_of_the_model_changes_and_the_twin_is_of_now():
    model, x = small(), image()
    model.backward(model.forward(lanes.pack(np.stack([x, x])), True, 2))
    state = model.state_dict()
    gradients = [p.grad.copy() for p in model.parameters()]
    before = jacobian(model, x)
    assert all(np.array_equal(a, model.state_dict()[name]) for name, a in state.items())
    assert all(np.array_equal(a, p.grad) for a, p in zip(gradients, model.parameters()))
    model.parameters()[-2].value *= 2
    np.testing.assert_allclose(jacobian(model, x), 2 * before, rtol=1e-12)


class Square(NumpyLayer):
    """Not one of minicnn's own."""

    def forward(self, x):
        self._x = x
        return x * x

    def backward(self, dy):
        return 2 * self._x * dy


def test_a_strangers_layer_has_a_dense_jacobian():
    model = model_of(Flatten(), Square(), shape=(1, 10, 10))
    x = image((1, 10, 10))
    np.testing.assert_allclose(jacobian(model, x), np.diag(2.0 * x.ravel()), atol=1e-14)
    with pytest.raises(ArgumentError, match="ask for the dense"):
        singular_values(model, x, 3)


def broken():
    model = small()
    model.parameters()[-1 - 1].value[0, 0] = np.nan
    return model


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: jacobian(small(), image(), "0.conv2"), "unknown layer.*mean '0.conv2d'"),
        (lambda: jacobian(small(), image(), ("1.tanh", "0.conv2d")), "follow each other"),
        (lambda: jacobian(small(), image(), ("0.conv2d", "3.residual.0.2.tanh")), "follow each"),
        (lambda: jacobian(small(), image(), ("0.conv2d",) * 3), "follow each other"),
        (lambda: jacobian(small(), image((2, 6, 5))), "expected an array of shape"),
        (lambda: singular_values(small(), image(), 4), "3 outputs and 72 inputs has 3 singular"),
        (lambda: singular_values(small(), image(), 0), "at least 1"),
        (lambda: Jacobian(small(), image()).singular_values(1, 0), "in .0, 1., got 0"),
        (lambda: Jacobian(small(), image()).times(np.ones(71)), "vectors of 72 numbers"),
        (lambda: singular_values(broken(), image()), "NaN or infinity"),
        (lambda: jacobian(zoo.build("lenet5"), image()), "no weights yet"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()


def test_too_many_rounds_are_an_error(monkeypatch):
    monkeypatch.setattr(module, "MAX_BLOCKS", 2)
    model = model_of(Conv2d(3, 3, padding=1), Identity(), shape=(3, 10, 10))
    with pytest.raises(ArgumentError, match="do not come out in 2 rounds"):
        singular_values(model, image((3, 10, 10)), 10)
