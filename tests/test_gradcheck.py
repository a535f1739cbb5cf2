"""The gradient check passes what is right, and finds what is wrong and where."""

import numpy as np
import pytest

from minicnn import gradcheck, lanes
from minicnn.errors import ArgumentError
from minicnn.layers import NumpyLayer
from minicnn.layers.conv import Conv2d
from minicnn.layers.dense import Dense
from minicnn.losses import Loss, MeanSquaredError, SoftmaxCrossEntropy
from minicnn.models import Sequential


class Square(NumpyLayer):
    """``y = x²`` without parameters; `factor` times its true gradient."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        self._x = x
        return x * x

    def backward(self, dy):
        return self.factor * 2 * self._x * dy


def wrong(layer, damage):
    """The layer with a wrong backward pass, ``dx = damage(layer, dy, dx)``; named "wrong"."""

    class Wrong(type(layer)):
        def backward(self, x, y, dy, dx, ctx):
            kept = dy.copy()
            super().backward(x, y, dy, dx, ctx)
            dx[...] = damage(self, kept, dx)

    layer.__class__ = Wrong
    return layer


def wrong_gradient(layer, spoil, name="weight"):
    """The layer with ``spoil(gradient)`` done to a parameter's gradient, in place."""

    def damage(layer, dy, dx):
        spoil(layer.own_parameters()[name].grad)
        return dx

    return wrong(layer, damage)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Dense(4), (5,)),
        (Conv2d(4, (2, 3), padding=1, stride=(1, 2), groups=2), (2, 4, 5)),
        (Conv2d(9, 3, bias=False), (8, 6, 5)),  # large arrays: random directions
        (Dense(40), (50,)),
        (Square(), (3, 2)),
        (Sequential(Conv2d(3, 2), Square(), Sequential(Conv2d(2, 2))), (2, 4, 4)),
    ],
)
@pytest.mark.parametrize("samples", [1, 3, 17])
def test_right_gradients_pass(layer, shape, samples):
    report = gradcheck.check_layer(layer, shape, samples)
    assert report.worst < 1e-8, report
    names = {p.name for p in layer.parameters()}
    assert set(report.arrays) == {"input"} | names
    assert report.worst == max(report.arrays.values())


def test_wrong_sign():
    report = gradcheck.check_layer(wrong(Dense(4), lambda layer, dy, dx: -dx), (5,))
    assert report.worst == pytest.approx(2, rel=1e-6) and report.where.startswith("input[")
    assert report.analytic == pytest.approx(-report.numeric, rel=1e-6)
    assert report.arrays["0.wrong.weight"] < 1e-8


@pytest.mark.parametrize("shape", [(3, 2), (20, 20)])  # element by element, and along directions
@pytest.mark.parametrize("factor", [0.5, 1 + 1e-5, 3.0])
def test_wrong_scale(shape, factor):
    report = gradcheck.check_layer(Square(factor), shape)
    assert report.worst == pytest.approx(abs(factor - 1), rel=1e-3)
    assert report.where.startswith("input")


def test_transposed_weight_in_the_input_gradient():
    def damage(layer, dy, dx):
        return np.einsum("ij,gjl->gil", layer.own_parameters()["weight"].value, dy)

    report = gradcheck.check_layer(wrong(Dense(4), damage), (4,))
    assert report.worst > 0.1 and report.where.startswith("input[")
    assert report.arrays["0.wrong.weight"] < 1e-8


def test_transposed_weight_gradient():
    def transpose(grad):
        grad[...] = grad.T.copy()

    report = gradcheck.check_layer(wrong_gradient(Dense(4), transpose), (4,))
    assert report.worst > 0.1 and ".weight[" in report.where
    assert report.arrays["input"] < 1e-8


def test_kernel_turned_by_180_degrees():
    def turn(grad):
        grad[...] = grad[..., ::-1, ::-1].copy()

    report = gradcheck.check_layer(wrong_gradient(Conv2d(2, (2, 3)), turn), (2, 4, 5))
    assert report.worst > 0.1 and ".weight[" in report.where


def test_one_wrong_element_is_named():
    def spoil(grad):
        grad[1, 0, 1, 2] += 1e-3

    report = gradcheck.check_layer(wrong_gradient(Conv2d(3, (2, 3)), spoil), (2, 4, 5))
    assert report.where == "0.wrong.weight[1, 0, 1, 2]"
    assert report.analytic - report.numeric == pytest.approx(1e-3, rel=1e-4)
    assert report.worst > 1e-5
    assert "0.wrong.weight[1, 0, 1, 2]" in str(report) and f"{report.worst:.2e}" in str(report)
    assert f"{report.analytic:.10g}" in str(report) and f"{report.numeric:.10g}" in str(report)


def test_one_wrong_element_of_a_large_array_is_found():
    def spoil(grad):
        grad[3, 7] += 1

    report = gradcheck.check_layer(wrong_gradient(Dense(40), spoil), (50,))
    assert report.where.startswith("0.wrong.weight along random direction")
    assert report.worst > 1e-4


def test_missing_bias_gradient():
    def forget(grad):
        grad[...] = 0

    report = gradcheck.check_layer(wrong_gradient(Dense(3), forget, "bias"), (4,))
    assert report.where.startswith("0.wrong.bias[")
    assert report.worst == pytest.approx(1) and report.analytic == 0


def test_nan_is_the_worst_of_all():
    def spoil(grad):
        grad[0, 1] = np.nan

    report = gradcheck.check_layer(wrong_gradient(Dense(3), spoil), (4,))
    assert report.worst == np.inf and report.where.startswith("0.wrong.weight[")


