"""A network's twin: the same layers, computed sample by sample by the reference, in float64."""

import numpy as np

from minicnn import reference as ref
from minicnn.layers import (
    Activation,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    InstanceNorm2d,
    LayerNorm2d,
    LayerScale,
    MaxPool2d,
    PReLU,
    RMSNorm,
    Softplus,
    Upsample,
    ZeroPad2d,
)
from minicnn.layers.group_norm import SampleNorm
from minicnn.models import Residual, Sequential

#: Where slopes, or the value, jump; softsign's, CELU's and hardswish's slopes have kinks there.
KINKS = {
    "relu": (0,), "leaky-relu": (0,), "prelu": (0,), "elu": (0,), "selu": (0,), "relu6": (0, 6),
    "hardsigmoid": (-3, 3), "hardswish": (-3, 3),
}  # fmt: skip

SMALLEST = 1e-38  # below it float32 has fewer digits


class Twin:
    """What a model computes, by :mod:`minicnn.reference`, a sample at a time.

    Parameters
    ----------
    model : Sequential
        Initialized; its layers give the settings, its parameters the values.
    training : bool
        Whether batch normalization uses the batch's moments. Dropout must do nothing.

    Attributes
    ----------
    gradients : dict of str to ndarray
        Of each parameter by name, after `backward`.
    margin : float
        How far the input is from changing a maximum or crossing a kink: the least distance,
        as a part of the largest number of the same array.
    largest : float
        Of all layers' inputs.
    """

    def __init__(self, model, training):
        self.model, self.training = model, training
        self.gradients, self.margin, self.largest = {}, np.inf, 0.0
        self._kept = {}

    def forward(self, x):
        """Scores of the samples `x`, (N, ...)."""
        return self._forward(self.model, np.asarray(x, np.float64))

    def backward(self, delta):
        """dE/dx of dE/dy."""
        return self._backward(self.model, np.asarray(delta, np.float64))

    def _forward(self, layer, x):
        self._kept[id(layer)] = x
        self.largest = max(self.largest, abs(x).max())
        if isinstance(layer, Sequential):
            for inner in layer.layers:
                x = self._forward(inner, x)
            return x
        if isinstance(layer, Residual):
            body, *shortcut = layer.children()
            around = self._forward(shortcut[0], x) if shortcut else x
            return self._forward(body, x) + around
        if isinstance(layer, BatchNorm):
            return self._normalized(layer, x)
        if isinstance(layer, MaxPool2d):
            self._note_margin(*_lead(x, layer))
        elif isinstance(layer, Activation):
            for kink in _kinks(layer):
                self._note_margin(abs(x - kink), x)
        return np.stack([_value(layer, sample, _values(layer)) for sample in x])

    def _backward(self, layer, delta):
        x = self._kept[id(layer)]
        if isinstance(layer, Sequential):
            for inner in reversed(layer.layers):
                delta = self._backward(inner, delta)
            return delta
        if isinstance(layer, Residual):
            body, *shortcut = layer.children()
            around = self._backward(shortcut[0], delta) if shortcut else delta
            return self._backward(body, delta) + around
        if isinstance(layer, BatchNorm):
            return self._normalized_gradients(layer, x, delta)
        values = _values(layer)
        pairs = list(zip(x, delta))
        own = [_parameter_gradients(layer, sample, d) for sample, d in pairs]
        for name, parameter in layer.own_parameters().items():
            self.gradients[parameter.name] = sum(gradients[name] for gradients in own)
        return np.stack([_input_gradient(layer, sample, d, values) for sample, d in pairs])

    def _normalized(self, layer, x):
        values = _values(layer)
        if self.training:
            return ref.batch_norm(x, values["weight"], values["bias"], layer.eps)
        gamma, beta = (_per_channel(values[name], x) for name in ("weight", "bias"))
        x_hat, _ = _frozen(layer, x)
        return gamma * x_hat + beta

    def _normalized_gradients(self, layer, x, delta):
        gamma = _values(layer)["weight"]
        if self.training:
            dx, *own = ref.batch_norm_gradients(delta, x, gamma, layer.eps)
        else:
            x_hat, inverse = _frozen(layer, x)
            axes = (0, *range(2, x.ndim))
            dx = delta * _per_channel(gamma, x) * inverse
            own = [np.sum(delta * x_hat, axes), np.sum(delta, axes)]
        for parameter, gradient in zip(layer.own_parameters().values(), own):
            self.gradients[parameter.name] = gradient
        return dx

    def _note_margin(self, distances, x):
        """Numbers that float32 may flush to zero are as close to a kink as can be."""
        apart = distances[distances > 0]
        if apart.size:
            self.margin = min(self.margin, apart.min() / max(abs(x).max(), SMALLEST))


