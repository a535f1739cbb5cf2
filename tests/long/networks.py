"""Random networks: any layers that fit onto one another, and what is fed to them."""

import numpy as np

from minicnn.kernels import batch_norm as kernels
from minicnn.layers import (
    ELU,
    SELU,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Dropout,
    Dropout2d,
    Flatten,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    GroupNorm,
    InstanceNorm2d,
    LayerNorm,
    LayerNorm2d,
    LayerScale,
    MaxPool2d,
    NumpyLayer,
    RMSNorm,
    Sigmoid,
    Tanh,
    Upsample,
    ZeroPad2d,
    activations,
)
from minicnn.layers.views import positions
from minicnn.models import Residual, Sequential

ACTIVATIONS = (
    "relu", "relu", "relu", "leaky-relu:0.2", "prelu", "prelu:channel,-0.5", "elu:0.7", "selu",
    "gelu", "sigmoid", "tanh", "softsign", "identity", "celu:0.7", "gelu-tanh", "silu", "mish",
    "softplus:0.7,5", "relu6", "hardsigmoid", "hardswish",
)  # fmt: skip
SAMPLES = (1, 1, 2, 3, 5, 8, 15, 16, 17, 33)


def layers(rng, training):
    """The shape of one sample, and a list of layers that takes it; the last is Dense.

    For training, dropout drops nothing, so that the reference can follow.
    """
    if rng.random() < 0.2:
        shape = (int(rng.integers(1, 40)),)
        made = []
    else:
        shape = (int(rng.integers(1, 10)), *map(int, rng.integers(1, 10, 2)))
        made = _of_images(rng, shape, int(rng.integers(1, 6)), training)
        heads = GlobalAvgPool2d, GlobalMaxPool2d
        made += [heads[rng.integers(2)]() if rng.random() < 0.3 else Flatten()]
    for _ in range(rng.integers(0, 3)):
        made += _of_vectors(rng, training)
    return shape, [*made, Dense(int(rng.integers(1, 12)), bias=_mostly(rng))]


def _of_images(rng, shape, depth, training):
    """Up to `depth` layers, or small groups of them, one after the other."""
    made = []
    for _ in range(depth):
        layer = IMAGE_LAYERS[rng.integers(len(IMAGE_LAYERS))](rng, shape, training)
        shape = layer.build(shape, np.random.default_rng(0))
        made.append(layer)
        if rng.random() < 0.6:
            made.append(_activation(rng))
    return made


def _of_vectors(rng, training):
    units = int(rng.integers(1, 24))
    made = [Dense(units, bias=_mostly(rng))]
    if rng.random() < 0.3:
        made.append(BatchNorm())
    elif rng.random() < 0.3:
        made.append(_sample_norm(rng, (units,), training))
    if rng.random() < 0.3:
        made.append(_dropout(rng, None, training))
    return [*made, _activation(rng)]


def _mostly(rng):
    return bool(rng.random() < 0.8)


def _activation(rng):
    return activations.from_string(ACTIVATIONS[rng.integers(len(ACTIVATIONS))])


