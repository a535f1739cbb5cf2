"""The layers: each an equation forwards and one backwards."""

from minicnn.hints.habits import no_such_name
from minicnn.layers.activations import (
    CELU,
    ELU,
    GELU,
    SELU,
    Activation,
    Hardsigmoid,
    Hardswish,
    Identity,
    LeakyReLU,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
)
from minicnn.layers.base import Layer
from minicnn.layers.conv import Conv2d
from minicnn.layers.conv_transpose import ConvTranspose2d
from minicnn.layers.dense import Dense
from minicnn.layers.dropout import Dropout
from minicnn.layers.norm import BatchNorm
from minicnn.layers.numpy_layer import NumpyLayer
from minicnn.layers.pool import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from minicnn.layers.shapes import Flatten, Upsample
from minicnn.layers.softmax import LogSoftmax, Softmax

__all__ = [
    "Activation", "AvgPool2d", "BatchNorm", "CELU", "Conv2d", "ConvTranspose2d", "Dense", "Dropout",
    "ELU", "Flatten", "GELU", "GlobalAvgPool2d", "GlobalMaxPool2d", "Hardsigmoid", "Hardswish",
    "Identity", "Layer", "LeakyReLU", "LogSoftmax", "MaxPool2d", "Mish", "NumpyLayer", "PReLU",
    "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Softsign", "Tanh",
    "Upsample",
]  # fmt: skip


def __getattr__(name):
    raise no_such_name("minicnn.layers", name)