def _frozen(layer, x):
    """x_hat by the running averages, and ``1 / √(var + eps)``."""
    mean, variance = (_per_channel(array, x) for array in layer.state().values())
    inverse = 1 / np.sqrt(variance + layer.eps)
    return (x - mean) * inverse, inverse


def _per_channel(array, x):
    return array.reshape(-1, *[1] * (x.ndim - 2))


def _values(layer):
    return {name: p.value.astype(np.float64) for name, p in layer.own_parameters().items()}


def _lead(x, layer):
    """By how much the largest of each window leads the next different one, and what is pooled."""
    window = _window(layer, x[0])
    kernel_size, stride = window["kernel_size"], window["stride"] or window["kernel_size"]
    borders = ref.pool_borders(x.shape[2:], **window)
    padded = [ref.pad(sample, *borders, value=-np.inf) for sample in x]
    seen = [ref.windows(sample, kernel_size, stride, 0, layer.dilation) for sample in padded]
    seen = np.reshape(seen, (-1, np.prod(kernel_size)))
    best = np.sort(seen, axis=1)
    if best.shape[1] == 1:
        return np.ones(1), x
    lead = best[:, -1] - best[:, -2]
    # Equal numbers that are not the zeros of a ReLU may be unequal after rounding.
    return np.where((lead == 0) & (best[:, -1] != 0), np.finfo(float).tiny, lead), x


def _convolution(layer):
    return dict(
        stride=layer.stride, padding=layer.padding, dilation=layer.dilation, groups=layer.groups
    )


def _matrices(layer, x):
    """A and B of ``A x Bᵀ``, which upsampling is."""
    if layer.mode == "nearest":
        return [np.repeat(np.eye(n), s, 0) for n, s in zip(x.shape[1:], layer.scale_factor)]
    return [
        ref.bilinear_matrix(n, s, layer.align_corners)
        for n, s in zip(x.shape[1:], layer.scale_factor)
    ]


def _groups(layer):
    """How a normalization within samples is told to the reference."""
    groups = getattr(layer, "num_groups", 1)
    if isinstance(layer, InstanceNorm2d):
        groups = layer.input_shape[0]
    return {"groups": groups, "eps": layer.eps, "centred": not isinstance(layer, RMSNorm)}


def _sides(layer):
    left, right, top, bottom = layer.padding
    return (0, 0), (top, bottom), (left, right)


def _window(layer, x):
    """The settings of a pooling, as the reference takes them."""
    if isinstance(layer, (GlobalAvgPool2d, GlobalMaxPool2d)):
        kernel_size, stride, padding = x.shape[1:], None, 0
    else:
        kernel_size, stride, padding = layer.kernel_size, layer.stride, layer.padding
    window = dict(
        kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=layer.ceil_mode
    )
    if isinstance(layer, MaxPool2d):
        return {**window, "dilation": layer.dilation}
    return {**window, "count_include_pad": layer.count_include_pad}


def _activation(layer, x, values):
    """The name of an activation and its setting, as the reference takes them."""
    name = layer.function
    if isinstance(layer, PReLU):
        return name, values["weight"].reshape(-1, *[1] * (x.ndim - 1))
    if isinstance(layer, Softplus):
        return name, *layer.alpha
    return (name, layer.alpha) if name in ("leaky-relu", "elu", "celu") else (name,)


def _kinks(layer):
    """Where small changes of the input may change the gradient, or the value, by much."""
    if isinstance(layer, Softplus):
        return (layer.threshold / layer.beta,)
    return KINKS.get(layer.function, ())