def _conv(rng, shape, training):
    """Any kernel, stride, padding, dilation and groups that fit."""
    groups = int(rng.choice([g for g in range(1, shape[0] + 1) if shape[0] % g == 0]))
    kernel = [int(k) for k in rng.integers(1, 5, 2)]
    dilation = [int(d) for d in rng.choice([1, 1, 2, 3], 2)]
    padding = [(int(p), int(p)) for p in rng.integers(0, 4, 2)]
    if rng.random() < 0.2:
        padding = [tuple(map(int, rng.integers(0, 4, 2))) for _ in padding]
    for axis, n in enumerate(shape[1:]):
        while n + sum(padding[axis]) < dilation[axis] * (kernel[axis] - 1) + 1:
            kernel[axis] -= 1
    stride = [int(s) for s in rng.choice([1, 1, 2, 3], 2)]
    return Conv2d(
        groups * int(rng.integers(1, 1 + max(1, 9 // groups))), tuple(kernel), groups=groups,
        stride=tuple(stride), padding=tuple(padding), dilation=tuple(dilation), bias=_mostly(rng),
    )  # fmt: skip


def _transposed(rng, shape, training):
    """Any kernel, stride, padding and groups that leave something, of images that stay small."""
    groups = int(rng.choice([g for g in range(1, shape[0] + 1) if shape[0] % g == 0]))
    kernel = [int(k) for k in rng.integers(1, 4, 2)]
    stride = _scales(rng, shape)
    padding = [int(rng.integers(0, (k + 1) // 2)) for k in kernel]
    more = [int(rng.integers(0, s)) for s in stride]
    for axis, n in enumerate(shape[1:]):
        if (n - 1) * stride[axis] - 2 * padding[axis] + kernel[axis] + more[axis] < 1:
            padding[axis] = 0
    return ConvTranspose2d(
        groups * int(rng.integers(1, 1 + max(1, 9 // groups))), tuple(kernel), stride,
        tuple(padding), tuple(more), groups, _mostly(rng),
    )  # fmt: skip


def _scales(rng, shape):
    """By how much height and width may grow: to a dozen pixels or so."""
    return tuple(int(rng.integers(1, max(1, min(3, 12 // n)) + 1)) for n in shape[1:])


def _upsample(rng, shape, training):
    """Copies, or bilinear means, of images that stay small."""
    scale = _scales(rng, shape)
    if rng.random() < 0.5:
        return Upsample(scale)
    return Upsample(scale, "bilinear", bool(rng.random() < 0.5))


def _winograd(rng, shape, training):
    """A 3x3 convolution as Winograd's algorithm takes them, in float32."""
    return Conv2d(
        int(rng.integers(1, 11)), 3, padding=int(rng.integers(1, 3)), bias=_mostly(rng),
        algorithm="winograd",
    )  # fmt: skip


def _pool(rng, shape, training):
    kernel = [int(rng.integers(1, min(3, n) + 1)) for n in shape[1:]]
    stride = [int(rng.integers(1, 4)) for _ in kernel]
    padding = [int(rng.integers(0, k // 2 + 1)) for k in kernel]
    cls = MaxPool2d if rng.random() < 0.6 else AvgPool2d
    if rng.random() < 0.4:
        return cls(tuple(kernel))
    window, ceil_mode = (tuple(kernel), tuple(stride), tuple(padding)), bool(rng.random() < 0.3)
    if cls is AvgPool2d:
        return cls(*window, ceil_mode=ceil_mode, count_include_pad=_mostly(rng))
    # With padding, dilated windows may see nothing of a small image.
    most = [3 if n > 3 * k and not p else 1 for n, k, p in zip(shape[1:], kernel, padding)]
    return cls(*window, tuple(int(rng.integers(1, d + 1)) for d in most), ceil_mode)


def _norm(rng, shape, training):
    return BatchNorm(eps=float(rng.choice([1e-5, 1e-2])))


def _sample_norm(rng, shape, training):
    """Any that fits. Groups of two numbers, equal but for rounding, would need a large eps."""
    eps, affine = float(rng.choice([1e-2, 1e-1])), _mostly(rng)
    pixels = int(np.prod(shape[1:]))
    fits = [g for g in range(1, shape[0] + 1) if not shape[0] % g and shape[0] // g * pixels > 2]
    made = [
        *(GroupNorm(g, eps=eps, affine=affine) for g in fits),
        *([InstanceNorm2d(eps=eps, affine=affine)] if pixels > 2 and len(shape) == 3 else []),
        *([LayerNorm2d(eps=eps, affine=affine)] if len(shape) == 3 and shape[0] > 2 else []),
        *([LayerNorm(eps=eps, elementwise_affine=affine)] if fits else []),
        *([RMSNorm(eps=eps, elementwise_affine=affine)] if fits else []),
        LayerScale(float(rng.choice([0.1, 1.0]))),
    ]  # fmt: skip
    return made[rng.integers(len(made))]


def _pad(rng, shape, training):
    return ZeroPad2d(tuple(int(n) for n in rng.integers(0, 3, 4)))


def _dropout(rng, shape, training):
    kinds = (Dropout,) if shape is None else (Dropout, Dropout2d)
    return kinds[rng.integers(len(kinds))](0.0 if training else 0.5)


def _residual(rng, shape, training):
    """A block that keeps the shape, or changes channels and halves the image."""
    if rng.random() < 0.6:
        channels, stride = shape[0], 1
    else:
        channels, stride = int(rng.integers(1, 10)), int(rng.integers(1, 3))
    first = Conv2d(channels, 3, padding=1, stride=stride, bias=_mostly(rng))
    body = [first, *([BatchNorm()] if rng.random() < 0.4 else []), _activation(rng)]
    if rng.random() < 0.5:
        body.append(Conv2d(channels, 3, padding=1))
    return Residual(Sequential(*body))


IMAGE_LAYERS = (
    _conv, _conv, _conv, _winograd, _winograd, _pool, _pool, _norm, _sample_norm, _sample_norm,
    _pad, _dropout, _residual, _transposed, _upsample,
)  # fmt: skip


class Noise(NumpyLayer):
    """Noise on everything that passes, forwards and backwards, as rounding makes it.

    Parameters
    ----------
    size : float
    rng : numpy.random.Generator
    of_largest : bool
        Whether it is relative to the largest number of the sample, and not to each number.
    """

    def __init__(self, size, rng, of_largest=False):
        super().__init__()
        self.size, self.rng, self.of_largest = size, rng, of_largest

    def forward(self, x):
        scale = x
        if self.of_largest:
            scale = np.abs(x).max(tuple(range(1, x.ndim)), keepdims=True)
        return x + scale * self.size * self.rng.uniform(-1, 1, x.shape)

    def backward(self, dy):
        return self.forward(dy)


class NoisyBatchNorm(BatchNorm):
    """Batch normalization whose moments are rounded, and whose dE/dx is as its terms are.

    Noise on the input alone would not do: what all samples share, the normalization takes out.
    """

    def __init__(self, plain, size, rng):
        super().__init__(eps=plain.eps, momentum=plain.momentum)
        self.size, self.rng = size, rng

    def forward(self, x, y, ctx):
        super().forward(x, y, ctx)
        if not ctx.training:
            return
        x = positions(x)
        _, (mean, variance, inverse, scale, shift) = self._arrays(x, ctx)
        noise = self.size * self.rng.uniform(-1, 1, (2, *mean.shape))
        mean += noise[0] * np.abs(x).max((0, 2, 3))
        variance *= 1 + noise[1]
        gamma, beta = self.gamma.value, self.beta.value
        kernels.factors(self._terms, variance, gamma, beta, inverse, scale, shift)
        kernels.normalize(x, mean, scale, shift, ctx.relu, positions(y))

    def backward(self, x, y, dy, dx, ctx):
        mask, (_, _, inverse, *_) = self._arrays(positions(x), ctx)
        axes = tuple(axis for axis in range(dy.ndim) if axis != 1)
        term = np.abs(self.gamma.value * inverse * np.abs(dy).max(axes))
        super().backward(x, y, dy, dx, ctx)
        noise = self.size * self.rng.uniform(-1, 1, dx.shape)
        mask = mask.reshape(len(dy), *[1] * (dy.ndim - 2), -1)
        dx += noise * mask * term.reshape(-1, *[1] * (dy.ndim - 2))


def with_noise(layers, size, rng):
    """The same layers with `Noise` before each and at the end, blocks' layers included."""
    noisy = []
    for layer in layers:
        if isinstance(layer, Residual):
            layer = Residual(Sequential(*with_noise(layer.body.layers, size, rng)))
        elif isinstance(layer, BatchNorm):
            layer = NoisyBatchNorm(layer, size, rng)
        elif isinstance(layer, (Sigmoid, Tanh, ELU, SELU)):
            layer = _noisy_slope(layer, size, rng)
        largest = isinstance(layer, Conv2d) and _may_be_winograd(layer)
        noisy += [Noise(size, rng), Noise(size, rng, largest), layer, Noise(size, rng, largest)]
    return noisy


def _may_be_winograd(conv):
    """Winograd's algorithm adds all pixels of a tile, so it rounds as the largest one."""
    simple = conv.kernel_size == (3, 3) and conv.stride == conv.dilation == (1, 1)
    return simple and conv.groups == 1 and np.max(conv.padding) <= 2


def _noisy_slope(layer, size, rng):
    """A slope 1 - a², a (1 - a) or a + alpha of a rounded output a is rounded as a is."""
    plain = layer.backward

    def backward(x, y, dy, dx, ctx):
        noise = dy * size * rng.uniform(-1, 1, dy.shape)
        plain(x, y, dy, dx, ctx)
        dx += noise

    layer.backward = backward
    return layer


def set_algorithms(layers, dtype):
    """Winograd's algorithm is for float32: where it was drawn, float64 computes directly."""
    for layer in layers:
        if isinstance(layer, Residual):
            set_algorithms(layer.body.layers, dtype)
        if isinstance(layer, Conv2d) and dtype == np.float64:
            layer.algorithm = "auto"
