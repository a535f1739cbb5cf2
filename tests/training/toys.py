"""Small data sets and models for the tests of training."""

import numpy as np

from minicnn import Sequential
from minicnn.data.dataset import Dataset
from minicnn.layers import Dense, Flatten, Layer
from minicnn.layers.activations import from_string
from minicnn.optimizers import SGD
from minicnn.training.callbacks.base import Callback
from minicnn.training.trainer import Trainer

CLASSES = 3


def toy(samples=40, seed=0, classes=CLASSES, shape=(1, 4, 4)):
    """Images whose class shows in the brightness of some of their pixels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, samples)
    images = rng.random((samples, *shape), np.float32)
    images.reshape(samples, -1)[np.arange(samples), labels] += 3
    return Dataset(images, labels, classes=classes)


def dense_model(*hidden, activation="tanh", init="xavier", seed=0, shape=(1, 4, 4)):
    """Flatten, then dense layers."""
    layers = [Flatten()]
    for width in hidden:
        layers += [Dense(width, init=init), from_string(activation)]
    model = Sequential(*layers, Dense(CLASSES, init=init))
    model.initialize(shape, seed=seed)
    return model


def trainer(model=None, *, lr=0.1, train=None, test=None, **settings):
    """A trainer of small things, with batches of 16 by default."""
    model = model or dense_model(8)
    settings = {"batch_size": 16, "epochs": 2, **settings}
    optimizer = SGD(model.parameters(), lr)
    return Trainer(model, optimizer, train or toy(), test or toy(seed=1), **settings)


class At(Callback):
    """Does something at one hook, when a condition on the trainer holds."""

    def __init__(self, hook, condition, action):
        def call(trainer):
            if condition(trainer):
                action(trainer)

        setattr(self, hook, call)


class Spoil(Layer):
    """Passes its input on, but for one number from the n-th call on."""

    def __init__(self, value, calls=1, training=(True, False), lane=0):
        super().__init__()
        self.value, self.calls, self.training, self.lane = value, calls, training, lane

    def forward(self, x, y, ctx):
        self.calls -= ctx.training in self.training
        y[...] = x
        if self.calls < 1 and ctx.training in self.training:
            y[0, 0, self.lane] = self.value

    def backward(self, x, y, dy, dx, ctx):
        dx[...] = dy
