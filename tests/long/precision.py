"""Elementary functions against 50 digits: activations, their slopes, and the softmax's loss."""

import math
from itertools import product

import mpmath as mp
import numpy as np

from minicnn import lanes
from minicnn.kernels.activation import LOOPS
from minicnn.kernels.functions import SELU_ALPHA, SELU_SCALE
from minicnn.kernels.loss import softmax_cross_entropy
from minicnn.kernels.simd import gates
from tests.long.figures import Figures

TITLE = "Values and slopes of all activations, and the cross-entropy, in units in the last place"
COUNT = 1_000_000

ALLOWED = {np.float32: 2.0, np.float64: 4.0}
CLOSE = 2.0  # of either dtype, for these
CLOSELY = ("relu6", "hardsigmoid", "hardswish", "celu", "silu", "gelu-tanh", "mish", "softplus")
ALPHA, THRESHOLD = 0.7, 20.0
SETTINGS = {"softplus": (ALPHA, THRESHOLD)}  # of the others: ALPHA
ROOTS = (-0.7517915246935645, -1.2784645427610738, -0.7524614220710163, -1.1924312145154953, -1.5)
CHECKED = 300  # points of the largest errors, and others, that are computed with 50 digits
SCREENS = np.finfo(np.longdouble).nmant >= 63  # whether long double can tell which those are


def _phi(z):
    return mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)


def _cdf(z):
    return mp.mpf(z > 0) if abs(z) > 60 else mp.erfc(-z / mp.sqrt(2)) / 2


def _logistic(z):
    return 1 / (1 + mp.exp(-z)) if z > 0 else mp.exp(z) / (1 + mp.exp(z))


def _gate_slope(z, w, dw):
    """Of z s(w); the terms cancel at its root, but not 50 digits."""
    return _logistic(w) * (1 + z * _logistic(-w) * dw)


def _w(z):
    return 2 * mp.sqrt(2 / mp.pi) * (z + mp.mpf("0.044715") * z**3)


def _dw(z):
    return 2 * mp.sqrt(2 / mp.pi) * (1 + 3 * mp.mpf("0.044715") * z**2)


def _opening(z):
    """tanh(log(1 + exp(z)))."""
    if z > 200:
        return mp.mpf(1)
    n = mp.exp(z) * (mp.exp(z) + 2)
    return n / (n + 2)


def _mish_slope(z):
    if z > 200:
        return mp.mpf(1)
    e = mp.exp(z)
    n = e * (e + 2)
    return n / (n + 2) + z * 4 * e * (1 + e) / (n + 2) ** 2


#: Value and slope of z and alpha, with the digits of mpmath.
EXACT = {
    "identity": (lambda z, a: z, lambda z, a: mp.mpf(1)),
    "relu": (lambda z, a: max(z, 0), lambda z, a: mp.mpf(z > 0)),
    "leaky-relu": (lambda z, a: z if z > 0 else a * z, lambda z, a: mp.mpf(1) if z > 0 else a),
    "elu": (
        lambda z, a: z if z > 0 else a * mp.expm1(z),
        lambda z, a: mp.mpf(1) if z > 0 else a * mp.exp(z),
    ),
    "selu": (
        lambda z, a: SELU_SCALE * (z if z > 0 else SELU_ALPHA * mp.expm1(z)),
        lambda z, a: SELU_SCALE * (mp.mpf(1) if z > 0 else SELU_ALPHA * mp.exp(z)),
    ),
    "gelu": (lambda z, a: z * _cdf(z), lambda z, a: _cdf(z) + z * _phi(z)),
    "sigmoid": (
        lambda z, a: 1 / (1 + mp.exp(-z)),
        lambda z, a: mp.exp(-abs(z)) / (1 + mp.exp(-abs(z))) ** 2,
    ),
    "tanh": (lambda z, a: mp.tanh(z), lambda z, a: mp.sech(z) ** 2),
    "softsign": (lambda z, a: z / (1 + abs(z)), lambda z, a: 1 / (1 + abs(z)) ** 2),
    "relu6": (lambda z, a: min(max(z, 0), 6), lambda z, a: mp.mpf(0 < z < 6)),
    "hardsigmoid": (
        lambda z, a: min(max(z + 3, 0), 6) / mp.mpf(6),
        lambda z, a: mp.mpf(-3 < z < 3) / 6,
    ),
    "hardswish": (
        lambda z, a: z * min(max(z + 3, 0), 6) / mp.mpf(6),
        lambda z, a: mp.mpf(z >= 3) if abs(z) >= 3 else (2 * z + 3) / 6,
    ),
    "celu": (
        lambda z, a: z if z > 0 else a * mp.expm1(z / a),
        lambda z, a: mp.mpf(1) if z > 0 else mp.exp(z / a),
    ),
    "silu": (lambda z, a: z * _logistic(z), lambda z, a: _gate_slope(z, z, 1)),
    "gelu-tanh": (lambda z, a: z * _logistic(_w(z)), lambda z, a: _gate_slope(z, _w(z), _dw(z))),
    "mish": (lambda z, a: z * _opening(z), lambda z, a: _mish_slope(z)),
    "softplus": (
        lambda z, a: z if a * z > THRESHOLD else mp.log1p(mp.exp(a * z)) / a,
        lambda z, a: mp.mpf(1) if a * z > THRESHOLD else _logistic(a * z),
    ),
}


