"""The twin of a minicnn model in PyTorch, built from its description."""

import torch
from torch import nn


class Residual(nn.Module):
    """``body(x) + shortcut(x)``; without a shortcut, the identity."""

    def __init__(self, body, shortcut=None):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


class Branches(nn.Module):
    """Modules side by side, joined along the channels, added or multiplied."""

    def __init__(self, branches, join):
        super().__init__()
        self.branches, self.join = nn.ModuleList(branches), join

    def forward(self, x):
        parts = [branch(x) for branch in self.branches]
        if self.join == "multiply":
            signal, gate = parts
            missing = [1] * (signal.ndim - gate.ndim)
            return signal * gate.reshape(*gate.shape, *missing)
        return torch.cat(parts, dim=1) if self.join == "concat" else sum(parts[1:], parts[0])


class Scalar(nn.Module):
    """One learned number, which everything is multiplied by, or that is added."""

    def __init__(self, multiplies):
        super().__init__()
        self.scalar, self.multiplies = nn.Parameter(torch.zeros(1)), multiplies

    def forward(self, x):
        return x * self.scalar if self.multiplies else x + self.scalar


class LayerNorm2d(nn.LayerNorm):
    """The channels of each pixel, normalized."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Factors(nn.Module):
    """A learned factor for each channel."""

    def __init__(self, shape, init):
        super().__init__()
        self.weight = nn.Parameter(torch.full((shape[0],), init))

    def forward(self, x):
        return x * self.weight.reshape(-1, *[1] * (x.ndim - 2))


def _conv(shape, inner, out_channels, kernel_size, **settings):
    return nn.Conv2d(shape[0], out_channels, kernel_size, **settings)


def _dense(shape, inner, out_features, bias):
    return nn.Linear(shape[0], out_features, bias=bias)


def _batch_norm(shape, inner, **settings):
    return (nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(shape[0], **settings)


def _prelu(shape, inner, slope, per_channel):
    return nn.PReLU(shape[0] if per_channel else 1, init=slope)


def _upsample(shape, inner, scale_factor, mode, align_corners):
    corners = align_corners if mode == "bilinear" else None
    return nn.Upsample(scale_factor=tuple(scale_factor), mode=mode, align_corners=corners)


#: Each takes the input shape, the modules inside, and the layer's settings.
TWINS = {
    "Sequential": lambda shape, inner: nn.Sequential(*inner),
    "Residual": lambda shape, inner: Residual(*inner),
    "Branches": lambda shape, inner, join: Branches(inner, join),
    "Upsample": _upsample,
    "Conv2d": _conv,
    "ConvTranspose2d": lambda shape, inner, **settings: nn.ConvTranspose2d(shape[0], **settings),
    "Dense": _dense,
    "BatchNorm": _batch_norm,
    "MaxPool2d": lambda shape, inner, **settings: nn.MaxPool2d(**settings),
    "AvgPool2d": lambda shape, inner, **settings: nn.AvgPool2d(**settings),
    "GlobalAvgPool2d": lambda shape, inner: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "GlobalMaxPool2d": lambda shape, inner: nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten()),
    "Flatten": lambda shape, inner, start_dim: nn.Flatten(start_dim),
    "GroupNorm": lambda shape, inner, num_groups, **settings: nn.GroupNorm(
        num_groups, shape[0], **settings
    ),
    "InstanceNorm2d": lambda shape, inner, **settings: nn.InstanceNorm2d(shape[0], **settings),
    "LayerNorm": lambda shape, inner, **settings: nn.LayerNorm(shape, **settings),
    "LayerNorm2d": lambda shape, inner, eps, affine: LayerNorm2d(shape[0], eps, affine),
    "RMSNorm": lambda shape, inner, **settings: nn.RMSNorm(shape, **settings),
    "LayerScale": lambda shape, inner, init: Factors(shape, init),
    "Dropout": lambda shape, inner, p: nn.Dropout(p),
    "Dropout2d": lambda shape, inner, p: nn.Dropout2d(p),
    "ZeroPad2d": lambda shape, inner, padding: nn.ZeroPad2d(tuple(padding)),
    # In place, as PyTorch's own models have it: faster, and right unless it is the very first
    # layer of a model or of a residual body.
    "ReLU": lambda shape, inner: nn.ReLU(inplace=True),
    "LeakyReLU": lambda shape, inner, alpha: nn.LeakyReLU(alpha),
    "PReLU": _prelu,
    "ELU": lambda shape, inner, alpha: nn.ELU(alpha),
    "SELU": lambda shape, inner: nn.SELU(),
    "CELU": lambda shape, inner, alpha: nn.CELU(alpha),
    "GELU": lambda shape, inner, approximate: nn.GELU(approximate),
    "SiLU": lambda shape, inner: nn.SiLU(),
    "Mish": lambda shape, inner: nn.Mish(),
    "Softplus": lambda shape, inner, **settings: nn.Softplus(**settings),
    "ReLU6": lambda shape, inner: nn.ReLU6(inplace=True),
    "Hardswish": lambda shape, inner: nn.Hardswish(),
    "Hardsigmoid": lambda shape, inner: nn.Hardsigmoid(),
    "Softmax": lambda shape, inner: nn.Softmax(dim=1),
    "LogSoftmax": lambda shape, inner: nn.LogSoftmax(dim=1),
    "Sigmoid": lambda shape, inner: nn.Sigmoid(),
    "Tanh": lambda shape, inner: nn.Tanh(),
    "Softsign": lambda shape, inner: nn.Softsign(),
    "Scale": lambda shape, inner: Scalar(True),
    "Shift": lambda shape, inner: Scalar(False),
    "Identity": lambda shape, inner: nn.Identity(),
}


def build(description, weights):
    """The twin of a described model, with the same weights.

    Parameters
    ----------
    description : dict
        As :func:`benchmarks.problem.describe` made it.
    weights : mapping of str to ndarray
        By the names that the description gives the parameters.

    Returns
    -------
    module : torch.nn.Module
    named : dict of str to torch.nn.Parameter
        By the same names.
    """
    named = {}
    module = _build(description, named)
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(torch.from_numpy(weights[name]))
    return module, named


def _build(layer, named):
    if layer["kind"] not in TWINS:
        raise ValueError(f"PyTorch's twin of {layer['kind']} is missing in torch_twin.py")
    inner = [_build(child, named) for child in layer["layers"]]
    module = TWINS[layer["kind"]](layer["input_shape"], inner, **layer["settings"])
    for own, name in layer["parameters"].items():
        named[name] = getattr(module, own)
    return module