def _value(layer, x, values):
    match layer:
        case Conv2d():
            return ref.correlate(x, values["weight"], values.get("bias"), **_convolution(layer))
        case ConvTranspose2d():
            bias = values.get("bias", np.zeros(layer.out_channels))[:, None, None]
            shape, settings = layer.output_shape, _convolution(layer)
            return ref.conv_input_gradient(x, values["weight"], shape, **settings) + bias
        case Upsample():
            rows, columns = _matrices(layer, x)
            return rows @ x @ columns.T
        case Dense():
            return ref.dense(x, values["weight"], values.get("bias", 0))
        case MaxPool2d():
            return ref.max_pool(x, **_window(layer, x)).reshape(layer.output_shape)
        case AvgPool2d():
            pooled = ref.average_pool(x, **_window(layer, x))
            return pooled.reshape(layer.output_shape)
        case Flatten():
            return x.ravel()
        case Dropout():
            return x
        case LayerNorm2d():
            weight, bias = values.get("weight", 1.0), values.get("bias", 0.0)
            return ref.layer_norm_2d(x, weight, bias, layer.eps)
        case SampleNorm():
            weight, bias = values.get("weight", 1.0), values.get("bias", 0.0)
            return ref.group_norm(x, weight, bias, **_groups(layer))
        case LayerScale():
            return x * values["weight"].reshape(-1, *[1] * (x.ndim - 1))
        case ZeroPad2d():
            return np.pad(x, _sides(layer))
    name, *setting = _activation(layer, x, values)
    return ref.activation(name, x, *setting)


def _input_gradient(layer, x, delta, values):
    match layer:
        case Conv2d():
            weight = values["weight"]
            return ref.conv_input_gradient(delta, weight, x.shape, **_convolution(layer))
        case ConvTranspose2d():
            return ref.correlate(delta, values["weight"], **_convolution(layer))
        case Upsample():
            rows, columns = _matrices(layer, x)
            return rows.T @ delta @ columns
        case Dense():
            return ref.dense_input_gradient(delta, values["weight"])
        case MaxPool2d():
            delta = delta.reshape(len(x), *delta.shape[1:] or (1, 1))
            return ref.max_pool_gradient(delta, x, **_window(layer, x))
        case AvgPool2d():
            delta = delta.reshape(len(x), *delta.shape[1:] or (1, 1))
            return ref.average_pool_gradient(delta, x.shape, **_window(layer, x))
        case Flatten():
            return delta.reshape(x.shape)
        case Dropout():
            return delta
        case LayerNorm2d():
            gamma = values.get("weight", 1.0)
            return ref.layer_norm_2d_gradients(delta, x, gamma, layer.eps)[0]
        case SampleNorm():
            return ref.group_norm_gradients(delta, x, values.get("weight", 1.0), **_groups(layer))[
                0
            ]
        case LayerScale():
            return delta * values["weight"].reshape(-1, *[1] * (x.ndim - 1))
        case ZeroPad2d():
            left, _, top, _ = layer.padding
            return delta[:, top : top + x.shape[1], left : left + x.shape[2]]
    name, *setting = _activation(layer, x, values)
    return ref.activation_gradient(name, x, delta, *setting)


def _parameter_gradients(layer, x, delta):
    own = {name: p.value.shape for name, p in layer.own_parameters().items()}
    match layer:
        case Conv2d():
            weight = ref.conv_weight_gradient(delta, x, own["weight"], **_convolution(layer))
            return {"weight": weight, "bias": ref.conv_bias_gradient(delta)}
        case ConvTranspose2d():
            weight = ref.conv_weight_gradient(x, delta, own["weight"], **_convolution(layer))
            return {"weight": weight, "bias": ref.conv_bias_gradient(delta)}
        case Dense():
            return {"weight": ref.dense_weight_gradient(delta, x), "bias": delta}
        case LayerNorm2d() if own:
            _, *sums = ref.layer_norm_2d_gradients(delta, x, 1.0, layer.eps)
            return dict(zip(("weight", "bias"), sums))
        case SampleNorm() if own:
            gamma = np.ones(own["weight"])
            _, *sums = ref.group_norm_gradients(delta, x, gamma, **_groups(layer))
            return dict(zip(("weight", "bias"), sums))
        case LayerScale():
            return {"weight": (delta * x).reshape(len(x), -1).sum(axis=1)}
        case PReLU():
            slopes = ref.prelu_slope_gradient(x, delta)
            return {"weight": slopes if layer.per_channel else slopes.sum(keepdims=True)}
    return {}