def _long(number, rest):
    return np.longdouble(number) + np.longdouble(rest)


def _quick_logistic(z):
    return np.where(z < 0, np.exp(-abs(z)), 1) / (1 + np.exp(-abs(z)))


def _quick_w(z):
    return _GELU * (z + np.longdouble("0.044715") * z**3)


def _quick_opening(z):
    n = np.exp(np.minimum(z, 40)) * (np.exp(np.minimum(z, 40)) + 2)
    return n / (n + 2)


def _quick_gate_slope(z, w, u):
    """Of u, the bracket that vanishes at the root, of -|z|."""
    below = np.exp(-abs(w)) * u / (1 + np.exp(-abs(w))) ** 2
    return np.where(z < 0, below, 1 - below)


def _quick_silu_slope(z):
    e0 = _long(gates.SILU_E, gates.SILU_E_REST)
    d = (gates.SILU_ROOT - abs(z)) + gates.SILU_ROOT_REST
    return _quick_gate_slope(z, z, d + e0 * np.expm1(d))


def _quick_gelu_slope(z):
    t, e0 = abs(z), _long(gates.GELU_E, gates.GELU_E_REST)
    root = _long(gates.GELU_ROOT, gates.GELU_ROOT_REST)
    q = np.longdouble("0.044715") * (root**2 + t * (t + root))
    away = _GELU * ((gates.GELU_ROOT - t) + gates.GELU_ROOT_REST)
    return _quick_gate_slope(z, _quick_w(z), away * (1 + 3 * q) + e0 * np.expm1(away * (1 + q)))


def _quick_mish_slope(z):
    z = np.minimum(z, 40)
    e0, e = _long(gates.MISH_E, gates.MISH_E_REST), np.exp(z)
    s, d = 1 + e, (z - gates.MISH_ROOT) - gates.MISH_ROOT_REST
    g = e0 * np.expm1(d) * (s * (s + 2 + e0) - 1 / (1 + e0)) + 4 * s * d
    return e * g / (e * (e + 2) + 2) ** 2


def _elu(z):
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def _elu_slope(z):
    return np.where(z > 0, np.longdouble(1), np.exp(np.minimum(z, 0)))


def _below(f):
    return lambda z, a: np.where(z > 0, np.longdouble(1), a) * f(z)


_GELU = 2 * np.sqrt(2 / np.longdouble("3.14159265358979323846264338327950288"))
_SCALE, _SCALED = np.longdouble(SELU_SCALE), np.longdouble(SELU_SCALE) * np.longdouble(SELU_ALPHA)

