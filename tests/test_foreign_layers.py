"""Layers of others in a model: what they return is checked, and nothing is promised for them."""

import numpy as np
import pytest

from minicnn import Sequential, lanes
from minicnn.errors import ArgumentError
from minicnn.layers import BatchNorm, Conv2d, Dense, Flatten, Layer, MaxPool2d, ReLU, Residual

IMAGES = np.random.default_rng(0).standard_normal((20, 2, 8, 8)).astype(np.float32)


class Through(Layer):
    """Gives back what a test tells it to."""

    ahead = staticmethod(lambda x: x)
    back = staticmethod(lambda dy: dy)

    def forward(self, x, training=False, samples=None):
        return self.ahead(x)

    def backward(self, dy):
        return self.back(dy)


WRONG = {
    "another dtype": lambda x: x.astype(np.float64),
    "another shape": lambda x: np.ascontiguousarray(x[:, :, ::2]),
    "a view": lambda x: x[:, :, :, ::-1],
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
        ArgumentError, match=r"through: backward must return a C-contiguous float32"
    ):
        model.backward(scores)
    layer.ahead = WRONG[wrong]
    with pytest.raises(ArgumentError, match=r"through: forward must return .* \(2, 3, 6, 6, 16\)"):
        model.predict(IMAGES)


def test_the_first_layer_need_not_return_a_gradient():
    layer = Through()
    layer.back = WRONG["nothing"]
    model = Sequential(layer, Flatten(), Dense(2))
    model.initialize((2, 8, 8))
    assert model.backward(model.forward(lanes.pack(IMAGES))) is None


class Shifted(Dense):
    def forward(self, x, training=False, samples=None):
        z = super().forward(x, training, samples)
        z -= 1
        return z


class Mirrored(ReLU):
    def forward(self, x, training=False, samples=None):
        return np.minimum(x, 0)


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
    assert Dense.gives_away and Dense.rectifies == "output" and not Dense.foreign
    assert not Shifted.gives_away and Shifted.rectifies is None and Shifted.foreign

    class Promising(BatchNorm):
        rectifies, gives_away = "output", True

    assert Promising.gives_away and Promising.rectifies == "output" and Promising.mixes_samples
