"""Recipes of networks: lists of layers that share one activation and one initializer.

Each is written for any input size and number of classes. Those with a setting `small` have two
forms: one for images of 224×224, and one for images of 28×28 to 64×64, which shrinks them later.
:mod:`minicnn.models.zoo` knows all by name.
"""

from minicnn.models.architectures.chains import convnet, lenet5, mlp, mnist_example, plain, quick
from minicnn.models.architectures.convnext import convnext_tiny
from minicnn.models.architectures.densenet import densenet, densenet121
from minicnn.models.architectures.inception import googlenet, inception
from minicnn.models.architectures.mobilenet import mobilenetv2
from minicnn.models.architectures.parts import MOST_LAYERS, MOST_WIDTH, Parts
from minicnn.models.architectures.resnet import quick_resnet, resnet, resnet18, resnet34
from minicnn.models.architectures.unet import unet, unet_large
from minicnn.models.architectures.vgg import alexnet, vgg11, vgg11_bn, vgg16, vgg16_bn, vgg_small

__all__ = [
    "MOST_LAYERS", "MOST_WIDTH", "Parts", "alexnet", "convnet", "convnext_tiny", "densenet",
    "densenet121", "googlenet", "inception", "lenet5", "mlp", "mnist_example", "mobilenetv2",
    "plain", "quick", "quick_resnet", "resnet", "resnet18", "resnet34", "unet", "unet_large",
    "vgg11", "vgg11_bn", "vgg16", "vgg16_bn", "vgg_small",
]  # fmt: skip