#: The same of arrays of long double; an approximation, to find the largest errors with.
QUICK = {
    "identity": (lambda z, a: z, lambda z, a: np.ones_like(z)),
    "relu": (lambda z, a: np.maximum(z, 0), lambda z, a: (z > 0) * np.longdouble(1)),
    "leaky-relu": (
        lambda z, a: np.where(z > 0, z, a * z),
        lambda z, a: np.where(z > 0, np.longdouble(1), a),
    ),
    "elu": (_below(_elu), _below(_elu_slope)),
    "selu": (
        lambda z, a: np.where(z > 0, _SCALE, _SCALED) * _elu(z),
        lambda z, a: np.where(z > 0, _SCALE, _SCALED) * _elu_slope(z),
    ),
    "sigmoid": (
        lambda z, a: np.where(z < 0, np.exp(-abs(z)), 1) / (1 + np.exp(-abs(z))),
        lambda z, a: np.exp(-abs(z)) / (1 + np.exp(-abs(z))) ** 2,
    ),
    "tanh": (
        lambda z, a: np.tanh(z),
        lambda z, a: 4 * np.exp(-2 * abs(z)) / (1 + np.exp(-2 * abs(z))) ** 2,
    ),
    "softsign": (lambda z, a: z / (1 + abs(z)), lambda z, a: 1 / (1 + abs(z)) ** 2),
    "relu6": (lambda z, a: np.clip(z, 0, 6), lambda z, a: (z > 0) * (z < 6) * np.longdouble(1)),
    "hardsigmoid": (
        lambda z, a: np.clip(z + 3, 0, 6) / 6,
        lambda z, a: (abs(z) < 3) * np.longdouble(1) / 6,
    ),
    "hardswish": (
        lambda z, a: z * np.clip(z + 3, 0, 6) / 6,
        lambda z, a: np.where(abs(z) < 3, (2 * z + 3) / 6, z >= 3),
    ),
    "celu": (
        lambda z, a: np.where(z > 0, z, a * np.expm1(np.minimum(z, 0) / a)),
        lambda z, a: np.where(z > 0, np.longdouble(1), np.exp(np.minimum(z, 0) / a)),
    ),
    "silu": (lambda z, a: z * _quick_logistic(z), lambda z, a: _quick_silu_slope(z)),
    "gelu-tanh": (lambda z, a: z * _quick_logistic(_quick_w(z)), lambda z, a: _quick_gelu_slope(z)),
    "mish": (lambda z, a: z * _quick_opening(z), lambda z, a: _quick_mish_slope(z)),
    "softplus": (
        lambda z, a: np.where(
            a * z > THRESHOLD, z, np.log1p(np.exp(np.minimum(a * z, THRESHOLD))) / a
        ),
        lambda z, a: np.where(a * z > THRESHOLD, 1, _quick_logistic(a * z)),
    ),
}


