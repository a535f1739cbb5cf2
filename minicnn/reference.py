"""The equations of every layer for one sample, in plain NumPy: read this first.

Nothing here is fast, nothing is clever, and it checks nothing: a line of code is a line of
mathematics. The layers compute the same on many samples at once, and the tests hold them against
this file.

A layer maps x to z. Its backward pass takes ``delta = dE/dz``, how much the loss E changes
with each output, and gives dE/dx to the layer before it, and the gradients of its own
parameters. One sample is an image ``(C, H, W)`` or a vector ``(F,)``; settings of height and
width may be an int or a pair; results have the dtype of the input.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn.errors import ArgumentError, unknown

Array = np.ndarray
Shape = Sequence[int]
Pair = int | Shape  # of height and width
Sides = Pair | Sequence[Shape]  # also of top and bottom, left and right
Stride = Pair | None  # of pooling: None lets the windows touch, stride = kernel_size


# Borders and sliding windows, of convolution and pooling.
def pad(x: Array, rows: Sequence[int], columns: Sequence[int], value: float = 0) -> Array:
    """Put `value` around images: ``rows = (above, below)``, ``columns``; negative ones crop."""
    border = [(0, 0), rows, columns]
    padded = np.pad(x, [(max(a, 0), max(b, 0)) for a, b in border], constant_values=value)
    return padded[tuple(slice(max(-a, 0), -max(-b, 0) or None) for a, b in border)]


def windows(
    x: Array,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: Sides = 0,
    dilation: Pair = 1,
    value: float = 0,
) -> Array:
    """What a sliding window sees: ``[c, i, j, u, v] = x_pad[c, s i + d u, s j + d v]``.

    Window (i, j) has kh x kw elements (u, v); x_pad is `x` with p times `value` on every side.
    It fits ``(H + 2 p - d (kh - 1) - 1) // s + 1`` times; ArgumentError if not once.
    """
    (kh, kw), (sh, sw), (dh, dw) = map(_pair, (kernel_size, stride, dilation))
    rows_around, columns_around = map(_pair, _pair(padding))
    x_pad = pad(x, rows_around, columns_around, value)
    rows = (x_pad.shape[1] - dh * (kh - 1) - 1) // sh + 1
    columns = (x_pad.shape[2] - dw * (kw - 1) - 1) // sw + 1
    if rows < 1 or columns < 1:
        raise ArgumentError(f"a window of {kernel_size} does not fit into padded {x_pad.shape}.")
    seen = np.empty((len(x), rows, columns, kh, kw), x.dtype)
    for i, j, u, v in np.ndindex(rows, columns, kh, kw):
        seen[:, i, j, u, v] = x_pad[:, sh * i + dh * u, sw * j + dw * v]
    return seen


def _pair(n):
    return (n, n) if np.ndim(n) == 0 else n


def correlate(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Pair = 1,
    padding: Sides = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """Cross-correlation, which everyone calls convolution.

    ``z[o, i, j] = b[o] + sum over c, u, v of W[o, c, u, v] x_pad[c, s i + d u, s j + d v]``

    `x` is (C_in, H, W), `w` (C_out, C_in / groups, kh, kw), `b` (C_out,), z (C_out, ., .).
    Each of the `groups` of output channels sees only its own group of input channels.
    """
    c_out, c_in, *kernel_size = w.shape
    if len(x) != c_in * groups or c_out % groups:
        raise ArgumentError(f"weights {w.shape} in {groups} groups do not fit images {x.shape}.")
    b = np.zeros(c_out, x.dtype) if b is None else b
    seen = np.split(windows(x, kernel_size, stride, padding, dilation), groups)
    z = np.empty((c_out, *seen[0].shape[1:3]), x.dtype)
    for o, i, j in np.ndindex(*z.shape):
        z[o, i, j] = b[o] + np.sum(w[o] * seen[o * groups // c_out][:, i, j])
    return z


def dilate(delta: Array, stride: Pair) -> Array:
    """Put ``s - 1`` zeros between the elements of images."""
    (sh, sw), (channels, height, width) = _pair(stride), delta.shape
    spread = np.zeros((channels, sh * (height - 1) + 1, sw * (width - 1) + 1), delta.dtype)
    spread[:, ::sh, ::sw] = delta
    return spread


def rot180(w: Array) -> Array:
    """Turn kernels by 180 degrees."""
    return w[..., ::-1, ::-1]


def trans(w: Array, groups: int = 1) -> Array:
    """Swap C_out and C_in of weights, within each group: (C_in, C_out / groups, kh, kw)."""
    c_out, c_in, kh, kw = w.shape
    by_group = w.reshape(groups, c_out // groups, c_in, kh, kw)
    return by_group.swapaxes(1, 2).reshape(groups * c_in, c_out // groups, kh, kw)


def conv_input_gradient(
    delta: Array,
    w: Array,
    input_shape: Shape,
    stride: Pair = 1,
    padding: Sides = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """``dE/dx = pad(dilate(delta)) ⋆ rot180(trans(W))``, where ⋆ is cross-correlation.

    On every side pad puts ``d (k - 1) - p`` zeros (or crops), and below and on the right as
    many more as the padded input has rows and columns which no window reached.
    """
    borders = []
    axes = zip(input_shape[1:], w.shape[2:], *map(_pair, (stride, padding, dilation)))
    for n, k, s, p, d in axes:
        before, after = _pair(p)
        unreached = (n + before + after - d * (k - 1) - 1) % s
        borders.append((d * (k - 1) - before, d * (k - 1) - after + unreached))
    delta_pad = pad(dilate(delta, stride), borders[0], borders[1])
    return correlate(delta_pad, rot180(trans(w, groups)), dilation=dilation, groups=groups)


def conv_weight_gradient(
    delta: Array,
    x: Array,
    w_shape: Shape,
    stride: Pair = 1,
    padding: Sides = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """``dE/dW[o, c, u, v] = sum over i, j of delta[o, i, j] x_pad[c, s i + d u, s j + d v]``."""
    seen = np.split(windows(x, w_shape[2:], stride, padding, dilation), groups)
    dw = np.empty(w_shape, x.dtype)
    for o, c, u, v in np.ndindex(*w_shape):
        dw[o, c, u, v] = np.sum(delta[o] * seen[o * groups // w_shape[0]][c, :, :, u, v])
    return dw


def conv_bias_gradient(delta: Array) -> Array:
    """``dE/db[o] = sum over i, j of delta[o, i, j]``."""
    return delta.sum(axis=(1, 2))


def dense(x: Array, w: Array, b: Array | float = 0) -> Array:
    """``z = W x + b``, for `x` (in,), `w` (out, in) and `b` (out,)."""
    return w @ x + b


def dense_input_gradient(delta: Array, w: Array) -> Array:
    """``dE/dx = Wᵀ delta``."""
    return w.T @ delta


def dense_weight_gradient(delta: Array, x: Array) -> Array:
    """``dE/dW = delta xᵀ``; the bias has ``dE/db = delta``."""
    return np.outer(delta, x)


def pool_borders(
    size: Shape,
    kernel_size: Pair,
    stride: Stride = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> tuple[tuple[int, int], tuple[int, int]]:
    """How many pixels pooling puts before and behind an image, along each of its two axes.

    They are p and p; with `ceil_mode` as many more behind as one more window needs which begins
    before ``H + p``.
    """
    borders = []
    settings = map(_pair, (kernel_size, stride or kernel_size, padding, dilation))
    for n, k, s, p, d in zip(size, *settings):
        extent = d * (k - 1) + 1
        missing = -(n + 2 * p - extent) % s
        begin = n + 2 * p + missing - extent
        borders.append((p, p + missing if ceil_mode and begin < n + p else p))
    rows, columns = borders
    return rows, columns


def max_pool(
    x: Array,
    kernel_size: Pair,
    stride: Stride = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Array:
    """``z[c, i, j] = max over u, v of x_pad[c, s i + d u, s j + d v]``, padded with -infinity."""
    seen = _max_windows(x, kernel_size, stride, padding, dilation, ceil_mode)
    return seen.max(axis=(3, 4))


def _max_windows(x, kernel_size, stride, padding, dilation, ceil_mode):
    """What each window sees, with -infinity outside of the image; (C, rows, columns, kh, kw)."""
    borders = pool_borders(x.shape[1:], kernel_size, stride, padding, dilation, ceil_mode)
    x_pad = pad(x, borders[0], borders[1], -np.inf)
    return windows(x_pad, kernel_size, stride or kernel_size, 0, dilation)


def max_pool_mask(
    x: Array,
    kernel_size: Pair,
    stride: Stride = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Array:
    """M: in each window 1 at the arg-max, the first of equals, and 0 elsewhere.

    ``M[c, i, j, u, v]`` belongs to window (i, j) of channel c; (C, rows, columns, kh, kw).
    """
    seen = _max_windows(x, kernel_size, stride, padding, dilation, ceil_mode)
    mask = np.zeros_like(seen)
    for c, i, j in np.ndindex(*seen.shape[:3]):
        mask[c, i, j].flat[seen[c, i, j].argmax()] = 1
    return mask


def max_pool_gradient(
    delta: Array,
    x: Array,
    kernel_size: Pair,
    stride: Stride = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Array:
    """``dE/dx = M ⊙ upsample(delta)`` with the mask of :func:`max_pool_mask`."""
    mask = max_pool_mask(x, kernel_size, stride, padding, dilation, ceil_mode)
    return masked_upsample(mask, delta, x.shape, stride, padding, dilation, ceil_mode)


def average_pool(
    x: Array,
    kernel_size: Pair,
    stride: Stride = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """``z[c, i, j] = sum over u, v of x_pad[c, s i + u, s j + v] / count``; padded with zeros.

    The count is kh kw, without the zeros of the padding if those do not count, and without what a
    window of `ceil_mode` has beyond the padding.
    """
    borders = pool_borders(x.shape[1:], kernel_size, stride, padding, ceil_mode=ceil_mode)
    count = pool_counts(x.shape, kernel_size, stride, padding, ceil_mode, count_include_pad)
    sums = windows(pad(x, borders[0], borders[1]), kernel_size, stride or kernel_size).sum(
        axis=(3, 4)
    )
    return sums / count.astype(x.dtype)


def pool_counts(
    input_shape: Shape,
    kernel_size: Pair,
    stride: Stride = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """What :func:`average_pool` divides the sum of each window by, of shape (rows, columns)."""
    borders = pool_borders(input_shape[1:], kernel_size, stride, padding, ceil_mode=ceil_mode)
    (ph, pw), inner = _pair(padding), np.ones((1, *input_shape[1:]))
    (_, below), (_, right) = borders
    counted = pad(inner, (ph, ph), (pw, pw), float(count_include_pad))
    counted = pad(counted, (0, below - ph), (0, right - pw))
    return windows(counted, kernel_size, stride or kernel_size).sum(axis=(3, 4))[0]


def average_pool_gradient(
    delta: Array,
    input_shape: Shape,
    kernel_size: Pair,
    stride: Stride = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """``dE/dx = M ⊙ upsample(delta)`` with ``M = 1 / count`` all over a window."""
    count = pool_counts(input_shape, kernel_size, stride, padding, ceil_mode, count_include_pad)
    mask = np.ones((*delta.shape, *_pair(kernel_size)), delta.dtype)
    mask /= count[:, :, None, None]
    return masked_upsample(mask, delta, input_shape, stride, padding, ceil_mode=ceil_mode)


def masked_upsample(
    mask: Array,
    delta: Array,
    input_shape: Shape,
    stride: Stride = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Array:
    """``M ⊙ upsample(delta)``: each delta over its window, times M; where windows overlap, add."""
    kernel_size, (dh, dw) = mask.shape[3:], _pair(dilation)
    (sh, sw) = _pair(stride or kernel_size)
    borders = pool_borders(input_shape[1:], kernel_size, stride, padding, dilation, ceil_mode)
    dx_pad = pad(np.zeros(input_shape, delta.dtype), borders[0], borders[1])
    for c, i, j, u, v in np.ndindex(*mask.shape):
        dx_pad[c, sh * i + dh * u, sw * j + dw * v] += mask[c, i, j, u, v] * delta[c, i, j]
    (top, below), (left, right) = borders
    return pad(dx_pad, (-top, -below), (-left, -right))


# exp of negative numbers only, so that it never overflows.
def _sigmoid(z):
    return np.where(z < 0, np.exp(-abs(z)), 1) / (1 + np.exp(-abs(z)))


def _elu(z, alpha=1.0):
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def _elu_slope(z, alpha=1.0):
    return np.where(z > 0, 1, alpha * np.exp(np.minimum(z, 0)))


def _celu(z, alpha=1.0):
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0) / alpha))


def _gate_slope(z, w, w_slope):
    """Of ``z sigmoid(w(z))``."""
    return _sigmoid(w) + z * _sigmoid(w) * _sigmoid(-w) * w_slope


def _gelu_tanh(z):
    """w, for which GELU's tanh form is ``z (1 + tanh(w / 2)) / 2``, and w'."""
    factor = 2 * math.sqrt(2 / math.pi)
    return factor * (z + 0.044715 * z**3), factor * (1 + 3 * 0.044715 * z**2)


def _softplus(z, beta=1.0, threshold=20.0):
    return np.where(beta * z > threshold, z, np.logaddexp(0, beta * z) / beta)


def _softplus_slope(z, beta=1.0, threshold=20.0):
    return np.where(beta * z > threshold, 1, _sigmoid(beta * z))


def _mish_slope(z):
    t = np.tanh(_softplus(z))
    return t + z * (1 - t**2) * _sigmoid(z)


def _hardsigmoid(z):
    return np.clip(z + 3, 0, 6) / 6


def _hardsigmoid_slope(z):
    return ((z > -3) & (z < 3)) / 6


_normal_cdf = np.vectorize(lambda z: math.erfc(-z / math.sqrt(2)) / 2, otypes=[float])
ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805  # of SELU: Klambauer et al. 2017

# sigma(z) and sigma'(z); a or alpha is a setting.
ACTIVATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "identity": (lambda z: z, lambda z: 1),
    "relu": (lambda z: np.maximum(z, 0), lambda z: z > 0),
    "leaky-relu": (
        lambda z, a=0.01: np.where(z > 0, z, a * z),
        lambda z, a=0.01: np.where(z > 0, 1, a),
    ),
    "prelu": (lambda z, a=0.25: np.where(z > 0, z, a * z), lambda z, a=0.25: np.where(z > 0, 1, a)),
    "elu": (_elu, _elu_slope),
    "selu": (lambda z: SCALE * _elu(z, ALPHA), lambda z: SCALE * _elu_slope(z, ALPHA)),
    "gelu": (
        lambda z: z * _normal_cdf(z),
        lambda z: _normal_cdf(z) + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi),
    ),
    "celu": (_celu, lambda z, alpha=1.0: np.where(z > 0, 1, np.exp(np.minimum(z, 0) / alpha))),
    "gelu-tanh": (
        lambda z: z * _sigmoid(_gelu_tanh(z)[0]),
        lambda z: _gate_slope(z, *_gelu_tanh(z)),
    ),
    "silu": (lambda z: z * _sigmoid(z), lambda z: _gate_slope(z, z, 1)),
    "mish": (lambda z: z * np.tanh(_softplus(z)), _mish_slope),
    "softplus": (_softplus, _softplus_slope),
    "relu6": (lambda z: np.clip(z, 0, 6), lambda z: (z > 0) & (z < 6)),
    "hardsigmoid": (_hardsigmoid, _hardsigmoid_slope),
    "hardswish": (
        lambda z: z * _hardsigmoid(z),
        lambda z: np.where(abs(z) < 3, z / 3 + 0.5, z >= 3),
    ),
    "sigmoid": (_sigmoid, lambda z: _sigmoid(z) * _sigmoid(-z)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2),
}


def activation(name: str, z: Array, *a: Any) -> Array:
    """``sigma(z)``, element by element.

    `a`: slope below 0 of leaky-relu (0.01) or prelu (0.25, or (C, 1, 1)), alpha of elu or celu (1);
    beta and threshold of softplus (1 and 20).
    """
    return np.asarray(_activation(name)[0](z, *a), z.dtype)


def activation_gradient(name: str, z: Array, delta: Array, *a: Any) -> Array:
    """``dE/dz = diag(sigma'(z)) delta``: the Jacobian is diagonal, so elements multiply."""
    return np.asarray(_activation(name)[1](z, *a) * delta, z.dtype)


def _activation(name):
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


def prelu_slope_gradient(z: Array, delta: Array) -> Array:
    """``dE/da = sum over z < 0 of delta z`` of each channel, (C,) (He et al. 2015)."""
    return (delta * np.minimum(z, 0)).reshape(len(z), -1).sum(axis=1)


def softmax(scores: Array) -> Array:
    """``p_k = exp(s_k) / sum over j of exp(s_j)`` over axis 0; the largest is taken off first."""
    e = np.exp(scores - scores.max(axis=0))
    return e / e.sum(axis=0)


def softmax_gradient(y: Array, delta: Array) -> Array:
    """``dE/dx = y (delta - sum over k of y_k delta_k)`` with y the softmax over axis 0."""
    return y * (delta - np.sum(y * delta, axis=0))


def log_softmax(scores: Array) -> Array:
    """``y_c = x_c - log sum over k of exp(x_k)`` over axis 0."""
    return scores - np.logaddexp.reduce(scores)


def log_softmax_gradient(y: Array, delta: Array) -> Array:
    """``dE/dx = delta - exp(y) sum over k of delta_k`` with y the logarithm of the softmax."""
    return delta - np.exp(y) * np.sum(delta, axis=0)


def smoothed_target(scores: Array, label: int, smoothing: float = 0.0) -> Array:
    """``q_k = (1 - smoothing) [k = label] + smoothing / K`` (Szegedy et al. 2016)."""
    one_hot = np.eye(len(scores), dtype=scores.dtype)[label]
    return (1 - smoothing) * one_hot + smoothing / len(scores)


def cross_entropy(scores: Array, label: int, smoothing: float = 0.0) -> float:
    """``E = - sum over k of q_k log p_k``."""
    return -np.sum(smoothed_target(scores, label, smoothing) * log_softmax(scores))


def cross_entropy_gradient(scores: Array, label: int, smoothing: float = 0.0) -> Array:
    """``dE/ds = p - q``."""
    return softmax(scores) - smoothed_target(scores, label, smoothing)


def mean_squared_error(scores: Array, target: Array) -> float:
    """``E = (1/K) sum over k of (s_k - t_k)²``."""
    return np.mean((scores - target) ** 2)


def mean_squared_error_gradient(scores: Array, target: Array) -> Array:
    """``dE/ds = 2 (s - t) / K``."""
    return 2 * (scores - target) / len(scores)


def group_norm(
    x: Array,
    gamma: Array | float = 1.0,
    beta: Array | float = 0.0,
    groups: int = 1,
    eps: float = 1e-5,
    centred: bool = True,
) -> Array:
    """``y = gamma x_hat + beta`` with ``x_hat = (x - mu) / sqrt(var + eps)``, for each group.

    Groups are equal parts of the channels of x (Wu & He 2018); gamma and beta have a number for
    each channel, or for each number of x. Without `centred` mu is 0, and var the mean square
    (Zhang & Sennrich 2019).
    """
    _, x_hat = _normalize_within(x, groups, eps, centred)
    return _beside(gamma, x) * x_hat + _beside(beta, x)


def group_norm_gradients(
    delta: Array,
    x: Array,
    gamma: Array | float = 1.0,
    groups: int = 1,
    eps: float = 1e-5,
    centred: bool = True,
) -> tuple[Array, Array, Array]:
    """dE/dx, dE/dgamma and dE/dbeta of `group_norm`, these two in the shape of gamma."""
    std, x_hat = _normalize_within(x, groups, eps, centred)
    d = (_beside(gamma, x) * delta).reshape(groups, -1)
    rows = x_hat.reshape(groups, -1)
    dx = d - rows * np.mean(d * rows, axis=1, keepdims=True)
    if centred:
        dx -= d.mean(axis=1, keepdims=True)
    axes = tuple(range(np.ndim(gamma), x.ndim))
    return (dx / std).reshape(x.shape), np.sum(delta * x_hat, axes), np.sum(delta, axes)


def layer_norm_2d(
    x: Array, gamma: Array | float = 1.0, beta: Array | float = 0.0, eps: float = 1e-6
) -> Array:
    """`group_norm` of the channels of each pixel of x, (C, H, W): ConvNeXt's (Liu et al. 2022)."""
    pixels = np.moveaxis(x, 0, -1)
    x_hat = group_norm(pixels, groups=pixels[..., 0].size, eps=eps)
    return np.moveaxis(gamma * x_hat + beta, -1, 0)


def layer_norm_2d_gradients(
    delta: Array, x: Array, gamma: Array | float = 1.0, eps: float = 1e-6
) -> tuple[Array, Array, Array]:
    """dE/dx, dE/dgamma and dE/dbeta of `layer_norm_2d`, these two of shape (C,)."""
    delta, pixels = np.moveaxis(delta, 0, -1), np.moveaxis(x, 0, -1)
    count = pixels[..., 0].size
    dx, _, _ = group_norm_gradients(gamma * delta, pixels, groups=count, eps=eps)
    d_gamma = np.sum(delta * group_norm(pixels, groups=count, eps=eps), (0, 1))
    return np.moveaxis(dx, -1, 0), d_gamma, np.sum(delta, (0, 1))


def _normalize_within(x, groups, eps, centred):
    rows = x.reshape(groups, -1)
    if centred:
        rows = rows - rows.mean(axis=1, keepdims=True)
    std = np.sqrt(np.mean(rows * rows, axis=1, keepdims=True) + eps)
    return std, (rows / std).reshape(x.shape)


def _beside(numbers, x):
    shape = np.shape(numbers)
    return np.reshape(numbers, (*shape, *[1] * (x.ndim - len(shape)))) if shape else numbers


# In batch normalization alone samples meet, so x is (N, C, H, W) or (N, F).
def batch_norm(x: Array, gamma: Array, beta: Array, eps: float = 1e-5) -> Array:
    """``y = gamma x_hat + beta`` with ``x_hat = (x - mu) / sqrt(var + eps)``, for each channel.

    mu and var are mean and biased variance over samples and positions (Ioffe & Szegedy 2015).
    """
    _, _, x_hat = _normalize(np.moveaxis(x, 1, -1), eps)
    return np.moveaxis(gamma * x_hat + beta, -1, 1)


def batch_norm_gradients(
    delta: Array, x: Array, gamma: Array, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """dE/dx, dE/dgamma and dE/dbeta (Ioffe & Szegedy 2015, §3); m values a channel.

    The paper's dE/dmu has one more term, which is 0 as x - mu sums to 0.
    """
    delta, x = np.moveaxis(delta, 1, -1), np.moveaxis(x, 1, -1)
    axes, m = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    centred, std, x_hat = _normalize(x, eps)
    d_x_hat = delta * gamma
    d_var = np.sum(d_x_hat * centred * (-1 / 2) * std**-3, axes)
    d_mu = np.sum(-d_x_hat / std, axes)
    dx = d_x_hat / std + d_var * 2 * centred / m + d_mu / m
    return np.moveaxis(dx, -1, 1), np.sum(delta * x_hat, axes), np.sum(delta, axes)


def _normalize(x, eps):
    axes = tuple(range(x.ndim - 1))
    centred, std = x - x.mean(axes), np.sqrt(x.var(axes) + eps)
    return centred, std, centred / std


def bilinear_matrix(n: int, scale: int, align_corners: bool = False) -> Array:
    """``A[i, m] = max(0, 1 - |r_i - m|)``: upsampling an axis of n pixels is ``A x``.

    r_i is ``(i + 1/2) / s - 1/2`` within the image or, with `align_corners`,
    ``i (n - 1) / (s n - 1)``. An image becomes ``A x Bᵀ``, and its gradient is ``Aᵀ delta B``.
    """
    i = np.arange(scale * n)
    place = i * (n - 1) / max(1, scale * n - 1) if align_corners else (i + 0.5) / scale - 0.5
    place = np.clip(place, 0, n - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(n)))
