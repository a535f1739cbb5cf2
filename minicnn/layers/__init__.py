"""The layers: each an equation forwards and one backwards."""

from minicnn.hints.habits import no_such_name
from minicnn.layers.activations import (
    ELU,
    GELU,
    SELU,
    Activation,
    Identity,
    LeakyReLU,
    PReLU,
    ReLU,
    Sigmoid,
    Softsign,
    Tanh,
)
from minicnn.layers.base import Layer
from minicnn.layers.conv import Conv2d
from minicnn.layers.dense import Dense
from minicnn.layers.dropout import Dropout
from minicnn.layers.norm import BatchNorm
from minicnn.layers.numpy_layer import NumpyLayer
from minicnn.layers.pool import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from minicnn.layers.shapes import Flatten, Upsample

__all__ = [
    "Activation", "AvgPool2d", "BatchNorm", "Conv2d", "Dense", "Dropout", "ELU",
    "Flatten", "GELU", "GlobalAvgPool2d", "Identity", "Layer", "LeakyReLU", "MaxPool2d",
    "NumpyLayer", "PReLU", "ReLU", "SELU", "Sigmoid", "Softsign", "Tanh", "Upsample",
]  # fmt: skip


def __getattr__(name):
    raise no_such_name("minicnn.layers", name)
