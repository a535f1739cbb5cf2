"""What every initializer is: settings, a promise of mean and variance, and a draw."""

import inspect
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minicnn import allocation, checks
from minicnn.errors import ArgumentError
from minicnn.initializers.settings import WORDS, expected, settings_of, takes

Shape = tuple[int, ...]
TRUNCATED_STD = 0.87962566103423978  # of N(0, 1) cut at ±2

PLAN = (
    "input_shape", "output_shape", "kernel_size", "stride", "padding", "dilation", "channels_in",
    "channels_out",
)  # fmt: skip


class Fans(NamedTuple):
    """How many inputs feed one output of a layer, and how many outputs one input feeds.

    Dense: the numbers of inputs and outputs. Convolution: ``C_in / groups * kh * kw`` and
    ``C_out / groups * kh * kw``. The optional fields say what these two leave out; None
    stands for the same as fan_in, or fan_out.

    Attributes
    ----------
    fan_in, fan_out : float
    taps : float, optional
        The inputs that an output sees inside the image, averaged over the outputs; the other
        ``fan_in - taps`` are zeros of the padding.
    effective_fan_out : float, optional
        The outputs that an input really feeds: with a stride, ``fan_out / (sh sw)``.
    """

    fan_in: float
    fan_out: float
    taps: float | None = None
    effective_fan_out: float | None = None

    @classmethod
    def of_convolution(cls, plan: Any) -> "Fans":
        """The fans of a convolution.

        Parameters
        ----------
        plan : minicnn.kernels.conv.geometry.Convolution
            Or whatever has its shapes, kernel size, stride, padding, dilation and channels.
        """
        missing = [name for name in PLAN if not hasattr(plan, name)]
        if missing:
            raise ArgumentError(
                f"a convolution has {', '.join(missing)}, got {checks.shown(plan)}."
            )
        area, seen = math.prod(plan.kernel_size), 1.0
        sizes = zip(plan.input_shape[1:], plan.output_shape[1:], plan.kernel_size)
        for (n, m, k), s, p, d in zip(sizes, plan.stride, plan.padding, plan.dilation):
            # The outputs i from 0 to m - 1 whose tap, at s i + d u - p, lies inside the image.
            tap = d * np.arange(k) - p
            first, last = np.maximum(-(tap // s), 0), np.minimum((n - 1 - tap) // s, m - 1)
            seen *= np.maximum(last - first + 1, 0).sum() / m
        fan_out = plan.channels_out * area
        return cls(
            plan.channels_in * area, fan_out, plan.channels_in * seen,
            fan_out / math.prod(plan.stride),
        )  # fmt: skip

    @classmethod
    def of_transposed(cls, plan: Any) -> "Fans":
        """The fans of a transposed convolution: inputs and outputs of `plan` swap their places.

        An input feeds ``fan_out = C_out / groups * kh * kw`` outputs. The stride spreads these over
        sh sw times as many places, so an output is fed by ``C_in / groups * kh * kw / (sh sw)``
        inputs on average. PyTorch's `_calculate_fan_in_and_fan_out` reads the weight's axes as
        those of a convolution: its fan_in is what is fan_out here, and its fan_out is
        ``C_in * kh * kw``, which knows neither groups nor the stride.

        Parameters
        ----------
        plan : minicnn.kernels.conv.geometry.Convolution
            Whose input has the shape of the transposed convolution's output, and the reverse.
        """
        own = cls.of_convolution(plan)
        # Each pair of an input and an output that a tap joins, over the outputs.
        spread = math.prod(plan.output_shape[1:]) / math.prod(plan.input_shape[1:])
        seen = (own.taps or 0.0) * spread / plan.channels_in * plan.channels_out
        fan_in = own.fan_out / math.prod(plan.stride)
        return cls(fan_in, own.fan_in, seen, own.taps)


def check_fans(value: Any, what: str) -> Fans | None:
    """`value`, or an ArgumentError that names `what` if it is no Fans of numbers."""
    if value is None:  # not all initializers need them
        return None
    checks.check_kind(value, Fans, what)
    for name, n in value._asdict().items():
        if not (n is None and name in Fans._field_defaults):
            checks.check_number(n, f"{what}: {name}")
    return value


class Initializer:
    """Base of all initializers, immutable and comparable.

    A subclass is a frozen dataclass, whose settings have defaults, floats where they are
    numbers; one without settings may be an ordinary class. ``moments(fans, shape)`` gives the
    mean and variance that it promises, ``draw(shape, fans, rng)`` the array; without, it is
    drawn by `distribution`. `name` is the class's, in small letters, unless it is given.
    """

    if TYPE_CHECKING:  # annotations of the class itself would be settings
        name: str
        distribution: str | None
    distribution = None

    def __init_subclass__(cls, **named: Any) -> None:
        """Give a name to what has none."""
        super().__init_subclass__(**named)
        if not hasattr(cls, "name"):
            cls.name = cls.__name__.lower()

    def __new__(cls, *settings: Any, **named: Any) -> "Initializer":
        """Refuse settings that are no fields of a frozen dataclass: no result would show them."""
        own = vars(cls)
        if "__dataclass_fields__" not in own:
            bare = "__init__" in own or bool(inspect.get_annotations(cls))
        else:
            bare = not own["__dataclass_params__"].frozen
        if bare:
            raise ArgumentError(
                f"initializer {cls.__name__} has settings, but is no frozen dataclass: write"
                " @dataclass(frozen=True) before the class, and each setting as a field with a"
                " default, such as std: float = 0.01, in the place of an __init__."
            )
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for key, field in settings_of(self).items():
            value = getattr(self, field.name)
            if not takes(key, field, value):
                raise self._error(f"{key} must be {expected(key, field)}, got {value!r}.")
            value = value if isinstance(value, str) else float(value)
            object.__setattr__(self, field.name, value)

    @checks.takes(fans=check_fans)
    def __call__(
        self,
        shape: Shape,
        fans: Fans | None,
        rng: np.random.Generator,
        dtype: npt.DTypeLike = np.float32,
    ) -> np.ndarray:
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
            For another dtype, a shape or fans that this initializer cannot serve, settings so
            large that the numbers overflow, or a ``draw`` that gives another shape.
        """
        shape = checks.check_shape(shape, "the shape of a weight", "such as (out, in)", least=0)
        dtype = checks.check_dtype(dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            with allocation.asked(8 * math.prod(shape), f"float64 of shape {shape}"):
                values = self.draw(shape, fans, rng)
            drew = f"drew {checks.described(values)}"
            if not isinstance(values, np.ndarray) or values.shape != shape:
                raise self._error(
                    f"must draw an array of shape {shape}, {drew}: return an array of the shape"
                    " that is given."
                )
            if values.dtype.kind not in "fiub":
                raise self._error(f"must draw real numbers, {drew}.")
            values = values.astype(dtype, order="C", copy=False)
        if not np.isfinite(values).all():
            raise self._error(f"the numbers overflow {values.dtype}: use smaller settings.")
        return values

    @checks.takes(fans=check_fans)
    def mean(self, fans: Fans | None, shape: Shape | None = None) -> float:
        """The mean that it promises, E[w] over the elements; arguments as for `variance`."""
        return self._promise(fans, shape)[0]

    @checks.takes(fans=check_fans)
    def variance(self, fans: Fans | None, shape: Shape | None = None) -> float:
        """The variance that it promises, E[(w - E[w])²] over the elements.

        `shape` is needed by orthogonal, delta-orthogonal and identity, which raise
        ArgumentError without it.
        """
        return self._promise(fans, shape)[1]

    def _promise(self, fans, shape):
        """Mean and variance, if they can be."""
        moments = self.moments(fans, shape)
        try:
            mean, variance = map(float, moments)
        except (TypeError, ValueError):
            raise self._error(
                f"moments(fans, shape) must return the mean and the variance, got {moments!r}."
            ) from None
        if math.isnan(mean) or not variance >= 0:
            raise self._error(
                f"promises the mean {mean:g} and the variance {variance:g}: expected numbers, and"
                " a variance of at least 0."
            )
        return mean, variance

    def moments(self, fans: Fans | None, shape: Shape | None) -> tuple[float, float]:
        """What a subclass promises: mean and variance; without a layer `fans` is None."""
        raise self._error("moments(fans, shape) is missing, which returns (mean, variance).")

    def draw(self, shape: Shape, fans: Fans | None, rng: np.random.Generator) -> np.ndarray:
        """What a subclass draws: an array of `shape`, with the random numbers of `rng`.

        By default of the class's `distribution`, with the mean and the variance of `moments`.
        """
        mean, variance = self._promise(fans, shape)
        if self.distribution not in WORDS["distribution"]:
            raise self._error(
                f"distribution must be one of {', '.join(WORDS['distribution'])}, got"
                f" {self.distribution!r}; or write draw(shape, fans, rng)."
            )
        return mean + math.sqrt(variance) * _unit_sample(self.distribution, shape, rng)

    def __str__(self) -> str:
        """The string that `from_string` reads: settings that are not the default."""
        bare, named = [], []
        for key, field in settings_of(self).items():
            value = getattr(self, field.name)
            if key in ("mean", "gain", "slope"):
                named += [f"{key}={value}"] * (not _is(value, field.default))
            elif not _is(value, field.default) or isinstance(value, float):  # numbers always tell
                bare.append(str(value))
        return ":".join([self.name, ",".join(bare + named)]) if bare + named else self.name

    def _error(self, message):
        return ArgumentError(f"initializer {self.name}: {message}")

    def _matrix(self, shape):
        """Rows and columns of a weight as a matrix, out x rest."""
        whole = isinstance(shape, (tuple, list)) and all(isinstance(n, int) for n in shape)
        if not whole or len(shape) < 2 or min(shape) < 1:
            raise self._error(
                "needs the shape of a weight, (out, in) or (C_out, C_in / groups, kh, kw),"
                f" got {shape}."
            )
        return shape[0], math.prod(shape[1:])

    def _blocks(self, fans, shape):
        """A weight's groups, channels out and in of one group, and kernel area."""
        outputs, area = self._matrix(shape)[0], math.prod(shape[2:])
        if fans is None:
            raise self._error("needs the fans of a layer, Fans(fan_in, fan_out), got None.")
        groups = int(outputs * area // fans.fan_out) if fans.fan_out > 0 else 0
        exact = groups * fans.fan_out == outputs * area
        if exact and 1 <= groups <= outputs and outputs % groups == 0:
            return groups, outputs // groups, shape[1], area
        raise self._error(f"{fans} cannot be the fans of a weight of shape {shape}.")


def _is(value, default):
    """Whether a setting is at its default: one of a user's may be an array."""
    return bool(np.all(value == default))


def _unit_sample(distribution, shape, rng):
    """Independent draws of mean 0 and variance 1."""
    checks.check_generator(rng)
    if distribution == "uniform":
        return math.sqrt(3) * (2 * rng.random(shape) - 1)
    values = rng.standard_normal(shape)
    if distribution == "truncated-normal":
        while (outside := np.abs(values) > 2).any():
            values[outside] = rng.standard_normal(np.count_nonzero(outside))
        values /= TRUNCATED_STD
    return values
