"""What the experiments on zero weights share: their network and its training."""

import numpy as np

from minicnn import Sequential, lanes, optimizers
from minicnn.layers import Dense
from minicnn.layers.activations import from_string
from minicnn.losses import SoftmaxCrossEntropy


def network(zero, activation, width, classes):
    """Dense layers in float64, those that `zero` marks of zeros, the others of Xavier's weights."""
    layers = []
    for number, empty in enumerate(zero, 1):
        features = classes if number == len(zero) else width
        layers.append(Dense(features, init="zeros" if empty else "xavier"))
        if number < len(zero):
            layers.append(from_string(activation))
    model = Sequential(*layers)
    model.initialize((width,), seed=0, dtype=np.float64)
    return model


def weights_of(model):
    """The parameters that are weights, in order."""
    return [parameter for parameter in model.parameters() if parameter.decay]


def train(model, samples, surplus, steps, lr):
    """Train on one batch of noise by SGD; yield each step, from 1, once it has its gradients.

    The last class has more samples than the others: it takes those of `surplus` more classes.
    """
    rng = np.random.default_rng(0)
    classes = model.output_shape[0]
    x = rng.normal(size=(samples, *model.input_shape))
    labels = np.minimum(rng.integers(0, classes + surplus, samples), classes - 1)
    optimizer = optimizers.create("sgd", model.parameters(), lr=lr)
    loss, packed = SoftmaxCrossEntropy(), lanes.pack(x, np.float64)
    for step in range(1, steps + 1):
        _, delta = loss(model.forward(packed, True, samples), labels)
        model.backward(delta)
        yield step
        optimizer.step()
