"""Initializers: the numbers that weights and biases start from.

``initializer(shape, fans, rng, dtype)`` draws an array. The layer supplies the fans: it alone
knows its layout and groups. ``mean(fans, shape)`` and ``variance(fans, shape)`` are what the
initializer promises, E[w] and E[(w - E[w])²] over the elements; how a signal passes a layer
depends on E[w²] = variance + mean².

On the command line an initializer is a string: its name, then after a colon its settings as
``key=value`` or as values alone, each for the first free setting that takes such a value:
``normal:0.01``, ``uniform:-0.05,0.05``, ``xavier:normal``, ``msra:fan_out,uniform``,
``msra:slope=0.25``, ``orthogonal:gain=relu``. ``str(initializer)`` gives the string back.

Examples
--------
>>> round(from_string("msra").variance(Fans(fan_in=25, fan_out=150)) ** 0.5, 4)
0.2828
"""

import math
import numbers
from dataclasses import dataclass, fields
from typing import ClassVar, NamedTuple

import numpy as np

from minicnn.errors import ArgumentError, unknown

GAINS = {
    "linear": 1.0, "identity": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2),
    "selu": 0.75,
}  # fmt: skip
SLOPES = {"leaky-relu": 0.01, "prelu": 0.25}
TRUNCATED_STD = 0.87962566103423978  # of N(0, 1) cut at ±2
WORDS = {  # the settings that take words
    "mode": ("fan_in", "fan_out", "fan_avg"),
    "distribution": ("normal", "uniform", "truncated-normal"),
    "gain": (*GAINS, *SLOPES),
}
SIGNED = ("value", "mean", "low", "high", "slope")  # the numbers that may be below 0


class Fans(NamedTuple):
    """How many inputs feed one output of a layer, and how many outputs one input feeds.

    Dense: the numbers of inputs and outputs. Convolution: ``C_in / groups * kh * kw`` and
    ``C_out / groups * kh * kw``.
    """

    fan_in: float
    fan_out: float


def gain(activation, slope=None):
    """Factor on the standard deviation that makes up for an activation; PyTorch's table.

    sqrt(2) for relu and sqrt(2 / (1 + a²)) for leaky-relu and prelu with slope a are exactly
    1 / sqrt(E[f(z)²]) for z of N(0, 1): the second moment survives the activation f. For
    sigmoid, tanh and selu the customary 1, 5/3 and 3/4 stand where that rule would give
    1.846, 1.593 and 1. For linear and identity 1.

    Parameters
    ----------
    activation : str
    slope : float, optional
        Of leaky-relu (0.01 if not given) or prelu (0.25, where training starts).

    Raises
    ------
    ArgumentError
        For an unknown name, or a slope that is no finite number or has no use.
    """
    if activation in GAINS and slope is None:
        return GAINS[activation]
    if activation in SLOPES:
        a = SLOPES[activation] if slope is None else slope
        if _finite(a):
            return math.sqrt(2 / (1 + a * a))
    elif activation not in GAINS:
        raise unknown("activation", activation, [*GAINS, *SLOPES])
    raise ArgumentError(
        f"gain of {activation} with slope {slope!r}: only {' and '.join(SLOPES)} have a slope,"
        " a finite number."
    )