def test_the_wrong_layer_of_a_model_is_named():
    def spoil(grad):
        grad *= 1.01

    model = Sequential(Conv2d(2, 2), wrong_gradient(Conv2d(3, 2), spoil), Square())
    report = gradcheck.check_layer(model, (1, 4, 5))
    assert report.where.startswith("0.1.wrong.weight")
    assert all(error < 1e-8 for name, error in report.arrays.items() if "wrong.weight" not in name)


def test_a_gradient_of_zero_where_all_is_flat():
    class Flat(Square):
        def forward(self, x):
            self._x = x
            return 0 * x

    assert gradcheck.check_layer(Flat(0.0), (3,)).worst == 0
    assert gradcheck.check_layer(Flat(1e-3), (3,)).worst > 1


def test_the_input_may_be_given():
    """Where a kink has to be kept away from: here |x - 7|, whose slope is 1 above 7."""

    class Distance(Square):
        def forward(self, x):
            return abs(x - 7)

        def backward(self, dy):
            return dy.copy()

    x = np.full((2, 3), 7.5)
    assert gradcheck.check_layer(Distance(), (3,), x=x).worst < 1e-8
    assert gradcheck.check_layer(Distance(), (3,)).worst == pytest.approx(2)
    np.testing.assert_array_equal(x, 7.5)


def test_wrong_loss():
    scores, labels = np.random.default_rng(0).normal(size=(5, 4)), np.arange(5) % 4
    right = SoftmaxCrossEntropy()

    def sum_instead_of_mean(scores, labels):
        value, gradient = right(scores, labels)
        return value, gradient * len(labels)

    def one_element(scores, labels):
        value, gradient = right(scores, labels)
        gradient[0, 2, 3] += 0.01  # of class 2 and sample 3
        return value, gradient

    assert gradcheck.check_loss(right, scores, labels).worst < 1e-8
    assert gradcheck.check_loss(sum_instead_of_mean, scores, labels).worst == pytest.approx(4)
    assert gradcheck.check_loss(one_element, scores, labels).where == "scores[3, 2]"


def test_check_function_restores_the_arrays_even_if_the_function_fails():
    x = np.random.default_rng(0).normal(size=(2, 3))
    kept = x.copy()
    report = gradcheck.check_function(lambda: float(np.sum(x**3)), {"x": x}, {"x": 3 * x**2})
    assert report.worst < 1e-8
    np.testing.assert_array_equal(x, kept)
    with pytest.raises(ZeroDivisionError):
        gradcheck.check_function(lambda: 1 / 0, {"x": x}, {"x": x})
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize(
    ("array", "claimed", "message"),
    [
        (np.zeros(3, np.float32), np.zeros(3), "expected a float64 array .* float32"),
        (np.zeros(3), np.zeros((3, 1)), r"x: .* \(3,\) and \(3, 1\)"),
    ],
)
def test_arrays_that_cannot_be_checked(array, claimed, message):
    with pytest.raises(ArgumentError, match=message):
        gradcheck.check_function(lambda: 0.0, {"x": array}, {"x": claimed})


class Lanes(Loss):
    """Half the mean square of the scores, with a mistake in what it does beside the samples."""

    def __init__(self, mistake):
        super().__init__()
        self.mistake = mistake

    def __call__(self, scores, targets):
        samples, mistake, gradient = len(targets), self.mistake, np.zeros_like(scores)
        own = lanes.unpack(scores, samples)
        lanes.pack(own, scores.dtype, out=gradient)
        count = 16 * len(scores) if mistake == "divides by all lanes" else samples
        spare = gradient[-1, :, (samples - 1) % 16 + 1 :]
        value = np.sum((scores if mistake == "sums all lanes" else own) ** 2) / (2 * count)
        gradient /= samples
        if mistake == "gradient in all lanes":
            np.divide(scores, samples, out=gradient)
        elif mistake == "one spare number":
            spare[-1:, -1:] = 1e-7
        elif mistake == "NaN in spare lanes":
            spare[...] = np.nan
        return float(value), gradient


MISTAKES = {
    "gradient in all lanes": "the gradient in spare lanes",
    "one spare number": "the gradient in spare lanes",
    "NaN in spare lanes": "the gradient in spare lanes",
    "sums all lanes": "the value with other spare lanes",
    "divides by all lanes": "scores",
}


@pytest.mark.parametrize("samples", [1, 5, 15, 16, 17, 32])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_loss_that_forgets_spare_lanes(mistake, samples):
    """Batches of 16 and 32 fill their lanes, so that others are tried."""
    scores = np.random.default_rng(0).normal(size=(samples, 3))
    report = gradcheck.check_loss(Lanes(mistake), scores, np.zeros(samples, int))
    assert report.worst > 1e-8 and report.where.startswith(MISTAKES[mistake]), report


@pytest.mark.parametrize("samples", [1, 5, 16, 17, 40])
@pytest.mark.parametrize("loss", [Lanes(None), SoftmaxCrossEntropy(0.1), MeanSquaredError()])
def test_a_right_loss_passes_at_any_size(loss, samples):
    scores = np.random.default_rng(0).normal(size=(samples, 3))
    assert gradcheck.check_loss(loss, scores, np.arange(samples) % 3).worst < 1e-8
    if isinstance(loss, MeanSquaredError):
        assert (
            gradcheck.check_loss(loss, scores, np.random.default_rng(1).random((samples, 3))).worst
            < 1e-8
        )