def run(count, seed=0):
    """Each function and slope at `count` points, and the loss of a hundredth as many samples.

    The points are of all sizes down to the denormal numbers, with more of them where functions
    bend, vanish, or saturate.
    """
    failures, figures = [], {}
    with mp.workdps(50):
        for name, dtype in product(EXACT, ALLOWED):
            z = points(dtype, count, np.random.default_rng([seed, np.dtype(dtype).itemsize]))
            for number, what in enumerate(("value", "slope")):
                error, at = worst(name, number, z)
                figures[f"{name}, {what}, {dtype.__name__}"] = f"{error:.3f} at {at!r}"
                if not error <= (CLOSE if name in CLOSELY else ALLOWED[dtype]):
                    failures.append(f"{name}, {what}: {error:.3f} units at {at!r}")
        for dtype in ALLOWED:
            rng = np.random.default_rng([seed, np.dtype(dtype).itemsize])
            errors = loss_errors(dtype, max(16, count // 100), rng)
            for what, error in errors.items():
                figures[f"cross-entropy, {what}, {dtype.__name__}"] = f"{error:.3f}"
                if not error <= ALLOWED[dtype]:
                    failures.append(f"cross-entropy, {what}, {dtype.__name__}: {error:.3f} units")
    return Figures(failures, figures)


def points(dtype, count, rng):
    """Finite numbers of a dtype: of all sizes, where functions bend, and in their tails."""
    info = np.finfo(dtype)
    tail = -math.log(float(info.smallest_subnormal)) + 3  # exp(-tail) is 0
    part = -(-count // 8)
    sizes = np.ldexp(
        rng.uniform(1, 2, part), rng.integers(info.minexp - info.nmant, info.maxexp - 1, part)
    )
    mixed = [
        sizes * rng.choice([-1, 1], part), rng.uniform(-tail, tail, part),
        rng.uniform(-1, 1, part), rng.uniform(-6, 6, part), rng.uniform(-15, 15, part),
        rng.uniform(-40, 40, part), rng.uniform(-1.6, -0.7, part),
        rng.choice(ROOTS, part)
        * (1 + np.ldexp(rng.uniform(-1, 1, part), -rng.integers(0, 54, part))),
    ]  # fmt: skip
    return np.concatenate(mixed)[:count].astype(dtype)


def computed(name, z):
    """Value and slope of an array, by the kernels."""
    forward, backward = LOOPS[name]
    z, alpha = z.reshape(1, 1, -1), np.array(SETTINGS.get(name, (ALPHA,)), z.dtype)
    a, slope = np.empty_like(z), np.empty_like(z)
    forward(z, a, alpha)
    backward(z, a, np.ones_like(z), slope, alpha)
    return a.reshape(-1), slope.reshape(-1)


def worst(name, number, z):
    """The largest error of a value (0) or slope (1) in units in the last place, and where."""
    got, alpha = computed(name, z)[number], z.dtype.type(ALPHA)
    chosen = np.arange(z.size)
    if SCREENS and name in QUICK:
        with np.errstate(all="ignore"):
            quick = QUICK[name][number](z.astype(np.longdouble), np.longdouble(alpha))
            errors = abs(got - quick) / _spacing(quick, z.dtype)
        chosen = np.argsort(np.where(np.isnan(errors), np.inf, errors))[-CHECKED:]
        chosen = np.concatenate([chosen, np.arange(0, z.size, -(-z.size // CHECKED))])
    f = EXACT[name][number]
    errors = [units(got[i], f(mp.mpf(float(z[i])), mp.mpf(float(alpha))), z.dtype) for i in chosen]
    at = int(np.argmax(errors))
    return errors[at], float(z[chosen[at]])


def _spacing(exact, dtype):
    """Of the numbers of a dtype beside an array of long double."""
    info = np.finfo(dtype)
    _, exponent = np.frexp(exact)
    least = info.minexp - info.nmant
    return np.ldexp(np.longdouble(1), np.maximum(exponent - info.nmant - 1, least))


def units(got, exact, dtype):
    """The error in units in the last place of the exact number, those of denormals included."""
    info = np.finfo(dtype)
    if not np.isfinite(got):  # right if the exact number rounds to it
        return (
            0.0 if abs(exact) > mp.mpf(float(info.max)) * (1 + mp.mpf(info.eps) / 4) else math.inf
        )
    exponent = int(mp.frexp(exact)[1]) if exact else -(10**6)
    unit = mp.ldexp(1, max(exponent - info.nmant - 1, info.minexp - info.nmant))
    return float(abs(mp.mpf(float(got)) - exact) / unit)


def loss_errors(dtype, samples, rng):
    """The largest errors of the loss of single samples and of its gradient, in units.

    Scores from nearly equal to as far apart as the dtype's exponential reaches, without label
    smoothing; with it, a gradient may vanish where p = q, and has no relative precision there.
    """
    classes = 10
    spread = np.exp(rng.uniform(math.log(1e-3), math.log(300), (samples, 1)))
    scores = (spread * rng.standard_normal((samples, classes))).astype(dtype)
    labels = rng.integers(0, classes, samples)
    found = {"value": 0.0, "gradient": 0.0}
    for row, label in zip(scores, labels):
        packed = lanes.pack(row[None], dtype)
        gradient = np.empty_like(packed)
        value = np.zeros(1)
        softmax_cross_entropy(packed, np.array([label]), np.zeros(1), gradient, value)
        e = [mp.exp(mp.mpf(float(s)) - mp.mpf(float(row[label]))) for s in row]
        others = mp.fsum(x for k, x in enumerate(e) if k != label)
        total = 1 + others
        found["value"] = max(found["value"], units(value[0], mp.log1p(others), dtype))
        for k in range(classes):
            exact = -others / total if k == label else e[k] / total
            found["gradient"] = max(found["gradient"], units(gradient[0, k, 0], exact, dtype))
    return found