class Initializer:
    """Base of all initializers, immutable and comparable.

    A subclass is a frozen dataclass with a `name`, whose settings have defaults, floats where
    they are numbers. ``_moments(fans, shape)`` gives the mean and variance that it promises,
    ``_draw(shape, fans, rng)`` the array; without, it is drawn by `distribution`.
    """

    def __post_init__(self):
        for key, field in _settings(self).items():
            value = getattr(self, field.name)
            if not _takes(key, field, value):
                raise self._error(f"{key} must be {_expected(key, field)}, got {value!r}.")
            value = value if isinstance(value, str) else float(value)
            object.__setattr__(self, field.name, value)

    def __call__(self, shape, fans, rng, dtype=np.float32):
        """Draw an array.

        Parameters
        ----------
        shape : tuple of int
            ``(out, in)``, ``(C_out, C_in / groups, kh, kw)``, or ``(out,)`` for a bias.
        fans : Fans
            Of the layer.
        rng : numpy.random.Generator
        dtype : dtype
            float32 or float64; drawn in float64, so that both agree to rounding.

        Returns
        -------
        ndarray
            C-contiguous.

        Raises
        ------
        ArgumentError
            For another dtype, a shape or fans that this initializer cannot serve, or settings
            so large that the numbers overflow.
        """
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise self._error(f"dtype must be float32 or float64, got {dtype}.")
        with np.errstate(over="ignore", invalid="ignore"):
            values = self._draw(tuple(shape), fans, rng).astype(dtype, order="C", copy=False)
        if not np.isfinite(values).all():
            raise self._error(f"the numbers overflow {values.dtype}: use smaller settings.")
        return values

    def mean(self, fans, shape=None):
        """The mean that it promises, E[w] over the elements; arguments as for `variance`."""
        return self._moments(fans, shape)[0]

    def variance(self, fans, shape=None):
        """The variance that it promises, E[(w - E[w])²] over the elements.

        `shape` is needed by orthogonal, delta-orthogonal and identity, which raise
        ArgumentError without it.
        """
        return self._moments(fans, shape)[1]

    def _draw(self, shape, fans, rng):
        mean, variance = self._moments(fans, shape)
        return mean + math.sqrt(variance) * _unit_sample(self.distribution, shape, rng)

    def __str__(self):
        """The string that `from_string` reads: settings that are not the default."""
        bare, named = [], []
        for key, field in _settings(self).items():
            value = getattr(self, field.name)
            if key in ("mean", "gain", "slope"):
                named += [f"{key}={value}"] * (value != field.default)
            elif value != field.default or isinstance(value, float):  # numbers always tell
                bare.append(str(value))
        return ":".join([self.name, ",".join(bare + named)]) if bare + named else self.name

    def _error(self, message):
        return ArgumentError(f"initializer {self.name}: {message}")

    def _matrix(self, shape):
        """Rows and columns of a weight as a matrix, out x rest."""
        if shape is None or len(shape) < 2 or min(shape) < 1:
            raise self._error(
                "needs the shape of a weight, (out, in) or (C_out, C_in / groups, kh, kw),"
                f" got {shape}."
            )
        return shape[0], math.prod(shape[1:])

    def _blocks(self, fans, shape):
        """A weight's groups, channels out and in of one group, and kernel area."""
        outputs, area = self._matrix(shape)[0], math.prod(shape[2:])
        for groups in range(1, outputs + 1):
            if groups * fans.fan_out == outputs * area and outputs % groups == 0:
                return groups, outputs // groups, shape[1], area
        raise self._error(f"{fans} cannot be the fans of a weight of shape {shape}.")


@dataclass(frozen=True)
class Constant(Initializer):
    """w = value everywhere: all units of a layer stay tied. Promises variance 0."""

    value: float = 0.1
    name = "constant"

    def _moments(self, fans, shape):
        return self.value, 0.0

    def _draw(self, shape, fans, rng):
        return np.full(shape, self.value)


@dataclass(frozen=True)
class Zeros(Constant):
    """w = 0: right for a bias; a network whose weights are all 0 never learns."""

    value: ClassVar[float] = 0.0
    name = "zeros"


@dataclass(frozen=True)
class Ones(Constant):
    """w = 1: right for the scale of a normalization."""

    value: ClassVar[float] = 1.0
    name = "ones"


@dataclass(frozen=True)
class Normal(Initializer):
    """w of N(mean, std²), whatever the fans. The mean is ``mean=`` in strings."""

    std: float = 0.01
    mean_: float = 0.0
    name = distribution = "normal"

    def _moments(self, fans, shape):
        return self.mean_, self.std * self.std


@dataclass(frozen=True)
class TruncatedNormal(Normal):
    """w of a normal distribution that is cut at two of its own standard deviations.

    `std` is what remains after the cut: before it the distribution has std / 0.8796.
    """

    std: float = 0.02
    name = distribution = "truncated-normal"


@dataclass(frozen=True)
class Uniform(Initializer):
    """w of U(low, high), whatever the fans: Var w = (high - low)² / 12."""

    low: float = -0.05
    high: float = 0.05
    name = "uniform"

    def __post_init__(self):
        super().__post_init__()
        if self.low > self.high:
            raise self._error(f"low must not be above high, got {self.low} and {self.high}.")

    def _moments(self, fans, shape):
        width = self.high - self.low
        return (self.low + self.high) / 2, width * width / 12

    def _draw(self, shape, fans, rng):
        return self.low + (self.high - self.low) * rng.random(shape)


