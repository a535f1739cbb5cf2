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
from minicnn.layers.dropout import Dropout, Dropout2d
from minicnn.layers.group_norm import GroupNorm, InstanceNorm2d, LayerNorm, RMSNorm
from minicnn.layers.norm import BatchNorm
from minicnn.layers.numpy_layer import NumpyLayer
from minicnn.layers.pool import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from minicnn.layers.scalars import LayerScale
from minicnn.layers.shapes import Flatten, Upsample, ZeroPad2d

__all__ = [
    "Activation", "AvgPool2d", "BatchNorm", "Conv2d", "Dense", "Dropout", "Dropout2d", "ELU",
    "Flatten", "GELU", "GlobalAvgPool2d", "GroupNorm", "Identity", "InstanceNorm2d", "Layer",
    "LayerNorm", "LayerScale", "LeakyReLU", "MaxPool2d", "NumpyLayer", "PReLU", "RMSNorm", "ReLU",
    "SELU", "Sigmoid", "Softsign", "Tanh", "Upsample", "ZeroPad2d",
]  # fmt: skip


def __getattr__(name):
    raise no_such_name("minicnn.layers", name)
