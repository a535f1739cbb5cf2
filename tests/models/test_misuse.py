"""What a model is not for: passes that do not belong together, borrowed layers, odd shapes."""

import numpy as np
import pytest

from minicnn import lanes
from minicnn.errors import ArgumentError
from minicnn.layers import Conv2d, Dense, Flatten, MaxPool2d
from minicnn.models import Sequential


def test_backward_needs_a_forward_pass_of_as_many_samples():
    shape, outputs = (2, 8, 8), 3
    model = Sequential(Conv2d(3, 3), MaxPool2d(2), Flatten(), Dense(outputs))
    model.initialize(shape)
    few, many = (lanes.pack(np.ones((n, *shape), np.float32)) for n in (10, 40))
    dy = lanes.pack(np.ones((10, outputs), np.float32))
    with pytest.raises(ArgumentError, match="1 groups .* none to go back through: call forward"):
        model.backward(dy)
    model.forward(few)
    model.forward(many)
    with pytest.raises(ArgumentError, match="1 groups .* 3 groups: call forward"):
        model.backward(dy)
    model.forward(few)
    model.predict(np.ones((4, *shape), np.float32))
    with pytest.raises(ArgumentError, match="predict nothing in between"):
        model.backward(dy)
    model.forward(few)
    model.backward(dy)
    once = [p.grad.copy() for p in model.parameters()]
    model.backward(dy)  # a second time, as far as max pooling goes, too
    for parameter, grad in zip(model.parameters(), once):
        np.testing.assert_array_equal(parameter.grad, grad)


def test_without_fusing_backward_passes_can_be_repeated():
    model = Sequential(Conv2d(3, 3), MaxPool2d(2), Flatten(), Dense(3))
    model.initialize((2, 8, 8), fuse=False)
    model.forward(lanes.pack(np.random.default_rng(0).standard_normal((10, 2, 8, 8))))
    dy = lanes.pack(np.ones((10, 3), np.float32))
    model.backward(dy)
    first = [p.grad.copy() for p in model.parameters()]
    model.backward(dy)
    np.testing.assert_equal([p.grad for p in model.parameters()], first)


def test_a_batch_of_nothing_is_refused():
    model = Sequential(Flatten(), Dense(3))
    model.initialize((2, 8, 8))
    with pytest.raises(ArgumentError, match=r"got float32 of shape \(0, 2, 8, 8, 16\)"):
        model.forward(np.zeros((0, 2, 8, 8, 16), np.float32))


def test_layers_that_went_to_another_model_are_not_computed_with():
    layers = [Flatten(), Dense(3)]
    first, second = Sequential(*layers), Sequential(*layers)
    first.initialize((2, 8, 8))
    second.initialize((1, 5, 5))
    with pytest.raises(ArgumentError, match="layers are another model's by now"):
        first.predict(np.ones((4, 2, 8, 8), np.float32))
    assert second.predict(np.ones((4, 1, 5, 5), np.float32)).shape == (4, 3)
    first.initialize((2, 8, 8))
    assert first.predict(np.ones((4, 2, 8, 8), np.float32)).shape == (4, 3)
    with pytest.raises(ArgumentError, match="layers are another model's by now"):
        second.predict(np.ones((4, 1, 5, 5), np.float32))


@pytest.mark.parametrize("shape", [(), 5, (-5,), (5.7,), (0, 28, 28), "abc", None])
def test_a_shape_that_is_none_is_named(shape):
    with pytest.raises(ArgumentError, match="tuple of integers of at least 1"):
        Sequential(Dense(3)).initialize(shape)


def test_what_a_model_is_not_for_is_said():
    model = Sequential(Dense(3))
    with pytest.raises(ArgumentError, match="call initialize"):
        model.summary()
    with pytest.raises(ArgumentError, match="model.predict"):
        model(np.ones((2, 4), np.float32))