@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """Var w = scale / fan, mean 0.

    Parameters
    ----------
    scale : float
        At least 0.
    mode : str
        Which fan: ``fan_in``, ``fan_out``, or ``fan_avg``, the average of both.
    distribution : str
        ``normal``, ``uniform`` (on ±sqrt(3 Var w)) or ``truncated-normal`` (as
        `TruncatedNormal`), all with this variance.
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "normal"
    name = "variance-scaling"

    def _moments(self, fans, shape):
        n, m = fans
        fan = {"fan_in": n, "fan_out": m, "fan_avg": (n + m) / 2}[self.mode]
        if not 0 < fan < math.inf:
            raise self._error(f"{self.mode} must be a number above 0, got {fan}.")
        return 0.0, self.scale / fan


@dataclass(frozen=True)
class Xavier(VarianceScaling):
    """Var w = 2 gain² / (fan_in + fan_out); uniform unless said otherwise.

    Keeps the variance of signals forward and of gradients backward, as far as one number can
    do both, while the activation is close to linear. `gain` is a number or the name of an
    activation. Glorot & Bengio, *Understanding the difficulty of training deep feedforward
    neural networks*, AISTATS 2010, Eq. 12 and 16.
    """

    scale: ClassVar[float] = property(lambda self: _factor(self.gain) * _factor(self.gain))
    mode: ClassVar[str] = "fan_avg"
    distribution: str = "uniform"
    gain: float = 1.0
    name = "xavier"


@dataclass(frozen=True)
class MSRA(VarianceScaling):
    """Var w = 2 / ((1 + a²) fan_in) with a = `slope`; normal unless said otherwise.

    Keeps the second moment of signals through ReLU (a = 0) or PReLU of slope a; with mode
    ``fan_out`` that of gradients on their way back. He, Zhang, Ren & Sun, *Delving deep into
    rectifiers*, ICCV 2015 (arXiv 1502.01852), Eq. 10, 14 and 15.
    """

    scale: ClassVar[float] = property(lambda self: 2 / (1 + self.slope * self.slope))
    slope: float = 0.0
    name = "msra"


@dataclass(frozen=True)
class LeCun(VarianceScaling):
    """Var w = 1 / fan_in; normal unless said otherwise.

    Unit variance stays unit variance through a linear layer. LeCun, Bottou, Orr & Müller,
    *Efficient BackProp*, 1998, Eq. 16; for SELU, Klambauer et al. 2017 (arXiv 1706.02515).
    """

    scale: ClassVar[float] = 1.0
    mode: ClassVar[str] = "fan_in"
    name = "lecun"


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """W Wᵀ = gain² I, or Wᵀ W = gain² I if W is tall, for W as the matrix out x rest.

    W is uniform among such matrices. The squares of its elements sum to gain² min(out, rest),
    so Var w = gain² / max(out, rest). `gain` is a number or the name of an activation. Saxe,
    McClelland & Ganguli, *Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks*, ICLR 2014 (arXiv 1312.6120).
    """

    gain: float = 1.0
    name = "orthogonal"

    def _moments(self, fans, shape):
        factor = _factor(self.gain)
        return 0.0, factor * factor / max(self._matrix(shape))

    def _draw(self, shape, fans, rng):
        return _factor(self.gain) * _orthogonal(*self._matrix(shape), rng).reshape(shape)


@dataclass(frozen=True)
class DeltaOrthogonal(Orthogonal):
    """For each group an orthogonal matrix at the kernel's centre, and 0 elsewhere.

    Needs C_out >= C_in; with stride 1 and padding k // 2 the layer then keeps norms, times
    gain. A dense weight is as by `Orthogonal`. Xiao et al., *Dynamical isometry and a mean
    field theory of CNNs*, ICML 2018 (arXiv 1806.05393).
    """

    name = "delta-orthogonal"

    def _moments(self, fans, shape):
        _, outputs, inputs, area = self._blocks(fans, shape)
        if len(shape) > 2 and outputs < inputs:
            raise self._error(
                f"needs at least as many output as input channels in each group, got {outputs}"
                f" and {inputs}; use orthogonal here."
            )
        factor = _factor(self.gain)
        return 0.0, factor * factor / (max(outputs, inputs) * area)

    def _draw(self, shape, fans, rng):
        self._moments(fans, shape)
        groups, outputs, inputs, _ = self._blocks(fans, shape)
        blocks = [_orthogonal(outputs, inputs, rng) for _ in range(groups)]
        return _factor(self.gain) * _at_centre(shape, groups, blocks)


@dataclass(frozen=True)
class Identity(Initializer):
    """w = 1 from each input channel to the output channel of the same number, 0 elsewhere.

    Dense: the identity matrix. Convolution: the 1s stand at the kernel's centre (Dirac's
    delta), group by group, so that stride 1 and padding k // 2 give y = x. Channels without
    a partner get 0. Promises mean p, the share of 1s, and variance p (1 - p), both exact.
    Zagoruyko & Komodakis, *DiracNets*, 2017 (arXiv 1706.00388).
    """

    name = "identity"

    def _moments(self, fans, shape):
        _, outputs, inputs, area = self._blocks(fans, shape)
        p = 1 / (max(outputs, inputs) * area)
        return p, p * (1 - p)

    def _draw(self, shape, fans, rng):
        groups, outputs, inputs, _ = self._blocks(fans, shape)
        return _at_centre(shape, groups, np.eye(outputs, inputs))


INITIALIZERS = {
    cls.name: cls
    for cls in (
        Zeros, Ones, Constant, Normal, Uniform, TruncatedNormal, VarianceScaling, Xavier, MSRA,
        LeCun, Orthogonal, DeltaOrthogonal, Identity,
    )
}  # fmt: skip
ALIASES = {"glorot": Xavier, "kaiming": MSRA, "he": MSRA, "dirac": Identity}


def names():
    """The names that `from_string` knows, as a list without the aliases."""
    return list(INITIALIZERS)


def from_string(text):
    """The initializer that a string such as ``"msra:fan_out,slope=0.25"`` names.

    Parameters
    ----------
    text : str or Initializer
        An initializer is returned as it is. Besides `names`, glorot is xavier, kaiming and he
        are msra, and dirac is identity.

    Raises
    ------
    ArgumentError
        For an unknown name, or settings that are not understood or out of range.
    """
    if isinstance(text, Initializer):
        return text
    name, colon, rest = str(text).partition(":")
    known = INITIALIZERS | ALIASES
    if name not in known:
        raise unknown("initializer", name, known)
    cls = known[name]
    free, given = _settings(cls), {}
    for item in rest.split(",") if colon else []:
        key, equals, value = (part.strip() for part in item.rpartition("="))
        try:
            value = float(value)
            fit = [k for k, field in free.items() if isinstance(field.default, float)]
        except ValueError:
            fit = [k for k, field in free.items() if _takes(k, field, value)]
        key = key if equals else next(iter(fit), None)
        if key not in free:
            takes = [f"{k} ({_expected(k, field)})" for k, field in _settings(cls).items()]
            raise ArgumentError(
                f"initializer {text!r}: {item!r} does not fit; {cls.name} takes"
                f" {', '.join([*takes, 'each once']) if takes else 'no settings'}."
            )
        given[free.pop(key).name] = value
    return cls(**given)


def _settings(initializer):
    """The settings by their key in strings, without the underscore that avoids a method."""
    return {field.name.rstrip("_"): field for field in fields(initializer)}


def _takes(key, field, value):
    if isinstance(value, str):
        return value in WORDS.get(key, ())
    return isinstance(field.default, float) and _finite(value) and (key in SIGNED or value >= 0)


def _expected(key, field):
    number = "a finite number" + ("" if key in SIGNED else " of at least 0")
    choices = [number] if isinstance(field.default, float) else []
    choices += [f"one of {', '.join(WORDS[key])}"] if key in WORDS else []
    return " or ".join(choices)


def _finite(value):
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _factor(number_or_activation):
    is_name = isinstance(number_or_activation, str)
    return gain(number_or_activation) if is_name else number_or_activation


def _unit_sample(distribution, shape, rng):
    """Independent draws of mean 0 and variance 1."""
    if distribution == "uniform":
        return math.sqrt(3) * (2 * rng.random(shape) - 1)
    values = rng.standard_normal(shape)
    if distribution == "truncated-normal":
        while (outside := np.abs(values) > 2).any():
            values[outside] = rng.standard_normal(np.count_nonzero(outside))
        values /= TRUNCATED_STD
    return values


def _orthogonal(rows, columns, rng):
    """A matrix with orthonormal rows or columns, whichever are fewer, by Haar's measure.

    That is the Q of a Gaussian matrix with the signs that make R's diagonal positive;
    Mezzadri, *How to generate random matrices from the classical compact groups*, 2007.
    """
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.copysign(1, np.diagonal(r))
    return q if rows >= columns else q.T


def _at_centre(shape, groups, blocks):
    """A weight that is 0 but for `blocks`, a matrix for each group, at the kernel's centre."""
    weight = np.zeros((groups, shape[0] // groups, *shape[1:]))
    weight[(..., *(size // 2 for size in shape[2:]))] = blocks
    return weight.reshape(shape)
