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
from minicnn.layers.dropout import Dropout, Dropout2d
from minicnn.layers.group_norm import GroupNorm, InstanceNorm2d, LayerNorm, RMSNorm
from minicnn.layers.norm import BatchNorm
from minicnn.layers.numpy_layer import NumpyLayer
from minicnn.layers.pixel_norm import LayerNorm2d
from minicnn.layers.pool import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from minicnn.layers.scalars import LayerScale
from minicnn.layers.shapes import Flatten, Upsample, ZeroPad2d
from minicnn.layers.softmax import LogSoftmax, Softmax

__all__ = [
    "Activation", "AvgPool2d", "BatchNorm", "CELU", "Conv2d", "ConvTranspose2d", "Dense",
    "Dropout", "Dropout2d", "ELU", "Flatten", "GELU", "GlobalAvgPool2d", "GlobalMaxPool2d",
    "GroupNorm", "Hardsigmoid", "Hardswish", "Identity", "InstanceNorm2d", "Layer", "LayerNorm",
    "LayerNorm2d", "LayerScale", "LeakyReLU", "LogSoftmax", "MaxPool2d", "Mish", "NumpyLayer",
    "PReLU", "RMSNorm", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softmax", "Softplus",
    "Softsign", "Tanh", "Upsample", "ZeroPad2d",
]  # fmt: skip


def __getattr__(name):
    raise no_such_name("minicnn.layers", name)
