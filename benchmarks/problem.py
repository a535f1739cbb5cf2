"""The problem that all contestants solve: one model, its first weights, and some data.

A model is described layer by layer in plain JSON, so that another framework can build its
twin without importing our layers; the arrays go beside it in one file.
"""

import json

import numpy as np

from minicnn.models import Sequential, zoo

CLASSES = 10
#: The settings of each kind of layer, as its attributes are called.
SETTINGS = {
    "Conv2d": (
        "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias",
    ),
    "ConvTranspose2d": (
        "out_channels", "kernel_size", "stride", "padding", "output_padding", "groups", "bias",
        "dilation",
    ),
    "Dense": ("out_features", "bias"),
    "MaxPool2d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "AvgPool2d": ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
    "BatchNorm": ("eps", "momentum"),
    "GroupNorm": ("num_groups", "eps", "affine"),
    "InstanceNorm2d": ("eps", "affine"),
    "LayerNorm": ("eps", "elementwise_affine"),
    "LayerNorm2d": ("eps", "affine"),
    "RMSNorm": ("eps", "elementwise_affine"),
    "LayerScale": ("init",),
    "Dropout": ("p",),
    "Dropout2d": ("p",),
    "ZeroPad2d": ("padding",),
    "LeakyReLU": ("alpha",),
    "PReLU": ("slope", "per_channel"),
    "ELU": ("alpha",),
    "CELU": ("alpha",),
    "GELU": ("approximate",),
    "Softplus": ("beta", "threshold"),
    "Upsample": ("scale_factor", "mode", "align_corners"),
    "Flatten": ("start_dim",),
    "Branches": ("join",),
}  # fmt: skip


def input_shape(name):
    """(C, H, W): MNIST's images, or CIFAR's for the nets that were made for them."""
    colour = (
        "vgg", "resnet", "densenet", "inception", "alexnet", "mobilenet", "googlenet", "convnext",
    )  # fmt: skip
    return (3, 32, 32) if name.startswith(colour) else (1, 28, 28)


def build(name, init="msra", seed=0, shape=None, algorithm="auto"):
    """The model of that name, with weights."""
    model = zoo.build(name, CLASSES, init=init, algorithm=algorithm)
    model.initialize(shape or input_shape(name), seed)
    return model


def settings(layer):
    """What makes this layer what it is, by the name of the attribute."""
    return {name: getattr(layer, name) for name in SETTINGS.get(type(layer).__name__, ())}


def describe(layer):
    """A layer and those inside it as plain data: kind, settings, input shape, parameters."""
    return {
        "kind": "Sequential" if isinstance(layer, Sequential) else type(layer).__name__,
        "input_shape": layer.input_shape,
        "settings": settings(layer),
        "parameters": {own: p.name for own, p in layer.own_parameters().items()},
        "layers": [describe(child) for child in layer.children()],
    }


def training_flops(model):
    """Floating-point operations of a training step, for one image, whatever the algorithm."""
    return sum(layer.training_flops() for layer in model.all_layers())


def write(folder, name, model, algorithm="auto", init="msra", **arrays):
    """Write the description, the weights and some more arrays into a folder.

    Parameters
    ----------
    folder : Path
    name : str
        The model's, as the zoo knows it.
    model : Sequential
        Initialized.
    algorithm : str
        Of minicnn's convolutions.
    init : str
        Which some architectures depend on.
    **arrays : ndarray
    """
    about = {
        "model": name,
        "algorithm": algorithm,
        "init": init,
        "input_shape": model.input_shape,
        "layers": describe(model),
    }
    (folder / "problem.json").write_text(json.dumps(about))
    np.savez(folder / "weights.npz", **model.state_dict())
    np.savez(folder / "arrays.npz", **arrays)


def random_batches(shape, batch_size, seed=0):
    """Batches of normal pixels with random classes: enough that no cache holds them all.

    Returns
    -------
    dict
        ``images`` of shape (batches, batch_size, C, H, W), float32, and ``labels`` of shape
        (batches, batch_size), int64.
    """
    rng = np.random.default_rng(seed)
    count = max(2, min(8, 1024 // batch_size))
    images = rng.standard_normal((count, batch_size, *shape), np.float32)
    return {"images": images, "labels": rng.integers(0, CLASSES, (count, batch_size))}
