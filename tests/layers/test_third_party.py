"""Layers of others in a model: what they return is checked, and nothing is promised for them."""

import numpy as np
import pytest

from minicnn import Sequential, gradcheck, lanes
from minicnn.errors import ArgumentError
from minicnn.initializers import Fans
from minicnn.layers import BatchNorm, Conv2d, Dense, Flatten, Layer, MaxPool2d, NumpyLayer, ReLU
from minicnn.models import Residual

IMAGES = np.random.default_rng(0).standard_normal((20, 2, 8, 8)).astype(np.float32)


class Through(NumpyLayer):
    """Gives back what a test tells it to."""

    ahead = staticmethod(lambda x: x)
    back = staticmethod(lambda dy: dy)

    def forward(self, x):
        return self.ahead(x)

    def backward(self, dy):
        return self.back(dy)


WRONG = {
    "another dtype": lambda x: x.astype(np.float64),
    "another shape": lambda x: np.ascontiguousarray(x[:, :, ::2]),
    "masked": np.ma.masked_array,
    "fewer samples": lambda x: x[:1],
    "a list": lambda x: x.tolist(),
    "nothing": lambda x: None,
}


def surrounded(layer, inside):
    if inside:
        layer = Residual(layer)
    model = Sequential(Conv2d(3, 3), layer, ReLU(), MaxPool2d(2), Flatten(), Dense(2))
    model.initialize((2, 8, 8))
    return model


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("wrong", WRONG)
def test_what_kernels_could_not_read_is_an_error_that_names_the_layer(wrong, inside):
    layer = Through()
    model = surrounded(layer, inside)
    scores = model.forward(lanes.pack(IMAGES), True)
    model.backward(scores)
    layer.back = WRONG[wrong]
    model.forward(lanes.pack(IMAGES), True)
    with pytest.raises(
        ArgumentError, match=r"through: backward must return a float32 array of shape"
    ):
        model.backward(scores)
    layer.ahead = WRONG[wrong]
    with pytest.raises(ArgumentError, match=r"through: forward must return .* \(20, 3, 6, 6\)"):
        model.predict(IMAGES)


def test_the_first_layer_need_not_return_a_gradient():
    layer = Through()
    layer.back = WRONG["nothing"]
    model = Sequential(layer, Flatten(), Dense(2))
    model.initialize((2, 8, 8))
    assert model.backward(model.forward(lanes.pack(IMAGES))) is None


class Shifted(Dense):
    def forward(self, x, y, ctx):
        super().forward(x, y, ctx)
        y -= 1


class Mirrored(ReLU):
    def forward(self, x, y, ctx):
        np.minimum(x, 0, out=y)


@pytest.mark.parametrize("layers", [
    lambda: [Flatten(), Shifted(5), ReLU(), Dense(2)],
    lambda: [Flatten(), Dense(5), Mirrored(), Dense(2)],
])  # fmt: skip
def test_a_layer_that_inherits_computes_the_same_fused_or_not(layers):
    fused, apart = Sequential(*layers()), Sequential(*layers())
    fused.initialize((2, 8, 8))
    apart.initialize((2, 8, 8), fuse=False)
    np.testing.assert_array_equal(fused.predict(IMAGES), apart.predict(IMAGES))


def test_promises_are_one_s_own():
    assert Dense.fuses_relu == "output" and not Dense.in_python
    assert Shifted.fuses_relu is None and Shifted.in_python
    assert Shifted(3).backward_reads(True) == ("x", "y")

    class Promising(BatchNorm):
        fuses_relu = "output"

        def forward(self, x, y, ctx):
            super().forward(x, y, ctx)

    assert Promising.fuses_relu == "output" and Promising.mixes_samples
    assert Promising.backward_in_place is None

    class Renamed(BatchNorm):
        """Replaces no pass."""

    assert Renamed.fuses_relu == "output" and Renamed.backward_in_place == "dy"


def test_a_view_of_others_is_computed_if_they_say_how():
    class Negated(Flatten):
        def forward(self, x, y, ctx):
            np.negative(x.reshape(y.shape), out=y)

    plain, negated = (Sequential(layer()) for layer in (Flatten, Negated))
    for model in (plain, negated):
        model.initialize((2, 8, 8))
    np.testing.assert_array_equal(negated.predict(IMAGES), -plain.predict(IMAGES))


def test_a_layer_in_numpy_may_have_parameters_and_another_shape():
    class Scale(NumpyLayer):
        """The sum over the image of each channel, times a weight."""

        def setup(self, rng):
            channels = self.input_shape[0]
            self.weight = self.add_parameter("weight", (channels,), "ones", Fans(1, 1), rng)
            return (channels,)

        def forward(self, x):
            assert not self.training
            self.sums = x.sum((2, 3))
            return self.sums * self.weight.value

        def backward(self, dy):
            self.weight.grad[...] = (dy * self.sums).sum(0)
            return np.broadcast_to((dy * self.weight.value)[:, :, None, None], self.shape(dy))

        def shape(self, dy):
            return (len(dy), *self.input_shape)

    assert gradcheck.check_layer(Scale(), (3, 4, 5), training=False).worst < 1e-7


def test_a_lanes_layer_with_other_arguments_says_what_they_are():
    class Old(Layer):
        def forward(self, x, training=False, samples=None):
            return x

        def backward(self, dy):
            return dy

    model = Sequential(Old())
    model.initialize((3,))
    with pytest.raises(ArgumentError, match=r"must take \(x, y, dy, dx, ctx\).*NumpyLayer"):
        model.predict(np.ones((2, 3), np.float32))
